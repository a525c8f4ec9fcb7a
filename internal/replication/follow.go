package replication

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// append hands a Data frame to its partition. Only a frame that cannot be read
// is an error of the connection; whatever else is wrong ends the session.
func (in *inbound) append(ctx context.Context, f frame) error {
	d, batches, err := decodeData(f)
	if err != nil {
		return err
	}
	in.mu.Lock()
	s := in.sessions[d.session]
	ok := s != nil && s.key == d.key
	if ok {
		s.pending = append(s.pending, arrival{base: d.base, at: time.Now()})
	}
	in.mu.Unlock()
	if !ok {
		return nil // of a session that ended while it was on its way
	}
	err = in.m.replicas.AppendFrom(ctx, partition.FollowRequest{
		TP: d.tp, Session: d.session, Base: d.base, PrevEpoch: d.prevEpoch, PrevCRC: d.prevCRC,
		Batches: batches, HighWatermark: d.highWatermark, LogStart: d.logStart,
	})
	if err != nil && ctx.Err() == nil {
		in.reject(d.key, err)
	}
	return ctx.Err()
}

// watermarks applies an HW frame. The first of a session makes the partition
// acknowledge what it already holds, outside of any round.
func (in *inbound) watermarks(marks []watermark) {
	for _, w := range marks {
		in.m.replicas.FollowHighWatermark(w.tp, w.session, w.highWatermark)
	}
	in.out.flushRound(0)
}

// Ack implements [partition.AckSink]: what it is told leaves with the next
// [Manager.FlushAcks], in one frame with the acks of all other partitions.
func (in *inbound) Ack(tp cluster.TopicPartition, session uint64, durableEnd, appendedEnd int64) {
	in.mu.Lock()
	s := in.sessions[session]
	if s == nil || s.tp != tp {
		in.mu.Unlock()
		return
	}
	var queued time.Duration
	if oldest := s.settle(durableEnd); !oldest.IsZero() {
		queued = time.Since(oldest) // the round itself is taken off by the outbox
	}
	if len(in.reported) > 0 {
		delete(in.reported, tp) // it works again: the next trouble is news
	}
	k := s.key
	in.mu.Unlock()
	in.out.ack(ack{key: k, durableEnd: durableEnd, appendedEnd: appendedEnd}, queued)
}

// truncate cuts a partition's log. It waits for the disk, so it has a goroutine
// of its own: the other partitions of the link go on.
func (in *inbound) truncate(ctx context.Context, t truncate) {
	in.mu.Lock()
	s := in.sessions[t.session]
	ok := s != nil && s.key == t.key
	in.mu.Unlock()
	if !ok {
		return
	}
	end, err := in.m.replicas.TruncateFollow(ctx, t.tp, t.session, partition.Cut{To: t.to, Reset: t.reset, Needed: true})
	switch {
	case ctx.Err() != nil:
		return // so is the session
	case err != nil:
		in.reject(t.key, err)
		return
	}
	in.out.post(func(b []byte) []byte {
		return appendFrame(b, kindTruncated, []truncated{{key: t.key, durableEnd: end}})
	})
}

// reject ends a session and tells the leader why. What is still on its way in
// the session is ignored.
func (in *inbound) reject(k key, err error) {
	in.mu.Lock()
	s := in.sessions[k.session]
	ok := s != nil && s.key == k
	if ok {
		in.forget(s)
	}
	in.mu.Unlock()
	if !ok {
		return
	}
	in.m.replicas.CloseFollow(k.tp, k.session)
	in.report(k, err)
}

// report sends an Err frame. The leader tries again and again: only what
// changes is logged.
func (in *inbound) report(k key, err error) {
	e := sessionErr{key: k, code: errCodeFor(err), text: err.Error()}
	in.out.post(func(b []byte) []byte { return appendFrame(b, kindErr, []sessionErr{e}) })
	in.mu.Lock()
	was, reported := in.reported[k.tp]
	in.reported[k.tp] = e.code
	in.mu.Unlock()
	if reported && was == e.code {
		return
	}
	log := in.log.Warn
	if e.code == errCodeStale || e.code == errCodeWait {
		log = in.log.Info // part of every change of leaders
	}
	log("replication session refused", slog.String("partition", k.tp.String()), slog.Int("epoch", int(k.epoch)), slog.Any("error", err))
}

// errCodeFor says which of the wire's codes an error of package partition is.
func errCodeFor(err error) errCode {
	for _, known := range []struct {
		err  error
		code errCode
	}{
		{partition.ErrStaleSession, errCodeStale},
		{partition.ErrFencedEpoch, errCodeStale},
		{partition.ErrRemoved, errCodeStale},
		{partition.ErrDiskFull, errCodeDiskFull}, // before what it wraps
		{partition.ErrStorage, errCodeStorage},
		{partition.ErrTruncateCommitted, errCodeCommitted},
		{partition.ErrNotReady, errCodeWait},
		{partition.ErrBusy, errCodeWait},
		{partition.ErrDiverged, errCodeDiverged},
	} {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	return errCodeInternal
}

// adopt makes an accepted session known. REQUIRES: in.mu is held.
func (in *inbound) adopt(k key) {
	if old := in.current[k.tp]; old != nil {
		delete(in.sessions, old.session)
	}
	s := &inSession{key: k}
	in.sessions[k.session] = s
	in.current[k.tp] = s
}

// forget is the inverse of adopt. REQUIRES: in.mu is held.
func (in *inbound) forget(s *inSession) {
	delete(in.sessions, s.session)
	if in.current[s.tp] == s {
		delete(in.current, s.tp)
	}
}
