package isr

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Proposal asks the controller to replace the committed in-sync set. Its slices
// are shared with the [State]: do not modify them.
type Proposal struct {
	// Epoch and PartitionEpoch are what the controller compares and swaps on.
	Epoch          cluster.Epoch
	PartitionEpoch cluster.PartitionEpoch
	// ISR is the set asked for, each member under the broker epoch that the
	// leader knows it by.
	ISR []cluster.ISRMember
	// Reason says why, with the numbers, for logs and for the operator.
	Reason string
	// Add and Remove are the difference to the committed set: one that joins,
	// or some that leave.
	Add, Remove []cluster.BrokerID
	// Seq tells proposals of one State apart. A repeat has the same one.
	Seq uint64
}

// Outcome is what became of one sending of a proposal, as far as its sender can
// tell. That the change was made is learnt from the metadata alone.
type Outcome uint8

// The outcomes. The zero value is the one that is always safe.
const (
	// OutcomeUnknown means that the proposal may have been, or may yet be,
	// committed: no answer came, or one that says nothing.
	OutcomeUnknown Outcome = iota
	// OutcomeRejected means that this sending changed nothing and never will:
	// it did not leave this broker, or was answered with
	// [cluster.ErrIneligibleReplica].
	OutcomeRejected
	// OutcomeStale means that the partition's metadata has moved on, so that
	// this broker will hear of it.
	OutcomeStale
	// OutcomeAccepted means that the change was committed; the metadata that
	// says so is on its way.
	OutcomeAccepted
)

// String names the outcome for logs.
func (o Outcome) String() string {
	switch o {
	case OutcomeRejected:
		return "rejected"
	case OutcomeStale:
		return "stale"
	case OutcomeAccepted:
		return "accepted"
	default:
		return "unknown"
	}
}

// flight is the one proposal that may be committed at any time (I5).
type flight struct {
	active   bool
	proposal Proposal
	seq      uint64 // of the last proposal
	// sent counts the copies that were handed out, rejected those that are
	// known to be dead.
	sent, rejected int
	resend         time.Duration // when to hand out another copy
	// refusals counts rejected proposals in a row; nothing is proposed before
	// hold.
	refusals int
	hold     time.Duration
}

// Tick looks at the in-sync set as time passes and returns a proposal that is
// to be sent to the controller now: a new one, or again the one in flight. Every
// proposal returned should be answered with [State.Resolve], or by the metadata
// it leads to. Call it every 50 milliseconds or so.
//
// Tick may move the high watermark, when it gives up waiting for a follower
// that does not manage to join: compare [State.HighWatermark].
func (s *State) Tick(now time.Time) (p Proposal, due bool) {
	t := s.clock.at(now)
	paused := t-s.clock.ticked > s.o.PauseGap
	s.clock.ticked = t
	if paused {
		return Proposal{}, false
	}
	s.reviewJoins(t)
	f := &s.flight
	if f.active {
		return f.again(t, s.o.ResolveTimeout)
	}
	if !f.ready(t) {
		return Proposal{}, false
	}
	if joiner, ok := s.joiner(); ok {
		return s.propose(joiner, nil, s.joinReason(joiner), t), true
	}
	if leavers, reason := s.leavers(t); len(leavers) > 0 {
		return s.propose(nobody, leavers, reason, t), true
	}
	return Proposal{}, false
}

// ready reports whether a new proposal may be made.
func (f *flight) ready(t time.Duration) bool { return !f.active && t >= f.hold }

// again hands out another copy of the proposal in flight if it is time to.
func (f *flight) again(t, timeout time.Duration) (Proposal, bool) {
	if t < f.resend {
		return Proposal{}, false
	}
	f.sent++
	f.resend = t + timeout
	return f.proposal, true
}

