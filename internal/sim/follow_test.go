package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// parkFor is how long an Open waits for metadata.
const parkFor = 5 * time.Second

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

// waitingOpen is an Open that was not answered for good yet.
type waitingOpen struct {
	m     *message
	until time.Time
}

// open takes an Open in place of an older one of that leader that waits.
func (b *broker) open(m *message) {
	b.waiting = slices.DeleteFunc(b.waiting, func(x waitingOpen) bool { return x.m.tp == m.tp && x.m.from == m.from })
	if !b.tryOpen(m) {
		b.waiting = append(b.waiting, waitingOpen{m, b.w.now.Add(parkFor)})
	}
}

// admit tries the Opens that wait once more.
func (b *broker) admit() {
	if len(b.waiting) == 0 {
		return
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(x waitingOpen) bool {
		switch {
		case b.tryOpen(x.m):
			return true
		case b.w.now.Before(x.until):
			return false
		default:
			b.refuse(x.m)
			return true
		}
	})
}

// tryOpen answers an Open as package replication does; false if it is to wait.
func (b *broker) tryOpen(m *message) (answered bool) {
	w, r := b.w, b.replica(m.tp)
	err := partition.MayOpen(b.registered || w.is(ruleR5Registered), r != nil, m.metaIndex, b.image().Index())
	switch {
	case errors.Is(err, partition.ErrNotReady) && !w.is(ruleR5Park):
		w.send(&message{kind: msgOpenAck, from: b.id, to: m.from, tp: m.tp, session: m.session, epoch: m.epoch, parked: true})
		return false
	case err != nil:
		b.refuse(m)
	case r.follow.cutting:
		return false // it waits for the disk
	default:
		r.open(m)
	}
	return true
}

func (b *broker) refuse(m *message) {
	b.w.send(&message{kind: msgClosed, from: b.id, to: m.from, tp: m.tp, session: m.session, epoch: m.epoch})
}

// open accepts a leader's session or does not.
func (r *replica) open(m *message) {
	w, s := r.w(), r.standing()
	if w.is(ruleR2) {
		s.MaxSeenEpoch = cluster.NoEpoch
	}
	_, err := s.Accepts(partition.OpenRequest{Leader: m.from, TP: m.tp, Epoch: m.epoch, MetaIndex: m.metaIndex, Session: m.session, LogEnd: m.end})
	switch {
	case r.broken, errors.Is(err, partition.ErrFencedEpoch), w.is(ruleR5Preempt) && r.follow.id != 0:
		r.b.refuse(m)
		return
	case err != nil:
		return // the leader has a newer session open
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
	self, ok := r.b.image().Broker(r.b.id)
	if !ok {
		self = &cluster.Broker{}
	}
	w.send(&message{
		kind: msgOpenAck, from: r.b.id, to: m.from, tp: r.tp, session: m.session, epoch: m.epoch,
		brokerEpoch: self.Epoch, durable: durable, end: r.end(), epochs: r.vector(),
	})
}

// vector is the epochs as a follower sends them.
func (r *replica) vector() []partition.EpochStart {
	all := make([]partition.EpochStart, 0, len(r.epochs))
	for _, e := range r.epochs {
		all = append(all, partition.EpochStart(e))
	}
	return all
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
	if err := r.standing().MayCut(m.base); err != nil {
		w.fail(invariant, "broker %d is asked to cut %s by the leader of epoch %d: %v", r.b.id, r.name(), m.epoch, err)
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
		w.logf("b%d cuts %s %d -> %d for b%d epoch %d", r.b.id, r.name(), r.end(), r.follow.cutTo, r.follow.leader, r.follow.epoch)
	}
	r.follow.cutting = false
	r.truncate(r.follow.cutTo)
	r.durable = r.end()
	if r.follow.id == 0 {
		return
	}
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
	run := partition.Run{
		Base: m.base, Next: m.base + int64(len(m.entries)),
		FirstEpoch: m.entries[0].epoch, LastEpoch: m.entries[len(m.entries)-1].epoch,
	}
	if why := r.standing().Continues(m.base, m.prevEpoch, m.prevSum, run); why != "" && !w.is(ruleR6) {
		r.b.refuse(m)
		r.follow = follow{cutting: r.follow.cutting, cutTo: r.follow.cutTo, cutLSN: r.follow.cutLSN}
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

func (r *replica) followHW(hw int64) {
	if hw = min(hw, r.end()); hw > r.hw {
		r.hw = hw
		r.w().oracles[r.tp].read(r, r.hw)
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
