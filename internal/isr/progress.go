package isr

import (
	"fmt"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Appended says that the leader's log ends at end now.
func (s *State) Appended(end int64, now time.Time) {
	if end <= s.end {
		return
	}
	t := s.clock.at(now)
	for i := range s.replicas {
		// Whoever had everything was caught up until this moment, and owes
		// something from now on: an idle partition has no lag.
		if r := &s.replicas[i]; s.held(r) >= s.end {
			r.caughtUp, r.dueSince = t, t
		}
	}
	s.history.add(s.end, t)
	s.end = end
	s.replicas[s.self].appended = end
}

// LocalSynced says that the leader's own log is durable below durableEnd.
func (s *State) LocalSynced(durableEnd int64, now time.Time) (moved bool) {
	t := s.clock.at(now)
	if r := &s.replicas[s.self]; durableEnd > r.durable {
		s.progress(r, durableEnd, t)
	}
	return s.advance(s.self, t)
}

// Acked says that the follower's log is durable below durableEnd, and written
// below appendedEnd, in the given session. Acks are cumulative. One of another
// session is [ErrStaleSession]; one that cannot be true is [ErrImpossibleAck]
// and ends the session.
func (s *State) Acked(id cluster.BrokerID, session uint64, durableEnd, appendedEnd int64, now time.Time) (moved bool, err error) {
	t := s.clock.at(now)
	r, i, ok := s.follower(id)
	if !ok || !r.link.open || r.link.session != session {
		return false, s.refuse(id, session, "not its current session", ErrStaleSession)
	}
	if durableEnd < r.durable || durableEnd > s.end {
		detail := fmt.Sprintf("durable end %d after %d, log end %d", durableEnd, r.durable, s.end)
		s.disconnect(r, t)
		return s.advance(i, t), s.refuse(id, session, detail, ErrImpossibleAck)
	}
	r.appended = max(appendedEnd, durableEnd)
	if durableEnd == r.durable {
		return false, nil
	}
	s.progress(r, durableEnd, t)
	return s.advance(i, t), nil
}

// progress notes that the replica is durable further than before.
func (s *State) progress(r *replica, durableEnd int64, t time.Duration) {
	r.durable = durableEnd
	r.dueSince = t
	if durableEnd >= s.end {
		r.caughtUp = t
	} else if at, ok := s.history.lookup(durableEnd); ok {
		r.caughtUp = max(r.caughtUp, at)
	}
	if !r.counts() {
		return // no ack waited for it
	}
	if at, ok := s.history.lookup(durableEnd - 1); ok {
		s.window.rotate(s.replicas, t)
		r.waits.now.add(t - at)
	}
}

func (s *State) refuse(id cluster.BrokerID, session uint64, detail string, cause error) error {
	return &Error{Epoch: s.epoch, Follower: id, Session: session, Detail: detail, Err: cause}
}
