package sim

import (
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/partition"
)

// kind is what a message is.
type kind uint8

const (
	msgOpen kind = iota
	msgOpenAck
	msgTruncate
	msgTruncated
	msgData
	msgHighWatermark
	msgAck
	msgClosed
	msgProduce
	msgProposal
	msgOutcome
)

// repeats says whether a copy may arrive again. A connection repeats nothing,
// so this is more than a broker meets; but a handshake answers itself and has no
// rule against it.
func (k kind) repeats() bool { return k > msgTruncated }

// message is something under way from one broker, client or controller to
// another. It may be lost, late, repeated or overtaken.
type message struct {
	kind     kind
	from, to cluster.BrokerID // NoBroker is a client or the controller
	tp       cluster.TopicPartition
	session  uint64
	epoch    cluster.Epoch

	brokerEpoch  cluster.BrokerEpoch
	durable, end int64
	epochs       []partition.EpochStart
	base, hw     int64
	prevEpoch    cluster.Epoch
	prevSum      uint32
	entries      []entry
	bulk         bool   // on the bulk lane, which keeps an order of its own
	metaIndex    uint64 // the image that made the sender the leader
	parked       bool   // the receiver waits for that

	request  request
	proposal *isr.Proposal
	outcome  isr.Outcome
}

func (w *world) send(m *message) {
	if len(w.net) == maxMessages && !w.calm {
		w.net = slices.Delete(w.net, 0, 1)
	}
	odds := w.odds.late
	if m.kind == w.odds.lateKinds[0] || m.kind == w.odds.lateKinds[1] {
		odds = 300
	}
	if m.kind.repeats() && w.r.IntN(1000) < odds {
		w.setAside(m)
		if w.r.IntN(2) == 0 {
			return
		}
	}
	w.net = append(w.net, m)
}

// setAside keeps a message for much later.
func (w *world) setAside(m *message) {
	if len(w.late) < maxLate {
		w.late = append(w.late, m)
	} else {
		w.late[w.r.IntN(maxLate)] = m
	}
}

func (w *world) take(i int) *message {
	m := w.net[i]
	w.net = slices.Delete(w.net, i, i+1)
	return m
}

// deliver hands over some message, as a rule the first one of its session.
func (w *world) deliver() {
	if n := len(w.late); n > 0 && w.r.IntN(20) == 0 {
		i := w.r.IntN(n)
		if at := slices.IndexFunc(w.late, w.worst); at >= 0 {
			i = at
		}
		m := w.late[i]
		w.late = slices.Delete(w.late, i, i+1)
		w.receive(m)
		return
	}
	if len(w.net) == 0 {
		return
	}
	i := w.r.IntN(len(w.net))
	if picked := w.net[i]; w.r.IntN(1000) >= w.odds.early && picked.session != 0 {
		for j, m := range w.net[:i] {
			if m.session == picked.session && m.from == picked.from && m.bulk == picked.bulk {
				i = j
				break
			}
		}
	}
	m := w.take(i)
	if w.r.IntN(1000) < w.odds.twice && m.kind.repeats() {
		w.send(m)
	}
	w.receive(m)
}

// worst reports whether a late message comes at the worst of times: an ack of a
// session that is over, for more than the follower has now,
// or a proposal that fits the partition, but not its member, who has registered
// anew and may join again. Chance alone would take long to try what these do.
func (w *world) worst(m *message) bool {
	switch {
	case m.kind == msgAck:
		r := w.peer(m.to).replica(m.tp)
		if r == nil || r.lead == nil {
			return false
		}
		l, f := &r.lead.links[m.from-1], w.peer(m.from).replica(m.tp)
		return l.Open() && l.Session() != m.session && f != nil && f.end() < m.durable && m.durable <= r.end()
	case m.kind == msgProposal && len(m.proposal.Add) > 0:
		_, p, ok := w.newest().Partition(m.tp)
		return ok && p.LeaderEpoch == m.proposal.Epoch && p.PartitionEpoch == m.proposal.PartitionEpoch &&
			slices.ContainsFunc(m.proposal.ISR, func(x cluster.ISRMember) bool {
				b := w.registration(x.ID)
				return b.Epoch != x.Epoch && b.Eligible()
			})
	default:
		return false
	}
}

// victim is the worst broker to crash: one whose join is proposed to the
// controller, which is rare, or else whose ack is on its way to a leader, in a
// message that comes late.
func (w *world) victim() (worst *broker) {
	for _, m := range w.late {
		switch {
		case m.kind == msgProposal && len(m.proposal.Add) > 0:
			if _, p, ok := w.newest().Partition(m.tp); ok && p.PartitionEpoch == m.proposal.PartitionEpoch {
				return w.peer(m.proposal.Add[0])
			}
		case m.kind == msgAck && m.durable > 0:
			if r := w.peer(m.to).replica(m.tp); r != nil && r.lead != nil && m.durable <= r.end() {
				worst = w.peer(m.from)
			}
		}
	}
	return worst
}

func (w *world) receive(m *message) {
	if w.cut[max(m.from, 0)][max(m.to, 0)] && m.kind != msgProduce {
		return
	}
	switch m.kind {
	case msgProposal:
		w.judge(m)
		return
	case msgOpen, msgOpenAck, msgTruncate, msgTruncated, msgData, msgHighWatermark, msgAck, msgClosed, msgProduce, msgOutcome:
	}
	b := w.peer(m.to)
	if !b.up {
		return
	}
	if m.from > 0 {
		b.heard[m.from-1] = w.now
	}
	r := b.replica(m.tp)
	switch {
	case m.kind == msgOpen:
		b.open(m)
		return
	case r == nil:
		return
	}
	switch m.kind {
	case msgOpen:
	case msgTruncate:
		r.startCut(m)
	case msgData:
		r.data(m)
	case msgHighWatermark:
		r.highWatermark(m)
	case msgOpenAck:
		r.opened(m)
	case msgTruncated:
		r.truncated(m)
	case msgAck:
		r.acked(m)
	case msgClosed:
		r.refused(m)
	case msgProduce:
		_ = r.produce(m.request) // a late copy: nobody waits for the answer
	case msgOutcome:
		r.resolve(m)
	case msgProposal:
	}
}
