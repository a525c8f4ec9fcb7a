package sim

import (
	"fmt"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// A schedule ends with some rounds in which everything works: short ones first,
// then long ones, as a broker that was away too often waits before it joins.
const (
	shortRounds, longRounds = 150, 600
	shortRound, longRound   = 20 * time.Millisecond, 250 * time.Millisecond
	// maxOpening bounds how long a session takes to open, once leader and
	// follower know that they are.
	maxOpening = 10 * shortRound
	// maxReopen is how long a leader waits at most after an attempt that failed.
	maxReopen = time.Second
)

// heal ends a schedule: all faults are over, and then everything must come to
// rest with every replica in sync, all logs equal and committed, and everything
// that was ever promised in them. Whatever happened before, nothing hangs.
func (w *world) heal() {
	w.calm = true
	w.tally.ackedBefore = w.tally.acked
	w.odds.early, w.odds.twice, w.odds.late, w.odds.lateKinds = 0, 0, 0, [2]kind{}
	w.late = nil
	w.cut = [brokerCount + 1][brokerCount + 1]bool{}
	for _, b := range w.brokers {
		for _, f := range w.brokers {
			b.redial(f) // a connection that lost something is over
		}
		b.slowStart = w.r.IntN(3 * shortRounds / 4)
	}
	if w.tracing {
		w.logf("all faults are over")
	}
	calm := w.now
	for round := range shortRounds + longRounds {
		length := shortRound
		if round >= shortRounds {
			length = longRound
		}
		w.now = w.now.Add(length)
		w.healRound(round)
		if w.failure != nil || w.healed(false) == "" {
			break
		}
	}
	w.tally.recovery = w.now.Sub(calm)
	if why := w.healed(true); why != "" {
		w.fail(stuck, "%s", why)
	}
}

func (w *world) healRound(round int) {
	for _, b := range w.brokers {
		if !b.up {
			b.start()
			for _, other := range w.brokers {
				other.redial(b) // it was refused
			}
		} else if w.registration(b.id).Incarnation == b.uuid() || round >= b.slowStart {
			w.repair(b)
		}
		if last := len(w.images) - 1; b.up && b.view < last {
			b.learn(last)
		}
		b.beat()
	}
	w.decide()
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
		w.receive(w.take(0))
	}
	if round < shortRounds {
		w.checkOpening()
	}
}

// checkOpening complains about sessions that take long to open though both sides
// have known for a while that they should be open.
func (w *world) checkOpening() {
	for _, b := range w.brokers {
		for _, r := range b.replicas {
			if r.lead == nil {
				continue
			}
			for _, f := range w.brokers {
				l := &r.lead.links[f.id-1]
				other := f.replica(r.tp)
				if f == b || !f.up || !f.registered || other == nil || other.broken || w.now.Sub(other.renewedAt) < maxReopen || l.Open() {
					r.lead.opening[f.id-1] = w.now
					continue
				}
				if since := r.lead.opening[f.id-1]; !since.IsZero() && w.now.Sub(since) > maxOpening {
					w.fail(stuck, "broker %d cannot follow broker %d in %s for %s", f.id, b.id, r.name(), w.now.Sub(since))
				} else if since.IsZero() {
					r.lead.opening[f.id-1] = w.now
				}
			}
		}
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

// redial opens all sessions on a new connection: none of them waits for the time
// that it was to wait on the old one.
func (b *broker) redial(f *broker) {
	for _, r := range b.replicas {
		if b.up && b != f && r.lead != nil {
			r.openSession(f)
		}
	}
}

// reconnect opens the sessions that are due.
func (b *broker) reconnect(f *broker) {
	for _, r := range b.replicas {
		if r.lead != nil && r.lead.links[f.id-1].MayConnect(b.w.now) {
			r.openSession(f)
		}
	}
}

// healed says what is not as it should be, at length if that is asked for;
// nothing if all is.
func (w *world) healed(explain bool) string {
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
				if !explain {
					return "not in sync"
				}
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
		o.read(r, r.hw)
	}
	for _, p := range o.acks {
		if p.offset >= leader.end() || leader.log[p.offset].value != p.value {
			o.w.fail(loss, "offset %d = %d was acknowledged in epoch %d and is not in the log", p.offset, p.value, p.epoch)
		}
	}
	return ""
}
