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

// ControllerSilence is how long ago the controller was last heard from.
func (t *Table) ControllerSilence() time.Duration {
	return time.Duration(t.since(t.o.Now()) - t.controllerAt.Load())
}

// HeardFrom says whether a peer was heard from in the last d.
func (t *Table) HeardFrom(peer cluster.BrokerID, d time.Duration) bool {
	return t.heardWithin(peer, t.o.Now(), d)
}

// heardWithin says whether the peer was heard from in the last d.
func (t *Table) heardWithin(peer cluster.BrokerID, now time.Time, d time.Duration) bool {
	at, ok := t.peerAt.Load(peer)
	return ok && t.since(now)-at.(*atomic.Int64).Load() < int64(d)
}

func (t *Table) since(now time.Time) int64 { return int64(now.Sub(t.started)) }

// leaseRanOut is why a suspended leader refuses.
const leaseRanOut = "lease ran out: neither the controller nor every in-sync replica was heard from"

// handover is how long after the controller's last word a leader may still be
// replaced: the controller waits for a session, which is longer than the lease by
// half, and the others need a moment to hear of it. In the meantime nobody leads
// whom a client could be sent to, and one that looks for the leader in vain does
// not look again for as much as five seconds. So a suspended leader refuses
// without saying so until it knows who leads, its lease is renewed, or this has
// passed.
func (o *Options) handover() time.Duration { return o.Lease + o.Lease*3/4 }

// succession is whether this leader may be being replaced.
func (t *Table) succession(now time.Time) bool {
	return t.since(now)-t.controllerAt.Load() < int64(t.o.handover())
}

// hold returns what a client waits for whose batch a suspended leader refuses,
// or nil if it is to be told at once. Nothing is appended. REQUIRES: r.mu is held.
func (r *Replica) hold(req AppendRequest) *Pending {
	if r.failed != "" || r.lead == nil || !r.lead.suspended || req.Acks == AcksNone || !r.t.succession(r.now()) {
		return nil
	}
	p := &Pending{base: -1, next: -1, appendTime: -1, logStart: r.log.StartOffset(), done: make(chan struct{})}
	r.lead.held.push(waiter{deadline: req.Deadline, pending: p})
	return p
}

// keepLease suspends or resumes the leadership. REQUIRES: r.mu is held and r
// leads.
func (r *Replica) keepLease(now time.Time, leased bool) {
	if !leased {
		leased = Vouched(r.lead.state.Followers(now), func(id cluster.BrokerID) bool { return r.t.heardWithin(id, now, r.t.o.Lease) })
	}
	switch suspended := r.lead.suspended; {
	case leased && suspended:
		r.lead.suspended = false
		r.lead.held.failAll(r.fail("append", ErrNotLeader, "lease ran out, and is renewed"))
		r.t.o.Logger.Info("lease renewed", r.attrs("epoch", int64(r.lead.epoch))...)
	case !leased && !suspended:
		r.lead.suspended = true
		r.t.o.Logger.Warn("lease ran out: serving nothing until the controller or every in-sync replica is heard from",
			r.attrs("epoch", int64(r.lead.epoch))...)
		r.wakeWatchers()
	}
	if r.lead.suspended && !r.t.succession(now) {
		r.failWaiters(r.lead, ErrNotLeader, leaseRanOut)
	}
}

// Leader is who leads as far as this replica knows, and in which epoch: what
// metadata says, unless a leader of a newer epoch is known. It is NoBroker if that
// one is not known by name, and if it is this broker and its lease ran out.
func (r *Replica) Leader() (cluster.BrokerID, cluster.Epoch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.fail("", nil, "")
	if r.lead != nil && r.lead.suspended {
		return cluster.NoBroker, known.Epoch
	}
	return known.Leader, known.Epoch
}
