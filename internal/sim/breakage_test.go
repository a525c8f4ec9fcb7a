package sim

import (
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

// electFirst is what R12 forbids: whoever is first in the assignment and alive
// leads, whatever it holds.
func electFirst(old, img *cluster.Image) {
	for _, t := range img.Topics() {
		for i, p := range t.Partitions {
			_, was, ok := old.Partition(t.TopicPartition(i))
			first, _ := img.Broker(p.Replicas[0])
			if ok && was.LeaderEpoch != p.LeaderEpoch && p.Leader != cluster.NoBroker && first.Eligible() {
				p.Leader = p.Replicas[0] // this image made p: no other shares it
			}
		}
	}
}

// ignoreLeaving is what R9 forbids: the leader stops to wait for whom it has
// proposed to remove, before the metadata says that they are removed.
func (r *replica) ignoreLeaving() {
	w := r.w()
	for _, id := range r.lead.leaving {
		w.sessions++
		r.lead.feigned[id-1] = w.sessions
		r.lead.state.SessionOpened(id, w.sessions, 0, r.end(), w.now)
	}
}

// comeBack undoes ignoreLeaving when the metadata has the last word.
func (r *replica) comeBack() {
	for _, id := range r.lead.leaving {
		r.lead.state.SessionClosed(id, r.lead.feigned[id-1], r.w().now)
	}
	r.lead.leaving = nil
}

// pending is a join that was proposed, and how often.
type pending struct {
	proposal isr.Proposal
	copies   int
	since    time.Time
}

func (p *pending) sent(proposal isr.Proposal, now time.Time) {
	switch {
	case len(proposal.Add) == 0:
		p.copies = 0
	case p.copies == 0 || p.proposal.Seq != proposal.Seq:
		*p = pending{proposal: proposal, copies: 1, since: now}
	default:
		p.copies++
	}
}

// abandonAfter is for how long a join that was not proposed is waited for.
const abandonAfter = 2 * time.Second

// forgetPending is what R15 forbids: that a join which was proposed is given up
// after as long as one that was not.
func (r *replica) forgetPending() {
	w, p := r.w(), &r.lead.pending
	if !w.is(ruleR15) || p.copies == 0 || w.now.Sub(p.since) < abandonAfter {
		return
	}
	for range p.copies {
		r.lead.state.Resolve(p.proposal, isr.OutcomeRejected, w.now)
	}
	p.copies = 0
	r.advance()
}

// breakGate is what R8 forbids: that whoever may be about to join helps the
// in-sync set to be large enough.
func (r *replica) breakGate() {
	if !r.w().is(ruleGate) {
		return
	}
	n := 2
	if len(r.lead.state.MaximalISR()) >= n {
		n = 1
	}
	r.lead.state.SetMinISR(n)
}
