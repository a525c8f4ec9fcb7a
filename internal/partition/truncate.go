package partition

import (
	"context"
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/segment"
	"github.com/chronik-project/chronik/internal/wal"
)

// Cut is where a follower must continue (R7).
type Cut struct {
	To     int64 // the new log end
	Reset  bool  // empty the log and start it at To
	Needed bool  // false: the follower's log already ends at To
}

// CutFor computes where the follower's log stops being a prefix of this one.
func (r *Replica) CutFor(epoch cluster.Epoch, pos FollowerPosition) (Cut, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil || r.lead.epoch != epoch {
		return Cut{}, r.fail("cut", ErrNotLeader, "")
	}
	return CutFor(r.log.Epochs(), r.log.StartOffset(), r.log.EndOffset(), pos), nil
}

// CutFor computes where a follower's log stops being a prefix of the leader's,
// which covers [start, end), from both epoch vectors (K6, K7). An epoch has one
// leader, so (epoch, offset) names a record: the logs agree up to the smaller
// end of the newest epoch that both have.
func CutFor(ours []segment.EpochStart, start, end int64, pos FollowerPosition) Cut {
	reset := Cut{To: start, Reset: true, Needed: true}
	if pos.LogEnd < start {
		return reset // K11
	}
	if pos.LogStart == pos.LogEnd { // an empty log agrees with any prefix
		if pos.LogEnd > end {
			return reset
		}
		return Cut{To: pos.LogEnd}
	}
	common := int64(-1)
	theirEnd := pos.LogEnd
	for i := len(pos.Epochs) - 1; i >= 0 && common < 0; i-- {
		e := pos.Epochs[i]
		if ourEnd, ok := epochEnd(ours, end, e.Epoch); ok {
			common = min(theirEnd, ourEnd)
		}
		theirEnd = e.Start
	}
	switch {
	case common < start || common < pos.LogStart:
		return reset
	case common == pos.LogEnd:
		return Cut{To: common}
	default:
		return Cut{To: common, Needed: true}
	}
}

// epochEnd is the end (exclusive) of epoch in a vector whose log ends at end.
func epochEnd(vector []segment.EpochStart, end int64, epoch cluster.Epoch) (int64, bool) {
	for i := len(vector) - 1; i >= 0; i-- {
		if vector[i].Epoch == epoch {
			return end, true
		}
		end = vector[i].Start
	}
	return 0, false
}

// TruncateFollow cuts or resets the log as the leader computed, durably, and
// returns the durable end. It waits for a sync round, whether ctx ends or not:
// call it off the read loop. A cut below the high watermark is refused (R7).
func (t *Table) TruncateFollow(ctx context.Context, tp cluster.TopicPartition, session uint64, cut Cut) (durableEnd int64, err error) {
	r, ok := t.Get(tp)
	if !ok {
		return 0, &Error{TP: tp, Op: "truncate", Leader: cluster.NoBroker, Err: ErrRemoved}
	}
	// First the files, for which a checkpoint may have to end: role changes do not
	// wait for that.
	r.files.Lock()
	defer r.files.Unlock()
	r.transition.Lock()
	defer r.transition.Unlock()
	lsn, err := r.logTruncation(session, cut)
	if err != nil {
		return 0, err
	}
	// The write-ahead log has the cut, so the files must get it too, also when the
	// session ends meanwhile: what is appended next would otherwise lie behind
	// records that replay does not have. Only a failed write-ahead log ends the
	// wait, and it takes no appends.
	if err := t.o.WAL.WaitSynced(context.WithoutCancel(ctx), lsn); err != nil {
		return 0, r.reserveError("truncate", err)
	}
	return r.truncate(session, cut)
}

// logTruncation makes the cut part of the write-ahead log first, or replay
// would resurrect what was cut. From here on sync reports of the old bytes are
// void. REQUIRES: r.transition and r.files are held.
func (r *Replica) logTruncation(session uint64, cut Cut) (wal.LSN, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.session("truncate", session); err != nil {
		return 0, err
	}
	if err := r.standing().MayCut(cut.To); err != nil {
		return 0, r.fail("truncate", ErrTruncateCommitted, err.Error())
	}
	kind := wal.KindTruncate
	if cut.Reset {
		kind = wal.KindReset
	}
	lsn, err := r.t.o.WAL.Append(wal.Entry{Kind: kind, TP: r.tp, Payload: wal.EncodeOffset(cut.To)})
	if err != nil {
		return 0, r.fail("truncate", ErrStorage, err.Error())
	}
	r.follow.cutting = true
	r.generation++
	r.durableEnd = min(r.durableEnd, cut.To)
	return lsn, nil
}

// truncate cuts the files and rebuilds the producer windows. REQUIRES:
// r.transition and r.files are held; the write-ahead log holds the cut.
func (r *Replica) truncate(session uint64, cut Cut) (int64, error) {
	var err error
	if cut.Reset {
		r.windowsAt = -1
		err = r.log.ResetTo(cut.To)
	} else {
		err = r.log.TruncateTo(cut.To)
	}
	if err == nil {
		err = r.rebuildProducers()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.retire(fmt.Sprintf("truncate to %d: %v", cut.To, err))
		if errors.Is(err, segment.ErrCorrupt) {
			r.t.chores.damage(r)
		}
		return 0, r.fail("truncate", ErrStorage, err.Error())
	}
	r.follow.cutting = false
	r.durableEnd = r.log.EndOffset()
	r.highWatermark = max(min(r.highWatermark, r.durableEnd), r.log.StartOffset())
	r.t.o.Logger.Info("truncated", r.attrs("to", cut.To)...)
	return r.durableEnd, r.session("truncate", session)
}
