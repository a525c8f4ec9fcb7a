package sim

import (
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// The windows of a session, in bytes. A batch of the simulation takes some
// eighty, so that a few batches are much.
const (
	liveWindow = 4 << 10
	bulkWindow = 1 << 10
)

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
		other := f.replica(r.tp)
		if f.up && other != nil && l.Session() != 0 && other.follow.id == l.Session() && b.w.r.IntN(8) != 0 {
			continue
		}
		if l.Session() != 0 || l.MayConnect(b.w.now) {
			r.openSession(f)
		}
	}
}

// openSession begins an attempt on a new connection.
func (r *replica) openSession(f *broker) {
	w, l := r.w(), &r.lead.links[f.id-1]
	r.closed(f.id, l.Session())
	w.sessions++
	l.Connect(w.sessions)
	w.send(&message{
		kind: msgOpen, from: r.b.id, to: f.id, tp: r.tp, session: l.Session(), epoch: r.lead.epoch,
		metaIndex: r.metaIndex, end: r.end(),
	})
}

// closeLink is a connection that breaks, of which only this side hears.
func (b *broker) closeLink(f *broker) {
	for _, r := range b.replicas {
		if b.up && r.lead != nil {
			r.closed(f.id, r.lead.links[f.id-1].Session())
		}
	}
}

// closed ends a session whose connection is gone.
func (r *replica) closed(id cluster.BrokerID, session uint64) {
	if r.lead == nil || r.lead.links[id-1].Session() != session || session == 0 {
		return
	}
	r.lead.links[id-1].Lost()
	r.lead.state.SessionClosed(id, session, r.w().now)
	r.advance()
}

// refused ends a session that the follower has given up or will not have.
func (r *replica) refused(m *message) {
	if r.leads(m) {
		r.failed(m.from)
	}
}

// failed ends a session, to be opened again after a while.
func (r *replica) failed(id cluster.BrokerID) {
	l := &r.lead.links[id-1]
	session := l.Session()
	l.Failed(r.w().now)
	r.lead.state.SessionClosed(id, session, r.w().now)
	r.advance()
}

// leads reports whether m is of a session that this leadership has now.
func (r *replica) leads(m *message) bool {
	return r.lead != nil && r.lead.epoch == m.epoch && m.session != 0 && r.lead.links[m.from-1].Session() == m.session
}

// opened takes the follower's answer: where it must be cut, or that it follows.
func (r *replica) opened(m *message) {
	if !r.leads(m) {
		return
	}
	l := &r.lead.links[m.from-1]
	if !l.Answered(m.epoch, m.session, m.parked, m.brokerEpoch) || m.parked {
		return
	}
	cut := partition.CutFor(r.epochs, 0, r.end(), partition.FollowerPosition{LogEnd: m.end, DurableEnd: m.durable, Epochs: m.epochs})
	if r.w().is(ruleR7) {
		cut = partition.Cut{To: min(m.end, r.end()), Needed: m.end > r.end()}
	}
	if cut.Needed {
		l.Truncate(cut)
		r.w().send(&message{kind: msgTruncate, from: r.b.id, to: m.from, tp: r.tp, session: m.session, epoch: r.lead.epoch, base: cut.To})
		return
	}
	r.count(m)
}

func (r *replica) truncated(m *message) {
	switch {
	case !r.leads(m):
	case r.lead.links[m.from-1].CutDone(m.epoch, m.session, m.durable):
		r.count(m)
	default:
		r.failed(m.from)
	}
}

// count begins to count the follower.
func (r *replica) count(m *message) {
	w, l := r.w(), &r.lead.links[m.from-1]
	if w.tracing {
		w.logf("b%d counts b%d in session %d of %s epoch %d: durable %d, end %d", r.b.id, m.from, m.session, r.name(), r.lead.epoch, m.durable, m.end)
	}
	r.lead.told[m.from-1] = m.durable
	r.lead.state.SessionOpened(m.from, m.session, l.BrokerEpoch(), m.durable, w.now)
	l.Begin(m.durable, m.end, r.end()-m.end, liveWindow)
	r.lead.state.CaughtUpLive(m.from, m.session, l.Live(), w.now)
	w.send(&message{kind: msgHighWatermark, from: r.b.id, to: m.from, tp: r.tp, session: m.session, epoch: r.lead.epoch, hw: r.hw})
	r.ignoreLeaving()
	r.advance()
}

// push sends what a follower lacks, a little at a time.
func (b *broker) push(f *broker) {
	if !b.up {
		return
	}
	for _, r := range b.replicas {
		if r.lead != nil && r.lead.links[f.id-1].Open() {
			r.push(f.id)
		}
	}
}

func (r *replica) push(id cluster.BrokerID) {
	w, l := r.w(), &r.lead.links[id-1]
	if l.Review(r.end(), bulkWindow) {
		r.lead.state.CaughtUpLive(id, l.Session(), l.Live(), w.now)
		r.advance()
	}
	m := &message{
		kind: msgHighWatermark, from: r.b.id, to: id, tp: r.tp, session: l.Session(), epoch: r.lead.epoch,
		base: l.Cursor(), hw: r.hw,
	}
	starves := w.starved == id && !w.calm && w.r.IntN(10) > 0
	if room, live := l.Room(liveWindow, bulkWindow); room > 0 && m.base < r.end() && !starves {
		m.kind, m.bulk, m.prevEpoch = msgData, !live, cluster.NoEpoch
		if m.base > 0 {
			m.prevEpoch, m.prevSum = r.log[m.base-1].epoch, r.log[m.base-1].sum()
		}
		to := min(r.end(), m.base+1+w.r.Int64N(3))
		m.entries = slices.Clone(r.log[m.base:to])
		size := 0
		for _, e := range m.entries {
			size += len(e.batch)
		}
		l.Sent(to, size, r.hw, w.now)
	}
	w.send(m)
}

// acked takes a follower's ack. Of another session it counts nothing (R4).
func (r *replica) acked(m *message) {
	if r.lead == nil {
		return
	}
	w, l := r.w(), &r.lead.links[m.from-1]
	if w.is(ruleR4) && (r.lead.epoch != m.epoch || l.Session() != m.session) {
		if durable := min(m.durable, r.end()); l.Open() && durable > r.lead.told[m.from-1] {
			r.countAck(m.from, durable)
		}
		return
	}
	ok, switched, err := l.Acked(m.epoch, m.session, m.durable, m.end, w.now)
	switch {
	case !ok:
		return
	case err != nil:
		r.failed(m.from)
		return
	case switched:
		r.lead.state.CaughtUpLive(m.from, l.Session(), l.Live(), w.now)
	}
	r.countAck(m.from, m.durable)
}

func (r *replica) countAck(from cluster.BrokerID, durable int64) {
	w, l := r.w(), &r.lead.links[from-1]
	if _, err := r.lead.state.Acked(from, l.Session(), durable, durable, w.now); err != nil {
		r.failed(from)
		return
	}
	r.lead.told[from-1] = durable
	if w.is(ruleMajority) {
		for i := range r.lead.links {
			if other := &r.lead.links[i]; other.Open() && r.lead.told[i] < durable {
				_, _ = r.lead.state.Acked(cluster.BrokerID(i+1), other.Session(), durable, durable, w.now)
			}
		}
	}
	r.advance()
}
