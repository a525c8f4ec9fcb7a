package partition

import (
	"context"
	"errors"

	"github.com/chronik-project/chronik/internal/cluster"
)

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

// AppendFrom appends what a leader sent (R6). It may wait for room, as
// [Replica.Append] does, under ctx: that pushes back on the socket. Errors: ErrDiverged,
// ErrStaleSession, ErrStorage, ErrBusy, ErrRemoved; after any of them the
// session is to be closed and opened anew.
func (t *Table) AppendFrom(ctx context.Context, req FollowRequest) error {
	r, ok := t.Get(req.TP)
	if !ok {
		return &Error{TP: req.TP, Op: "append as follower", Leader: cluster.NoBroker, Err: ErrRemoved}
	}
	run, err := checkRun(req.Batches)
	if err != nil {
		return &Error{Topic: r.Topic(), TP: req.TP, Op: "append as follower", Leader: cluster.NoBroker, Err: errors.Join(ErrDiverged, err)}
	}
	if err := t.reserve(ctx, len(req.Batches)); err != nil {
		return r.reserveError("append as follower", err)
	}
	r.mu.Lock()
	spent, err := r.appendFrom(req, run)
	r.mu.Unlock()
	t.reserved(len(req.Batches), spent)
	return err
}

// appendFrom appends a run that continues the log. spent says whether it took
// its reservation. REQUIRES: r.mu is held.
func (r *Replica) appendFrom(req FollowRequest, run Run) (spent bool, err error) {
	const op = "append as follower"
	if err := r.session(op, req.Session); err != nil {
		return false, err
	}
	if why := r.standing().Continues(req.Base, req.PrevEpoch, req.PrevCRC, run); why != "" {
		return false, r.fail(op, ErrDiverged, why)
	}
	if spent, err := r.write(req.Batches, run.Next, r.now()); err != nil {
		return spent, r.fail(op, ErrStorage, err.Error())
	}
	r.follow.acking = true
	r.followHW(req.HighWatermark)
	r.followStart(req.LogStart)
	return true, nil
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
