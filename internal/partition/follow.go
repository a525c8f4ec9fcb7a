package partition

import (
	"context"
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/wal"
)

// AckSink receives, after each sync round, how far a followed log is durable.
// It must not block; no lock is held while it is called.
type AckSink interface {
	Ack(tp cluster.TopicPartition, session uint64, durableEnd, appendedEnd int64)
}

// OpenRequest asks this broker to follow: an Open frame of replication.md §3.2.
type OpenRequest struct {
	Leader         cluster.BrokerID
	TP             cluster.TopicPartition
	Epoch          cluster.Epoch
	PartitionEpoch cluster.PartitionEpoch
	// MetaIndex is the image that made the sender the leader.
	MetaIndex uint64
	// Session is unique in the leader's process and larger than its older ones.
	Session          uint64
	LogStart, LogEnd int64
	Sink             AckSink
}

// FollowerPosition is what a follower says of its log when it accepts.
type FollowerPosition struct {
	BrokerEpoch                  cluster.BrokerEpoch
	LogStart, LogEnd, DurableEnd int64
	Epochs                       []EpochStart // empty for an empty log
}

// EpochStart is the first offset (inclusive) of a leader epoch.
type EpochStart struct {
	Epoch cluster.Epoch
	Start int64
}

// OpenFollow accepts a leader's session, preempting an older one (R5). On
// ErrNotReady the caller parks: it waits on [Table.Applied] and asks again. On
// ErrFencedEpoch Error.Epoch is the epoch this broker has seen. ErrRemoved: the
// partition is not (or no longer) placed here.
func (t *Table) OpenFollow(req OpenRequest) (FollowerPosition, error) {
	img, registered := t.image()
	r, ok := t.Get(req.TP)
	if !registered || (!ok && req.MetaIndex > img.Index()) {
		return FollowerPosition{}, &Error{TP: req.TP, Op: "follow", Epoch: req.Epoch, Leader: req.Leader, Err: ErrNotReady}
	}
	if !ok {
		return FollowerPosition{}, &Error{TP: req.TP, Op: "follow", Epoch: req.Epoch, Leader: req.Leader, Err: ErrRemoved}
	}
	self, _ := img.Broker(t.o.Self)
	// A truncation for another session must end first, or this session would
	// report, and append to, a log that is about to be cut.
	r.transition.Lock()
	defer r.transition.Unlock()
	pos, err := r.openFollow(req)
	pos.BrokerEpoch = self.Epoch
	return pos, err
}

func (r *Replica) openFollow(req OpenRequest) (FollowerPosition, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != "" {
		return FollowerPosition{}, r.fail("follow", ErrStorage, r.failed)
	}
	switch last, _, ok := r.log.Last(); {
	case req.Epoch < r.maxSeenEpoch,
		r.lead != nil && r.lead.epoch >= req.Epoch,
		ok && last > req.Epoch:
		return FollowerPosition{}, r.fail("follow", ErrFencedEpoch, fmt.Sprintf("asked to follow broker %d in epoch %d", req.Leader, req.Epoch))
	case r.follow.id != 0 && r.follow.epoch == req.Epoch && r.follow.leader == req.Leader && r.follow.id > req.Session:
		return FollowerPosition{}, r.fail("follow", ErrStaleSession, "a newer session is open")
	}
	// A leader of a newer epoch exists, whatever this broker's metadata says yet.
	r.stepDown(fmt.Sprintf("broker %d leads epoch %d", req.Leader, req.Epoch))
	r.maxSeenEpoch = req.Epoch
	r.follow = followSession{id: req.Session, leader: req.Leader, epoch: req.Epoch, sink: req.Sink}
	pos := FollowerPosition{LogStart: r.log.StartOffset(), LogEnd: r.log.EndOffset(), DurableEnd: r.durableEnd}
	for _, e := range r.log.Epochs() {
		pos.Epochs = append(pos.Epochs, EpochStart{Epoch: e.Epoch, Start: e.Start})
	}
	return pos, nil
}

// session checks that the given session is the one that may append.
// REQUIRES: r.mu is held.
func (r *Replica) session(op string, id uint64) error {
	switch {
	case r.follow.id == 0 || r.follow.id != id:
		return r.fail(op, ErrStaleSession, fmt.Sprintf("session %d, current %d", id, r.follow.id))
	case r.failed != "":
		return r.fail(op, ErrStorage, r.failed)
	default:
		return nil
	}
}

// FollowRequest is a Data frame of replication.md §3.2.
type FollowRequest struct {
	TP        cluster.TopicPartition
	Session   uint64
	Base      int64
	PrevEpoch cluster.Epoch // of the batch before Base; NoEpoch at the start of a log
	PrevCRC   uint32
	// Batches are whole stamped batches, concatenated. The replica keeps the
	// bytes: the caller must not touch them again.
	Batches       []byte
	HighWatermark int64
	LogStart      int64
}

