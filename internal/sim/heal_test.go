package sim

import (
	"fmt"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// healRounds is for how long everything works at the end of a schedule.
const healRounds = 400

// heal ends a schedule: all faults are over, and then everything must come to
// rest with every replica in sync, all logs equal and committed, and everything
// that was ever promised in them. Whatever happened before, nothing hangs.
func (w *world) heal() {
	w.calm = true
	w.odds.early, w.odds.twice, w.odds.late, w.odds.lateKind = 0, 0, 0, msgOpen
	w.late = nil
	for _, b := range w.brokers {
		for _, f := range w.brokers {
			b.closeLink(f) // a connection that lost something is over
		}
	}
	if w.tracing {
		w.logf("all faults are over")
	}
	for range healRounds {
		w.now = w.now.Add(10 * time.Millisecond)
		w.healRound()
		if w.failure != nil || w.healed() == "" {
			break
		}
	}
	if why := w.healed(); why != "" && w.is(none) { // of a broken rule a loss is asked
		w.fail("does not recover: %s", why)
	}
}

func (w *world) healRound() {
	for _, b := range w.brokers {
		w.repair(b)
		if last := len(w.images) - 1; b.up && b.view < last {
			b.learn(last)
		}
	}
	for _, c := range w.clients {
		for _, q := range append([]request(nil), c.inFlight...) {
			c.resend(q)
		}
	}
	for _, b := range w.brokers {
		for _, f := range w.brokers {
			if f != b {
				b.reconnect(f)
				b.push(f)
			}
		}
		b.tick()
		b.syncAll()
	}
	for len(w.net) > 0 && w.failure == nil {
		m := w.take(0)
		w.receive(&m)
	}
}

// resend sends a batch to whoever leads now.
func (c *client) resend(q request) {
	_, p, ok := c.w.newest().Partition(c.tp)
	if !ok || p.Leader == cluster.NoBroker {
		return
	}
	if r := c.w.peer(p.Leader).replica(c.tp); r != nil && c.w.peer(p.Leader).up {
		c.answered(q, r.produce(q))
	}
}

// reconnect opens the sessions that do not work.
func (b *broker) reconnect(f *broker) {
	for _, r := range b.replicas {
		if r.lead == nil {
			continue
		}
		other := f.replica(r.tp)
		if l := &r.lead.links[f.id-1]; other != nil && (l.phase == phaseClosed || !other.follow.cutting && (other.follow.id != l.session || l.phase != phaseOpen)) {
			r.openSession(f)
		}
	}
}

// healed says what is not as it should be; nothing if all is.
func (w *world) healed() string {
	for _, t := range w.newest().Topics() {
		for i, p := range t.Partitions {
			tp := t.TopicPartition(i)
			if p.Leader == cluster.NoBroker {
				return "nobody leads"
			}
			leader := w.peer(p.Leader).replica(tp)
			if leader == nil || leader.lead == nil {
				return "the leader does not know that it leads"
			}
			if len(p.ISR) != brokerCount || leader.hw != leader.end() {
				return fmt.Sprintf("in sync %v, high watermark %d of %d: %+v", p.ISR, leader.hw, leader.end(), leader.lead.state.Followers(w.now))
			}
			if why := w.oracles[tp].settled(leader); why != "" {
				return why
			}
		}
	}
	for _, c := range w.clients {
		if len(c.inFlight) > 0 {
			return "a client waits"
		}
	}
	return ""
}

// settled compares every replica with the leader and with what was promised.
func (o *oracle) settled(leader *replica) string {
	for _, b := range o.w.brokers {
		r := b.replica(o.tp)
		if r == nil || r.end() != leader.end() || r.hw != leader.hw {
			return "a replica is behind"
		}
		o.read(r)
	}
	for _, p := range o.acks {
		if p.offset >= leader.end() || leader.log[p.offset].value != p.value {
			o.w.fail("LOSS: offset %d = %d was acknowledged in epoch %d and is not in the log", p.offset, p.value, p.epoch)
		}
	}
	return ""
}