// propose puts a proposal in flight. Who joins already counts (I4); who leaves
// counts until the metadata says otherwise.
func (s *State) propose(joiner int, leavers []int, reason string, t time.Duration) Proposal {
	f := &s.flight
	f.seq++
	p := Proposal{Epoch: s.epoch, PartitionEpoch: s.partitionEpoch, Reason: reason, Seq: f.seq}
	for i := range s.replicas {
		r := &s.replicas[i]
		switch {
		case i == joiner:
			r.join.proposed, r.join.epoch = true, r.link.brokerEpoch
			p.Add = append(p.Add, r.id)
			p.ISR = append(p.ISR, cluster.ISRMember{ID: r.id, Epoch: r.link.brokerEpoch})
		case slices.Contains(leavers, i):
			p.Remove = append(p.Remove, r.id)
		case r.inISR:
			p.ISR = append(p.ISR, cluster.ISRMember{ID: r.id, Epoch: r.metaEpoch})
		}
	}
	f.active, f.proposal = true, p
	f.sent, f.rejected = 1, 0
	f.resend = t + s.o.ResolveTimeout
	return p
}

// Resolve says what became of one sending of a proposal. Only the metadata ends
// a proposal that may have been committed; a rejection ends it if no other copy
// is under way (I5): one that was delayed could still find the replica eligible
// again, and the high watermark must not have passed that replica by then.
func (s *State) Resolve(p Proposal, outcome Outcome, now time.Time) (moved bool) {
	t := s.clock.at(now)
	f := &s.flight
	if !f.active || p.Seq != f.seq || p.Epoch != s.epoch {
		return false
	}
	switch outcome {
	case OutcomeStale, OutcomeAccepted:
		f.resend = t + s.o.ResolveTimeout
		return false
	case OutcomeRejected:
		f.rejected++
		if f.rejected == f.sent {
			return s.revert(t)
		}
	case OutcomeUnknown:
	}
	f.resend = t + min(s.o.ResendInterval*time.Duration(f.sent), resendMax)
	return false
}

// revert takes back the proposal in flight, every copy of which is dead.
func (s *State) revert(t time.Duration) (moved bool) {
	f := &s.flight
	f.active = false
	f.refusals++
	f.hold = t + min(s.o.ResendInterval*time.Duration(f.refusals), resendMax)
	last := nobody
	for i := range s.replicas {
		if r := &s.replicas[i]; r.join.proposed {
			r.drop()
			last = i
		}
	}
	return s.advance(last, t)
}

// Committed says what the metadata of this epoch is now. Older metadata than
// was seen is ignored; the same again is not (K5). Newer metadata settles the
// proposal in flight, which was for an older partition epoch: either this is
// what it led to, or it can lead to nothing any more.
func (s *State) Committed(pe cluster.PartitionEpoch, isr []cluster.BrokerID, minISR int, now time.Time) (moved bool) {
	if pe < s.partitionEpoch {
		return false
	}
	t := s.clock.at(now)
	last := s.holder()
	s.minISR = minISR
	if pe > s.partitionEpoch {
		s.partitionEpoch = pe
		s.settle(isr, t)
	}
	if last == s.self || s.replicas[last].counts() {
		last = nobody
	}
	return s.advance(last, t)
}

// settle makes isr the committed set and forgets the proposal in flight.
func (s *State) settle(isr []cluster.BrokerID, t time.Duration) {
	was := s.isr
	s.setMembers(isr)
	for i := range s.replicas {
		r := &s.replicas[i]
		switch before := slices.Contains(was, r.id); {
		case r.inISR && !before:
			s.joined(r, t)
		case !r.inISR && before:
			s.left(r, t)
		case r.join.proposed:
			r.drop()
		}
	}
	s.flight = flight{seq: s.flight.seq}
}

// SetMinISR changes the effective min.insync.replicas, as the topic's
// configuration did.
func (s *State) SetMinISR(minISR int) (moved bool) {
	s.minISR = minISR
	return s.advance(nobody, s.clock.latest)
}
