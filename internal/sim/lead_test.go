package sim

import (
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
)

// phase is how far a session is on the leader's side.
type phase uint8

const (
	phaseClosed phase = iota
	phaseOpening
	phaseTruncating
	phaseOpen
)

// link is the leader's side of a session.
type link struct {
	session     uint64
	phase       phase
	brokerEpoch cluster.BrokerEpoch
	cursor      int64 // what is sent next
	told        int64 // the last ack
}

// connect opens sessions to a follower where there are none that work, and now
// and then where there are. The leader may have noticed nothing.
func (b *broker) connect(f *broker) {
	if !b.up {
		return
	}
	for _, r := range b.replicas {
		if r.lead == nil {
			continue
		}
		l := &r.lead.links[f.id-1]
		if other := f.replica(r.tp); f.up && other != nil && l.phase != phaseClosed && other.follow.id == l.session && b.w.r.IntN(8) != 0 {
			continue
		}
		r.openSession(f)
	}
}

func (r *replica) openSession(f *broker) {
	w, l := r.w(), &r.lead.links[f.id-1]
	r.closed(f.id, l.session)
	w.sessions++
	*l = link{session: w.sessions, phase: phaseOpening}
	w.send(&message{kind: msgOpen, from: r.b.id, to: f.id, tp: r.tp, session: l.session, epoch: r.lead.epoch})
}

// closeLink is a connection that breaks, of which only this side hears.
func (b *broker) closeLink(f *broker) {
	for _, r := range b.replicas {
		if b.up && r.lead != nil {
			r.closed(f.id, r.lead.links[f.id-1].session)
		}
	}
}

func (r *replica) closed(id cluster.BrokerID, session uint64) {
	if r.lead == nil || r.lead.links[id-1].session != session || session == 0 {
		return
	}
	r.lead.links[id-1].phase = phaseClosed
	r.lead.state.SessionClosed(id, session, r.w().now)
	r.advance()
}

// sessionOf returns the link that m belongs to.
func (r *replica) sessionOf(m *message, want phase) *link {
	if r.lead == nil || r.lead.epoch != m.epoch {
		return nil
	}
	l := &r.lead.links[m.from-1]
	if l.session != m.session || l.phase != want {
		return nil
	}
	return l
}

// opened takes the follower's answer: where it must be cut, or that it follows.
func (r *replica) opened(m *message) {
	l := r.sessionOf(m, phaseOpening)
	if l == nil {
		return
	}
	l.brokerEpoch = m.brokerEpoch
	to, needed := cutFor(r.epochs, r.end(), m.epochs, m.end)
	if r.w().is(ruleR7) {
		to, needed = min(m.end, r.end()), m.end > r.end()
	}
	if needed {
		l.phase = phaseTruncating
		r.w().send(&message{kind: msgTruncate, from: r.b.id, to: m.from, tp: r.tp, session: l.session, epoch: r.lead.epoch, base: to})
		return
	}
	r.count(l, m)
}

func (r *replica) truncated(m *message) {
	if l := r.sessionOf(m, phaseTruncating); l != nil {
		r.count(l, m)
	}
}

// count begins to count the follower.
func (r *replica) count(l *link, m *message) {
	w := r.w()
	l.phase, l.cursor, l.told = phaseOpen, m.end, m.durable
	if w.tracing {
		w.logf("b%d counts b%d in session %d of %d/%d epoch %d: durable %d, end %d", r.b.id, m.from, l.session, r.tp.TopicID[1], r.tp.Partition, r.lead.epoch, m.durable, m.end)
	}
	r.lead.state.SessionOpened(m.from, l.session, l.brokerEpoch, m.durable, w.now)
	r.lead.state.CaughtUpLive(m.from, l.session, true, w.now)
	w.send(&message{kind: msgHighWatermark, from: r.b.id, to: m.from, tp: r.tp, session: l.session, epoch: r.lead.epoch, hw: r.hw})
	r.ignoreLeaving()
	r.advance()
}

// push sends what a follower lacks, a little at a time.
func (b *broker) push(f *broker) {
	if !b.up {
		return
	}
	for _, r := range b.replicas {
		if r.lead == nil || r.lead.links[f.id-1].phase != phaseOpen {
			continue
		}
		l := &r.lead.links[f.id-1]
		m := message{
			kind: msgHighWatermark, from: b.id, to: f.id, tp: r.tp, session: l.session, epoch: r.lead.epoch,
			base: l.cursor, hw: r.hw,
		}
		if l.cursor < r.end() {
			m.kind = msgData
			if l.cursor > 0 {
				m.prev = r.log[l.cursor-1]
			}
			to := min(r.end(), l.cursor+1+b.w.r.Int64N(3))
			m.entries = slices.Clone(r.log[l.cursor:to])
			l.cursor = to
		}
		b.w.send(&m)
	}
}

// acked takes a follower's ack. Of another session it counts nothing (R4).
func (r *replica) acked(m *message) {
	if l := r.sessionOf(m, phaseOpen); l != nil {
		r.countAck(l, m.from, m.durable)
	}
}

func (r *replica) countAck(l *link, from cluster.BrokerID, durable int64) {
	w := r.w()
	if _, err := r.lead.state.Acked(from, l.session, durable, durable, w.now); err != nil {
		l.phase = phaseClosed
		r.advance()
		return
	}
	l.told = durable
	if w.is(ruleMajority) {
		for i := range r.lead.links {
			if other := &r.lead.links[i]; other.phase == phaseOpen && other.told < durable {
				_, _ = r.lead.state.Acked(cluster.BrokerID(i+1), other.session, durable, durable, w.now)
			}
		}
	}
	r.advance()
}

// ackAnyone is what R4 forbids: an ack counts for whoever leads when it comes,
// in whatever session the follower is then.
func (w *world) ackAnyone(m *message) {
	for _, b := range w.brokers {
		r := b.replica(m.tp)
		if !b.up || r == nil || r.lead == nil || b.id == m.from {
			continue
		}
		l := &r.lead.links[m.from-1]
		if durable := min(m.durable, r.end()); l.phase == phaseOpen && durable >= l.told {
			r.countAck(l, m.from, durable)
		}
	}
}

// cutFor is where a follower's log stops being a prefix of the leader's: the
// smaller end of the newest epoch that both have (R7).
func cutFor(ours []epochStart, end int64, theirs []epochStart, theirEnd int64) (to int64, needed bool) {
	if theirEnd == 0 {
		return 0, false
	}
	last := theirEnd
	for i := len(theirs) - 1; i >= 0; i-- {
		if ourEnd, ok := epochEnd(ours, end, theirs[i].epoch); ok {
			to = min(last, ourEnd)
			return to, to != theirEnd
		}
		last = theirs[i].start
	}
	return 0, true
}

func epochEnd(vector []epochStart, end int64, epoch cluster.Epoch) (int64, bool) {
	for i := len(vector) - 1; i >= 0; i-- {
		if vector[i].epoch == epoch {
			return end, true
		}
		end = vector[i].start
	}
	return 0, false
}
