package partition

import (
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/trace"
)

// What follows fills in the traces of batches that wait for acknowledgement,
// under the mutex that whoever brings the news holds anyway: no lock, clock or
// allocation of their own on the way of a record.

// traced begins the trace of a batch that was just appended. REQUIRES: r.mu is
// held.
func (r *Replica) traced(p *Pending, acks Acks, began time.Time) {
	p.trace = trace.Batch{
		Topic: r.topic, Partition: r.tp.Partition, Epoch: int32(r.lead.epoch), Acks: int16(acks),
		Base: p.base, Count: int32(p.next - p.base),
		Began: trace.At(began), Appended: trace.At(r.now()), Last: trace.NoBroker,
	}
}

// tracedSync notes that this broker's disk has everything before end.
// REQUIRES: r.mu is held and r leads.
func (r *Replica) tracedSync(end int64, at time.Time) {
	now := trace.At(at)
	synced := func(w *waiter) bool {
		b := &w.pending.trace
		if b.Fsynced != 0 {
			return false
		}
		b.Fsynced = now
		return true
	}
	r.lead.replicas.reached(end, synced)
	r.lead.local.reached(end, synced)
}

// tracedAck notes an acknowledgement of a follower. REQUIRES: r.mu is held.
func (lead *leadership) tracedAck(follower cluster.BrokerID, end int64, a *trace.Ack) {
	lead.replicas.reached(end, func(w *waiter) bool {
		return w.pending.trace.Follower(int32(follower), w.end, a)
	})
}

// tracedRelease notes that the word of a broker makes acknowledgements up to
// end due. REQUIRES: r.mu is held.
func (w *waiters) tracedRelease(end int64, by cluster.BrokerID, at time.Time) {
	now := trace.At(at)
	w.reached(end, func(x *waiter) bool {
		x.pending.trace.Committed, x.pending.trace.Last = now, int32(by)
		return true
	})
}
