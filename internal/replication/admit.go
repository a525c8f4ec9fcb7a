package replication

import (
	"context"
	"errors"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// waitingOpen is an Open that was not answered for good yet.
type waitingOpen struct {
	open
	until  time.Time // when it is given back
	parked bool      // the leader was told that it waits for metadata
}

// open takes an Open frame. Its entries are answered by another goroutine: a
// partition that is just being checkpointed or cut lets them wait for a disk,
// and the data of other sessions must not.
func (in *inbound) open(ctx context.Context, opens []open) {
	until := time.Now().Add(in.m.o.ParkFor)
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, o := range opens {
		in.waiting[o.tp] = waitingOpen{open: o, until: until} // in place of an older attempt
	}
	if in.admitting {
		signal(in.fresh)
		return
	}
	in.admitting = true
	in.wg.Go(func() { in.admit(ctx) })
}

// admit answers the Opens that wait, those that this broker's metadata does not
// cover yet whenever more of it was applied (R5), until none is left.
func (in *inbound) admit(ctx context.Context) {
	for ctx.Err() == nil {
		_, changed := in.m.replicas.Applied()
		in.answerOpens(time.Now())
		next, ok := in.nextDeadline()
		if !ok {
			return
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-changed:
		case <-in.fresh:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// nextDeadline returns when the next Open will have waited long enough; false,
// and admitting ends, when none is left.
func (in *inbound) nextDeadline() (next time.Time, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range in.waiting {
		if next.IsZero() || p.until.Before(next) {
			next = p.until
		}
	}
	in.admitting = len(in.waiting) > 0
	return next, in.admitting
}

// answerOpens tries every Open that waits and answers in one frame.
func (in *inbound) answerOpens(now time.Time) {
	in.mu.Lock()
	list := make([]waitingOpen, 0, len(in.waiting))
	for _, p := range in.waiting {
		list = append(list, p)
	}
	in.mu.Unlock()
	answers := make([]openAck, 0, len(list))
	for _, p := range list {
		a, answer := in.tryOpen(p.open)
		switch {
		case !answer:
		case a.code != openWait:
			answers = append(answers, a)
		case !now.Before(p.until):
			in.report(p.key, partition.ErrNotReady)
		default:
			if !p.parked {
				answers = append(answers, a)
			}
			in.settle(p, true)
			continue
		}
		in.settle(p, false)
	}
	if len(answers) > 0 {
		in.out.post(func(b []byte) []byte { return appendFrame(b, kindOpenAck, answers) })
	}
}

// settle notes that an Open is parked, or done with, unless a newer one took
// its place meanwhile.
func (in *inbound) settle(p waitingOpen, parked bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.waiting[p.tp].session != p.session:
	case parked:
		p.parked = true
		in.waiting[p.tp] = p
	default:
		delete(in.waiting, p.tp)
	}
}

// tryOpen asks the partition to follow. answer is false when the leader has
// been told in another way, or need not be.
func (in *inbound) tryOpen(o open) (a openAck, answer bool) {
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
