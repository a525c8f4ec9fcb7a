package replication

import (
	"context"
	"errors"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// parkedOpen is an Open that this broker's metadata does not cover yet (R5).
type parkedOpen struct {
	open
	until time.Time
}

// open answers the entries of an Open frame, in one frame. Those that have to
// wait are answered a second time when their wait is over.
func (in *inbound) open(ctx context.Context, opens []open) {
	answers := make([]openAck, 0, len(opens))
	now := time.Now()
	for _, o := range opens {
		in.unpark(o.tp) // a newer attempt takes its place
		a, answered := in.tryOpen(o)
		if !answered {
			continue
		}
		if a.code == openWait {
			in.park(ctx, parkedOpen{open: o, until: now.Add(in.m.o.ParkFor)})
		}
		answers = append(answers, a)
	}
	in.answer(answers)
}

func (in *inbound) answer(answers []openAck) {
	if len(answers) > 0 {
		in.out.post(func(b []byte) []byte { return appendFrame(b, kindOpenAck, answers) })
	}
}

// tryOpen asks the partition to follow. answered is false when the leader has
// been told in another way, or need not be.
func (in *inbound) tryOpen(o open) (a openAck, answered bool) {
	position, err := in.m.replicas.OpenFollow(partition.OpenRequest{
		Leader: in.leader, TP: o.tp, Epoch: o.epoch, PartitionEpoch: o.partitionEpoch, MetaIndex: o.metaIndex,
		Session: o.session, LogStart: o.logStart, LogEnd: o.leaderEnd, Sink: in,
	})
	index, _ := in.m.replicas.Applied()
	a = openAck{key: o.key, appliedIndex: index, seenEpoch: cluster.NoEpoch, position: position}
	switch {
	case err == nil:
		in.mu.Lock()
		in.adopt(o.key)
		in.mu.Unlock()
	case errors.Is(err, partition.ErrNotReady):
		a.code = openWait
	case errors.Is(err, partition.ErrFencedEpoch):
		a.code = openFenced
		if where := (*partition.Error)(nil); errors.As(err, &where) {
			a.seenEpoch = where.Epoch
		}
	case errors.Is(err, partition.ErrRemoved):
		a.code = openRemoved
	case errors.Is(err, partition.ErrStaleSession): // the leader has a newer session open
		return a, false
	default:
		in.report(o.key, err)
		return a, false
	}
	return a, true
}

func (in *inbound) park(ctx context.Context, p parkedOpen) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.parked[p.tp] = p
	if !in.parking {
		in.parking = true
		in.wg.Go(func() { in.awaitMetadata(ctx) })
	}
}

func (in *inbound) unpark(tp cluster.TopicPartition) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.parked, tp)
}

// awaitMetadata tries the parked Opens again whenever metadata was applied,
// until none is left.
func (in *inbound) awaitMetadata(ctx context.Context) {
	for ctx.Err() == nil {
		_, changed := in.m.replicas.Applied()
		next, ok := in.retryParked(time.Now())
		if !ok {
			return
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// retryParked tries every parked Open and gives back those that waited too
// long. It returns when the next one will have; false when none is left.
func (in *inbound) retryParked(now time.Time) (next time.Time, ok bool) {
	in.mu.Lock()
	list := make([]parkedOpen, 0, len(in.parked))
	for _, p := range in.parked {
		list = append(list, p)
	}
	in.mu.Unlock()
	var answers []openAck
	for _, p := range list {
		a, answered := in.tryOpen(p.open)
		if answered && a.code == openWait {
			if now.Before(p.until) {
				continue
			}
			in.report(p.key, partition.ErrNotReady)
			answered = false
		}
		if answered {
			answers = append(answers, a)
		}
		in.done(p)
	}
	in.answer(answers)

	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range in.parked {
		if next.IsZero() || p.until.Before(next) {
			next = p.until
		}
	}
	in.parking = len(in.parked) > 0
	return next, in.parking
}

// done removes a parked Open that has been answered, unless a newer one took
// its place meanwhile.
func (in *inbound) done(p parkedOpen) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.parked[p.tp].session == p.session {
		delete(in.parked, p.tp)
	}
}
