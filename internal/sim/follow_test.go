package sim

import (
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
)

// follow is a follower's side of a session.
type follow struct {
	id     uint64 // 0: none
	leader cluster.BrokerID
	epoch  cluster.Epoch
	acking bool // the leader counts this session
	// cutting says that data must wait for a cut to cutTo, which the
	// write-ahead log holds at cutLSN.
	cutting bool
	cutTo   int64
	cutLSN  int
}

// open accepts a leader's session, as partition.(*Table).OpenFollow does.
func (r *replica) open(m *message) {
	w := r.w()
	if !r.b.registered || r.follow.cutting {
		return // not yet: the leader asks again
	}
	last := cluster.NoEpoch
	if n := len(r.log); n > 0 {
		last = r.log[n-1].epoch
	}
	switch {
	case m.epoch < r.maxSeen && !w.is(ruleR2),
		r.lead != nil && r.lead.epoch >= m.epoch,
		last > m.epoch,
		r.follow.id != 0 && r.follow.epoch == m.epoch && r.follow.id > m.session:
		return
	}
	r.stepDown()
	r.maxSeen = max(r.maxSeen, m.epoch)
	r.follow = follow{id: m.session, leader: m.from, epoch: m.epoch}
	if w.is(ruleR7) {
		r.truncate(r.hw)
		r.generation++
	}
	durable := r.durable
	if w.is(ruleAckSync) {
		durable = r.end()
	}
	self, _ := r.b.image().Broker(r.b.id)
	w.send(&message{
		kind: msgOpenAck, from: r.b.id, to: m.from, tp: r.tp, session: m.session, epoch: m.epoch,
		brokerEpoch: self.Epoch, durable: durable, end: r.end(), epochs: slices.Clone(r.epochs),
	})
}

// current reports whether m belongs to the session that may change the log.
func (r *replica) current(m *message) bool { return r.follow.id != 0 && r.follow.id == m.session }

// startCut takes a truncation. Until it is synced it may be lost, and data is
// refused.
func (r *replica) startCut(m *message) {
	w := r.w()
	if !r.current(m) || r.follow.cutting {
		return
	}
	if m.base < r.hw {
		w.fail("broker %d is asked to cut %d/%d to %d, below its high watermark %d, by the leader of epoch %d",
			r.b.id, r.tp.TopicID[1], r.tp.Partition, m.base, r.hw, m.epoch)
		return
	}
	r.b.lsn++
	r.follow.cutting, r.follow.cutTo, r.follow.cutLSN = true, m.base, r.b.lsn
	r.generation++
	r.durable = min(r.durable, m.base)
}

// cut is done when the write-ahead log has synced the truncation.
func (r *replica) cut() {
	w := r.w()
	if w.tracing {
		w.logf("b%d cuts %d/%d %d -> %d for b%d epoch %d", r.b.id, r.tp.TopicID[1], r.tp.Partition, r.end(), r.follow.cutTo, r.follow.leader, r.follow.epoch)
	}
	r.follow.cutting = false
	r.truncate(r.follow.cutTo)
	r.durable = r.end()
	w.send(&message{
		kind: msgTruncated, from: r.b.id, to: r.follow.leader, tp: r.tp, session: r.follow.id, epoch: r.follow.epoch,
		durable: r.durable, end: r.end(),
	})
}

// data appends what continues the log and ends the session otherwise (R6).
func (r *replica) data(m *message) {
	w := r.w()
	if !r.current(m) {
		return
	}
	if !w.is(ruleR6) && !r.continues(m) {
		w.send(&message{kind: msgClosed, from: r.b.id, to: m.from, tp: r.tp, session: m.session})
		r.follow = follow{id: 0, cutting: r.follow.cutting, cutTo: r.follow.cutTo, cutLSN: r.follow.cutLSN, leader: r.follow.leader, epoch: r.follow.epoch}
		return
	}
	for _, e := range m.entries {
		r.write(e)
	}
	r.follow.acking = true
	r.followHW(m.hw)
	if w.is(ruleAckSync) {
		r.ack(r.end())
	}
}

func (r *replica) continues(m *message) bool {
	if r.follow.cutting || m.base != r.end() {
		return false
	}
	if m.base > 0 {
		if last := r.log[m.base-1]; last.epoch != m.prev.epoch || last.value != m.prev.value || m.entries[0].epoch < last.epoch {
			return false
		}
	}
	return m.entries[len(m.entries)-1].epoch <= r.follow.epoch
}

func (r *replica) followHW(hw int64) {
	if hw = min(hw, r.end()); hw > r.hw {
		r.hw = hw
		r.w().oracles[r.tp].read(r)
	}
}

// highWatermark is the first word that the leader counts the session, and then
// how far all is committed.
func (r *replica) highWatermark(m *message) {
	if !r.current(m) {
		return
	}
	first := !r.follow.acking
	r.follow.acking = true
	if !r.follow.cutting {
		r.followHW(m.hw)
	}
	if first {
		r.ack(r.durable)
	}
}

// ack tells the leader how far the log is synced.
func (r *replica) ack(durable int64) {
	r.w().send(&message{
		kind: msgAck, from: r.b.id, to: r.follow.leader, tp: r.tp, session: r.follow.id, epoch: r.follow.epoch,
		durable: durable, end: r.end(),
	})
}
