package partition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
)

// step is something that happens to a broker.
type step func(l *life)

// script has each of them at least once, in an order that brings the awkward
// ones together: cuts after a checkpoint, a removal before one.
func script() []step {
	return []step{
		(*life).place, (*life).append, (*life).append, (*life).flush, (*life).append, (*life).checkpoint,
		(*life).append, (*life).lose, (*life).cut, (*life).follow, (*life).checkpoint, (*life).append,
		(*life).append, (*life).tick, (*life).cut, (*life).append, (*life).flush, (*life).cut, (*life).checkpoint,
		(*life).append, (*life).retain, (*life).append, (*life).checkpoint, (*life).remove, (*life).place,
		(*life).append, (*life).win, (*life).append, (*life).jump, (*life).append, (*life).append, (*life).checkpoint,
	}
}

// any is a random step.
func (l *life) any() step {
	switch n := l.rng.IntN(40); {
	case n < 17:
		return (*life).append
	case n < 20:
		return (*life).follow
	case n < 23:
		return (*life).cut
	case n < 25:
		return (*life).lose
	case n < 28:
		return (*life).win
	case n < 29:
		return (*life).jump
	case n < 32:
		return (*life).flush
	case n < 35:
		return (*life).checkpoint
	case n < 36:
		return (*life).tick
	case n < 37:
		return (*life).retain
	case n < 38:
		return (*life).remove
	default:
		return (*life).place
	}
}

// some is a partition, and its replica.
func (l *life) some() (*ledger, *Replica) {
	led := l.ledgers[l.rng.IntN(len(l.ledgers))]
	r, ok := l.table.Get(led.tp)
	if !ok {
		l.violation("%s has no replica", led.tp)
	}
	return led, r
}

func (l *life) leader(tp cluster.TopicPartition) cluster.BrokerID {
	_, p, _ := l.img.Partition(tp)
	return p.Leader
}

// next builds a batch that continues a log, of the producer that wrote last. If
// retention has taken all that it wrote, its windows may still know it, so
// another one begins.
func (l *life) next(led *ledger) record.Batch {
	b := record.NewBuilder(0)
	n := 1 + l.rng.IntN(3)
	for i := range n {
		value := fmt.Appendf(nil, "%d-%d-%d:", led.last().end, i, l.rng.Int64())
		b.Append(nil, append(value, bytes.Repeat([]byte("x"), l.rng.IntN(500))...), nil, 1_000+int64(i))
	}
	id, sequence := 7+led.last().end, int32(0)
	for i := len(led.last().batches) - 1; i >= 0; i-- {
		if last := led.last().batches[i]; last.ProducerID() >= 0 {
			id, sequence = last.ProducerID(), last.LastSequence()+1
			break
		}
	}
	return b.Producer(id, 0, sequence).Bytes()
}

// append writes to a partition, as its leader or as a follower.
func (l *life) append() {
	led, r := l.some()
	if l.leader(led.tp) != 1 {
		l.followed(led, r)
		return
	}
	for range 1 + l.rng.IntN(3) {
		b, before := l.next(led), l.log.End()
		acks := AcksAll
		if l.rng.IntN(3) == 0 {
			acks = AcksLeader
		}
		p, err := r.Append(context.Background(), AppendRequest{Batch: b, Acks: acks, Deadline: time.Now().Add(time.Hour), Epoch: cluster.NoEpoch})
		if l.refused("append", err) {
			if l.log.End() > before { // refused after it was written ahead
				led.append(l.log.End(), b)
			}
			return
		}
		led.append(l.log.End(), b)
		l.wait = append(l.wait, promise{p, led, l.log.End()})
	}
}

// refused checks that an error says what is the matter.
func (l *life) refused(op string, err error) bool {
	var typed *Error
	if err != nil && (!errors.As(err, &typed) || !errors.Is(err, ErrStorage) && !errors.Is(err, ErrStaleSession) || l.healthy()) {
		l.violation("%s on a disk that failed at %q: %w", op, l.hit, err)
	}
	return err != nil
}

func (l *life) healthy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hit == ""
}

// followed appends what the other broker has written.
func (l *life) followed(led *ledger, r *Replica) {
	if r.follow.id == 0 {
		l.open(led)
	}
	epoch := r.maxSeenEpoch
	req := FollowRequest{TP: led.tp, Session: l.session, Base: led.last().end, PrevEpoch: cluster.NoEpoch, HighWatermark: r.Info().DurableEndOffset}
	if e, crc, ok := r.log.Last(); ok {
		req.PrevEpoch, req.PrevCRC = e, crc
	}
	req.Session = r.follow.id
	b, before := l.next(led), l.log.End()
	b.Stamp(led.last().end, int32(epoch))
	req.Batches = b
	err := l.table.AppendFrom(context.Background(), req)
	if !l.refused("append as follower", err) || l.log.End() > before {
		led.append(l.log.End(), b)
	}
}

// open begins a session of the other broker.
func (l *life) open(led *ledger) {
	_, p, _ := l.img.Partition(led.tp)
	l.session++
	_, err := l.table.OpenFollow(OpenRequest{
		Leader: 2, TP: led.tp, Epoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, MetaIndex: l.index,
		Session: l.session, LogEnd: led.last().end, Sink: l,
	})
	if !l.refused("open", err) {
		l.table.FollowHighWatermark(led.tp, l.session, 0)
	}
}

// follow is append for a partition that the other broker leads.
func (l *life) follow() {
	for range 4 {
		if led, r := l.some(); l.leader(led.tp) == 2 {
			l.followed(led, r)
			return
		}
	}
}

// cut has the other broker truncate the log, never below what is committed.
func (l *life) cut() {
	led, r := l.some()
	if l.leader(led.tp) != 2 {
		l.lead(led, 2)
	}
	l.settle()
	low := max(r.Info().HighWatermark, r.Info().LogStartOffset)
	to := low + l.rng.Int64N(led.last().end-low+1)
	for _, b := range led.last().batches { // a leader names the end of a batch
		if b.BaseOffset() < to && to < b.NextOffset() {
			to = b.NextOffset()
		}
	}
	if to < led.last().end {
		l.truncate(led, Cut{To: to, Needed: true})
	}
}

// jump has the other broker, whose log starts later, empty this one.
func (l *life) jump() {
	led, _ := l.some()
	if l.leader(led.tp) != 2 {
		l.lead(led, 2)
	}
	l.truncate(led, Cut{To: led.last().end + l.rng.Int64N(20), Reset: true, Needed: true})
}

func (l *life) truncate(led *ledger, cut Cut) {
	l.open(led)
	before := l.log.End()
	var err error
	l.patiently("truncation", func() {
		_, err = l.table.TruncateFollow(context.Background(), led.tp, l.session, cut)
	})
	l.refused("truncate", err)
	switch {
	case l.log.End() == before:
	case cut.Reset:
		led.reset(l.log.End(), cut.To)
	default:
		led.cut(l.log.End(), cut.To)
	}
}
