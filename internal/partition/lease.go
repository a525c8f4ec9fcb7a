package partition

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// tickInterval is how often deadlines, leases and the in-sync policy are looked
// at. One ticker serves all partitions; nothing ticks per partition or request.
const tickInterval = 50 * time.Millisecond

// Run expires acknowledgements, keeps leases and makes in-sync proposals until
// ctx ends, then fails what still waits.
func (t *Table) Run(ctx context.Context) error {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.tick(t.o.Now())
		case <-ctx.Done():
			for _, r := range t.Replicas() {
				r.mu.Lock()
				r.stepDown("shutting down")
				r.mu.Unlock()
			}
			return nil
		}
	}
}

// tick does one round over the led partitions.
func (t *Table) tick(now time.Time) {
	leased := t.since(now)-t.controllerAt.Load() < int64(t.o.Lease)
	broken := t.o.WAL.Err()
	var proposals []Proposal
	for _, r := range t.unordered() {
		if p, due := r.tick(now, leased, broken); due {
			proposals = append(proposals, p)
		}
	}
	if len(proposals) > 0 {
		t.o.Propose(proposals)
	}
}

// tick keeps the lease, expires acknowledgements and asks the in-sync policy. A
// mark that the policy drops can let the high watermark move. Once the
// write-ahead log is broken no acknowledgement will come.
func (r *Replica) tick(now time.Time, leased bool, broken error) (p Proposal, due bool) {
	p.TP = r.tp
	r.withLead(func(lead *leadership) bool {
		r.keepLease(now, leased)
		if broken != nil {
			r.failWaiters(lead, ErrStorage, broken.Error())
		}
		r.expire(now)
		if p.Proposal, due = lead.state.Tick(now); due {
			lead.proposed = p.Reason
		}
		return lead.state.HighWatermark() > r.highWatermark
	})
	return p, due
}

// The lease bounds how long a leader that nobody listens to keeps accepting
// work (replication.md §3.7). It serves usefulness, not safety: safety needs no
// clock. It is renewed by word from the controller, or by word from every
// in-sync follower with a session of this epoch: each would have closed it first
// had it moved on to a newer one.

// ControllerHeard renews the lease of every led partition.
func (t *Table) ControllerHeard() { t.controllerAt.Store(t.since(t.o.Now())) }

// PeerHeard notes a frame from a peer on an open link.
func (t *Table) PeerHeard(peer cluster.BrokerID) {
	at, ok := t.peerAt.Load(peer)
	if !ok {
		at, _ = t.peerAt.LoadOrStore(peer, new(atomic.Int64))
	}
	at.(*atomic.Int64).Store(t.since(t.o.Now()))
}

// heardWithin says whether the peer was heard from in the last d.
func (t *Table) heardWithin(peer cluster.BrokerID, now time.Time, d time.Duration) bool {
	at, ok := t.peerAt.Load(peer)
	return ok && t.since(now)-at.(*atomic.Int64).Load() < int64(d)
}

func (t *Table) since(now time.Time) int64 { return int64(now.Sub(t.started)) }

// keepLease suspends or resumes the leadership. REQUIRES: r.mu is held and r
// leads.
func (r *Replica) keepLease(now time.Time, leased bool) {
	if !leased {
		leased = Vouched(r.lead.state.Followers(now), func(id cluster.BrokerID) bool { return r.t.heardWithin(id, now, r.t.o.Lease) })
	}
	if leased != r.lead.suspended {
		return
	}
	r.lead.suspended = !leased
	if leased {
		r.t.o.Logger.Info("lease renewed", r.attrs("epoch", int64(r.lead.epoch))...)
		return
	}
	r.t.o.Logger.Warn("lease ran out: serving nothing until the controller or every in-sync replica is heard from",
		r.attrs("epoch", int64(r.lead.epoch))...)
	r.failWaiters(r.lead, ErrNotLeader, "lease ran out")
	r.wakeWatchers()
}
