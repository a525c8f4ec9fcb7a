package isr

import (
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// SessionOpened starts to count the follower's position, beginning with what
// its handshake reported after it had truncated; that may be less than an
// earlier session knew (R4). Sessions are numbered upwards: a later one
// replaces an earlier one and never the other way round.
//
// A follower that reports more than the leader's log has not truncated; its
// session does not count.
func (s *State) SessionOpened(id cluster.BrokerID, session uint64, brokerEpoch cluster.BrokerEpoch, durableEnd int64, now time.Time) (moved bool) {
	t := s.clock.at(now)
	r, i, ok := s.follower(id)
	if !ok || session <= r.link.session {
		return false
	}
	if r.link.open {
		s.disconnect(r, t)
	}
	r.link.session = session
	if durableEnd > s.end {
		return s.advance(i, t)
	}
	r.link.open, r.link.brokerEpoch = true, brokerEpoch
	r.appended = durableEnd
	if durableEnd > r.durable {
		// Coming back is no progress, having more than before is: a follower
		// that only reconnects must not look alive.
		r.dueSince = t
	}
	r.durable = durableEnd
	if durableEnd >= s.end {
		r.caughtUp = t
	} else if at, ok := s.history.lookup(durableEnd); ok {
		r.caughtUp = max(r.caughtUp, at)
	}
	return s.advance(i, t)
}

// SessionClosed stops to count the follower's position, unless a later session
// has replaced the one given.
func (s *State) SessionClosed(id cluster.BrokerID, session uint64, now time.Time) (moved bool) {
	t := s.clock.at(now)
	r, i, ok := s.follower(id)
	if !ok || !r.link.open || r.link.session != session {
		return false
	}
	s.disconnect(r, t)
	return s.advance(i, t)
}

// disconnect makes the follower's position unknown. Nobody waits for a joiner
// that is gone, unless its join may yet be committed (I4).
func (s *State) disconnect(r *replica, t time.Duration) {
	if s.held(r) >= s.end {
		r.caughtUp, r.dueSince = t, t // from now on, its word is due
	}
	r.link.open, r.link.live = false, false
	r.link.closed = t
	r.join.steady = unknown
	if !r.join.proposed {
		r.drop()
	}
}

// CaughtUpLive says whether the session's cursor is on the live lane, which is
// where a follower can join the in-sync set (R15).
func (s *State) CaughtUpLive(id cluster.BrokerID, session uint64, live bool, now time.Time) (moved bool) {
	t := s.clock.at(now)
	r, i, ok := s.follower(id)
	if !ok || !r.link.open || r.link.session != session {
		return false
	}
	r.link.live = live
	if !live {
		r.join.steady = unknown
		if !r.join.proposed {
			r.drop()
		}
	}
	return s.advance(i, t)
}

// SetEligible says what the metadata knows of a replica's broker: under which
// epoch it is registered, and whether it may be in an in-sync set, which is to
// say unfenced and not shutting down. Nobody waits for a joiner that may not
// join (K14), unless its join may yet be committed (I4).
func (s *State) SetEligible(id cluster.BrokerID, eligible bool, epoch cluster.BrokerEpoch) (moved bool) {
	i := s.index(id)
	if i < 0 {
		return false
	}
	r := &s.replicas[i]
	r.eligible, r.metaEpoch = eligible, epoch
	if r.join.proposed && epoch > r.join.epoch {
		// Registering took it out of the set if it was in it, and no copy of
		// the proposal can put it there again: it names a registration that is
		// over for good.
		s.flight.active = false
		r.drop()
	}
	if !r.admissible() {
		r.join.steady = unknown
		if !r.join.proposed {
			r.drop()
		}
	}
	return s.advance(i, s.clock.latest)
}

// admissible reports whether the broker at the other end of the session is one
// that the controller would admit (K18).
func (r *replica) admissible() bool {
	return r.eligible && r.link.open && r.link.brokerEpoch == r.metaEpoch
}
