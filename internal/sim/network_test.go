package sim

import (
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
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
	epochs       []epochStart
	base, hw     int64
	prev         entry
	entries      []entry

	request  request
	proposal *isr.Proposal
	outcome  isr.Outcome
}

func (w *world) send(m *message) {
	if len(w.net) == maxMessages {
		w.net = slices.Delete(w.net, 0, 1)
	}
	odds := w.odds.late
	if m.kind == w.odds.lateKind {
		odds = 300
	}
	if m.kind.repeats() && w.r.IntN(1000) < odds {
		w.setAside(m)
		if w.r.IntN(2) == 0 {
			return
		}
	}
	w.net = append(w.net, *m)
}

// setAside keeps a message for much later.
func (w *world) setAside(m *message) {
	if len(w.late) < maxLate {
		w.late = append(w.late, *m)
	} else {
		w.late[w.r.IntN(maxLate)] = *m
	}
}

func (w *world) take(i int) message {
	m := w.net[i]
	w.net = slices.Delete(w.net, i, i+1)
	return m
}

// deliver hands over some message, as a rule the first one of its session.
func (w *world) deliver() {
	if n := len(w.late); n > 0 && w.r.IntN(40) == 0 {
		i := w.r.IntN(n)
		m := w.late[i]
		w.late = slices.Delete(w.late, i, i+1)
		w.receive(&m)
		return
	}
	if len(w.net) == 0 {
		return
	}
	i := w.r.IntN(len(w.net))
	if picked := &w.net[i]; w.r.IntN(1000) >= w.odds.early && picked.session != 0 {
		for j := range w.net[:i] {
			if m := &w.net[j]; m.session == picked.session && m.from == picked.from {
				i = j
				break
			}
		}
	}
	m := w.take(i)
	if w.r.IntN(1000) < w.odds.twice && m.kind.repeats() {
		w.send(&m)
	}
	w.receive(&m)
}

func (w *world) receive(m *message) {
	switch m.kind {
	case msgProposal:
		w.judge(m)
		return
	case msgOpen, msgOpenAck, msgTruncate, msgTruncated, msgData, msgHighWatermark, msgAck, msgClosed, msgProduce, msgOutcome:
	}
	if m.kind == msgAck && w.is(ruleR4) {
		w.ackAnyone(m)
		return
	}
	b := w.peer(m.to)
	r := b.replica(m.tp)
	if !b.up || r == nil {
		return
	}
	switch m.kind {
	case msgOpen:
		r.open(m)
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
		r.closed(m.from, m.session)
	case msgProduce:
		_ = r.produce(m.request) // a late copy: nobody waits for the answer
	case msgOutcome:
		r.resolve(m)
	case msgProposal:
	}
}
