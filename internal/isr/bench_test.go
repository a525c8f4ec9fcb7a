package isr_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

// round is one commit: an append, the leader's sync and an ack of everybody.
type round struct {
	state     *isr.State
	followers []cluster.BrokerID
	end       int64
	now       time.Time
}

func newRound(replicas int) *round {
	r := &round{now: start}
	ids := make([]cluster.BrokerID, replicas)
	for i := range ids {
		ids[i] = cluster.BrokerID(i + 1)
	}
	r.followers = ids[1:]
	r.state = isr.New(isr.Options{}, isr.Term{Self: 1, Epoch: 1, Replicas: ids, ISR: ids, MinISR: replicas - 1}, start)
	for _, id := range ids {
		r.state.SetEligible(id, true, 1)
		r.state.SessionOpened(id, 1, 1, 0, start)
	}
	return r
}

func (r *round) append() {
	r.end += 10
	r.now = r.now.Add(100 * time.Microsecond)
	r.state.Appended(r.end, r.now)
}

func (r *round) acks() error {
	r.now = r.now.Add(200 * time.Microsecond)
	for _, id := range r.followers {
		if _, err := r.state.Acked(id, 1, r.end, r.end, r.now); err != nil {
			return err
		}
	}
	return nil
}

// TestHotPathAllocatesNothing holds the calls that every record causes to it.
func TestHotPathAllocatesNothing(t *testing.T) {
	r := newRound(3)
	allocs := testing.AllocsPerRun(1000, func() {
		r.append()
		r.state.LocalSynced(r.end, r.now)
		if err := r.acks(); err != nil {
			t.Fatal(err)
		}
		r.state.Tick(r.now)
	})
	if allocs != 0 {
		t.Errorf("%v allocations in a commit round, want none", allocs)
	}
	if r.state.HighWatermark() != r.end {
		t.Errorf("high watermark %d of %d", r.state.HighWatermark(), r.end)
	}
}

func BenchmarkCommitRound(b *testing.B) {
	for _, replicas := range []int{1, 3, 5} {
		b.Run(fmt.Sprintf("replicas=%d", replicas), func(b *testing.B) {
			r := newRound(replicas)
			b.ReportAllocs()
			for b.Loop() {
				r.append()
				r.state.LocalSynced(r.end, r.now)
				if err := r.acks(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppended(b *testing.B) {
	r := newRound(3)
	b.ReportAllocs()
	for b.Loop() {
		r.append()
	}
}

// BenchmarkAckedBehind acks with a follower that is a second behind, so that
// its lag has to be looked up.
func BenchmarkAckedBehind(b *testing.B) {
	r := newRound(3)
	const behind = 10_000 // appends
	for range behind {
		r.append()
	}
	b.ReportAllocs()
	for b.Loop() {
		r.append()
		durable := r.end - 10*behind
		if _, err := r.state.Acked(2, 1, durable, durable, r.now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTickSettled(b *testing.B) {
	r := newRound(3)
	b.ReportAllocs()
	for b.Loop() {
		r.now = r.now.Add(50 * time.Millisecond)
		r.state.Tick(r.now)
	}
}
