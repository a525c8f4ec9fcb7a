package partition

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/trace"
)

// The way of a batch to the high watermark, seen in its trace: who was the last
// that was waited for, and when everybody else was done.
func TestTraceOfABatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		acks []int32 // of the followers, in this order, a millisecond apart
		last int32
	}{
		{name: "follower 3 is last", acks: []int32{2, 3}, last: 3},
		{name: "follower 2 is last", acks: []int32{3, 2}, last: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, map[string]string{"min.insync.replicas": "2"})
				l := w.replica(1)
				info, _ := l.Lead()
				sessions := map[int32]uint64{2: w.follow(1, 2), 3: w.follow(1, 3)}
				p := w.mustProduce(1, AcksAll, batch(2, "a"))
				synctest.Wait() // the leader's own sync
				for _, id := range tt.acks {
					time.Sleep(time.Millisecond) // of the bubble
					how := trace.Ack{At: time.Now(), Fsync: time.Millisecond, Flights: []trace.Flight{{End: 2, Sent: time.Now().Add(-time.Microsecond)}}}
					if err := l.FollowerAck(cluster.BrokerID(id), info.Epoch, sessions[id], 2, 2, how); err != nil {
						t.Fatal(err)
					}
				}
				b := p.Trace()
				if outcome(p) != "ok" || b == nil {
					t.Fatalf("%s, traced %t", outcome(p), b != nil)
				}
				if b.Last != tt.last || b.Count != 2 || b.Base != 0 || b.Topic != "t" || b.Acks != int16(AcksAll) {
					t.Errorf("got %+v", b)
				}
				if b.Began == 0 || b.Appended < b.Began || b.Fsynced < b.Appended || b.Committed-b.Fsynced != trace.Stamp(2*time.Millisecond) {
					t.Errorf("got %+v, want the commit two milliseconds after the leader's sync", b)
				}
				for i, id := range tt.acks {
					f := b.Followers[i]
					if f.ID != id || f.FsyncMicros != 1000 || f.Acked-f.Sent != 1000 || f.Acked-b.Fsynced != trace.Stamp(i+1)*trace.Stamp(time.Millisecond) {
						t.Errorf("follower %d is %+v", id, f)
					}
				}
			})
		})
	}
}

// A batch that waits for nobody but its leader, and one that is in the log
// already.
func TestTraceWithoutFollowers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.follow(1, 2)
		p := w.mustProduce(1, AcksLeader, idempotent(0))
		again := w.mustProduce(1, AcksLeader, idempotent(0))
		synctest.Wait()
		b := p.Trace()
		if b == nil || b.Last != 1 || b.Fsynced == 0 || b.Committed != b.Fsynced || b.Followers[0].Acked != 0 {
			t.Errorf("acks=1: got %+v", b)
		}
		if again.Trace() != nil {
			t.Errorf("the duplicate has a trace: %+v", again.Trace())
		}
		alone := newWorld(t, 1, nil).mustProduce(1, AcksAll, batch(1, "a"))
		synctest.Wait()
		if b := alone.Trace(); outcome(alone) != "ok" || b.Last != 1 || b.Committed != b.Fsynced {
			t.Errorf("acks=all of one replica: got %+v", b)
		}
	})
}