// AppendFrom appends what a leader sent (R6). It may wait for room in the write
// buffer, under ctx: that pushes back on the socket. Errors: ErrDiverged,
// ErrStaleSession, ErrStorage, ErrBusy, ErrRemoved; after any of them the
// session is to be closed and opened anew.
func (t *Table) AppendFrom(ctx context.Context, req FollowRequest) error {
	r, ok := t.Get(req.TP)
	if !ok {
		return &Error{TP: req.TP, Op: "append as follower", Leader: cluster.NoBroker, Err: ErrRemoved}
	}
	if err := validBatches(req.Batches); err != nil {
		return &Error{Topic: r.topic, TP: req.TP, Op: "append as follower", Leader: cluster.NoBroker, Err: errors.Join(ErrDiverged, err)}
	}
	if err := t.reserve(ctx, len(req.Batches)); err != nil {
		return r.reserveError("append as follower", err)
	}
	r.mu.Lock()
	err := r.appendFrom(req)
	r.mu.Unlock()
	if err != nil {
		t.o.WAL.Unreserve(len(req.Batches))
	}
	return err
}

// validBatches verifies the checksums of what came over the network: a follower
// never makes durable what it could not serve.
func validBatches(p []byte) error {
	for len(p) > 0 {
		b, rest, err := record.Next(p)
		if err != nil {
			return err
		}
		if err := record.Validate(b, len(b)); err != nil {
			return err
		}
		p = rest
	}
	return nil
}

func (r *Replica) appendFrom(req FollowRequest) error {
	const op = "append as follower"
	if err := r.session(op, req.Session); err != nil {
		return err
	}
	if r.follow.cutting {
		return r.fail(op, ErrDiverged, "data during a truncation")
	}
	if end := r.log.EndOffset(); req.Base != end {
		return r.fail(op, ErrDiverged, fmt.Sprintf("batch at %d, log end %d", req.Base, end))
	}
	if epoch, crc, ok := r.log.Last(); ok && (epoch != req.PrevEpoch || crc != req.PrevCRC) {
		return r.fail(op, ErrDiverged, fmt.Sprintf("at %d: leader's previous batch is epoch %d crc %08x, ours epoch %d crc %08x",
			req.Base, req.PrevEpoch, req.PrevCRC, epoch, crc))
	}
	if b, _, err := record.Next(req.Batches); err != nil || b.BaseOffset() != req.Base {
		return r.fail(op, ErrDiverged, fmt.Sprintf("frame says base %d, first batch does not", req.Base))
	}
	if err := r.write(req.Batches, r.now()); err != nil {
		return r.fail(op, ErrStorage, err.Error())
	}
	r.follow.acking = true
	r.followHW(req.HighWatermark)
	r.followStart(req.LogStart)
	return nil
}

// followHW takes the leader's high watermark, capped by this log (K15).
// REQUIRES: r.mu is held.
func (r *Replica) followHW(hw int64) {
	if hw = min(hw, r.log.EndOffset()); hw > r.highWatermark {
		r.highWatermark = hw
		r.wakeWatchers()
	}
}

// followStart adopts the leader's log start. REQUIRES: r.mu is held.
func (r *Replica) followStart(start int64) {
	if start > r.log.StartOffset() && start <= r.highWatermark {
		r.log.AdvanceStart(start)
	}
}

// FollowHighWatermark applies an HW frame. The first one of a session says that
// the leader counts it, so what is already durable is acknowledged now.
func (t *Table) FollowHighWatermark(tp cluster.TopicPartition, session uint64, hw int64) {
	r, ok := t.Get(tp)
	if !ok {
		return
	}
	r.mu.Lock()
	if r.session("high watermark", session) != nil {
		r.mu.Unlock()
		return
	}
	first := !r.follow.acking
	r.follow.acking = true
	r.followHW(hw)
	s, durable, appended := r.follow, r.durableEnd, r.log.EndOffset()
	r.mu.Unlock()
	if first {
		s.sink.Ack(tp, session, durable, appended)
	}
}

// CloseFollow ends an inbound session: nothing is appended or acknowledged on
// it any more (R3).
func (t *Table) CloseFollow(tp cluster.TopicPartition, session uint64) {
	if r, ok := t.Get(tp); ok {
		r.mu.Lock()
		if r.follow.id == session {
			r.follow = followSession{}
		}
		r.mu.Unlock()
	}
}

// TruncateFollow cuts or resets the log as the leader computed, durably, and
// returns the durable end. It waits for a sync round: call it off the read
// loop. A cut below the high watermark is refused (R7).
func (t *Table) TruncateFollow(ctx context.Context, tp cluster.TopicPartition, session uint64, cut Cut) (durableEnd int64, err error) {
	r, ok := t.Get(tp)
	if !ok {
		return 0, &Error{TP: tp, Op: "truncate", Leader: cluster.NoBroker, Err: ErrRemoved}
	}
	r.transition.Lock()
	defer r.transition.Unlock()
	r.files.Lock()
	defer r.files.Unlock()
	lsn, err := r.logTruncation(session, cut)
	if err != nil {
		return 0, err
	}
	if err := t.o.WAL.WaitSynced(ctx, lsn); err != nil {
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
	if cut.To < r.highWatermark {
		return 0, r.fail("truncate", ErrTruncateCommitted, fmt.Sprintf("to %d, high watermark %d", cut.To, r.highWatermark))
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
		r.failed = fmt.Sprintf("truncate to %d: %v", cut.To, err)
		return 0, r.fail("truncate", ErrStorage, err.Error())
	}
	r.follow.cutting = false
	r.durableEnd = r.log.EndOffset()
	r.highWatermark = max(min(r.highWatermark, cut.To), r.log.StartOffset())
	r.t.o.Logger.Info("truncated", r.attrs("to", cut.To)...)
	return r.durableEnd, r.session("truncate", session)
}
