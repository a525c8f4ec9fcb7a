package isr

import (
	"fmt"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// FollowerState is the state of a follower as far as the in-sync set goes. A
// link knows more: that it is parked, truncating or refused by the follower's
// disk. Whoever owns both shows the link's word in place of Connecting.
type FollowerState uint8

// The states. Every follower is always in exactly one.
const (
	// Connecting means that there is no session in this epoch, or none now.
	Connecting FollowerState = iota
	// CatchingUp means that it is not in sync, and not about to be.
	CatchingUp
	// Joining means that the high watermark waits for it to become in sync.
	Joining
	// InSync means that it is a member of the committed set.
	InSync
	// Stalled means that it is a member and has made no progress for
	// StallTimeout while data is due.
	Stalled
)

// String is the word that tools print.
func (f FollowerState) String() string {
	switch f {
	case CatchingUp:
		return "catching_up"
	case Joining:
		return "joining"
	case InSync:
		return "in_sync"
	case Stalled:
		return "stalled"
	default:
		return "connecting"
	}
}

// FollowerStatus is what the leader knows of a follower.
type FollowerStatus struct {
	ID    cluster.BrokerID
	State FollowerState
	// Reason says why it is not caught up or not in sync, with the numbers;
	// empty when there is nothing to say.
	Reason string
	InISR  bool
	// DurableEnd, AppendedEnd and LagRecords are negative when unknown, which
	// is to say without a session.
	DurableEnd, AppendedEnd, LagRecords int64
	// Lag is the time since LastCaughtUp, zero for a follower that has
	// everything and negative when it is unknown.
	Lag time.Duration
	// LastCaughtUp is the last moment at which it had all of the log; zero if
	// it never had in this epoch.
	LastCaughtUp time.Time
	// AckWaitShare is the part of the commits of the last 30 to 60 seconds
	// that it was the last to allow; not a number when there were none.
	AckWaitShare float64
	// AckWaitP99 is the time from append to its ack that one ack in a hundred
	// exceeded lately; negative when unknown.
	AckWaitP99 time.Duration
	// Flaps is how often it left the in-sync set within FlapWindow.
	Flaps int
}

// Followers describes every replica but the leader, in the order of assignment.
func (s *State) Followers(now time.Time) []FollowerStatus {
	t := s.clock.at(now)
	s.window.rotate(s.replicas, t)
	all := make([]FollowerStatus, 0, len(s.replicas))
	for i := range s.replicas {
		if i != s.self {
			all = append(all, s.describe(&s.replicas[i], t))
		}
	}
	return all
}

// LeaderWait is the leader's own part in recent commits, as AckWaitShare and
// AckWaitP99 are a follower's: its disk can be the slowest too.
func (s *State) LeaderWait(now time.Time) (share float64, p99 time.Duration) {
	s.window.rotate(s.replicas, s.clock.at(now))
	w := &s.replicas[s.self].waits
	return w.share(s.replicas), w.p99()
}

func (s *State) describe(r *replica, t time.Duration) FollowerStatus {
	f := FollowerStatus{
		ID: r.id, State: s.state(r, t), InISR: r.inISR,
		DurableEnd: unknown, AppendedEnd: unknown, LagRecords: unknown,
		Lag:          s.lag(r, t),
		AckWaitShare: r.waits.share(s.replicas), AckWaitP99: r.waits.p99(),
		Flaps: r.leaves.within(s.o.FlapWindow, t),
	}
	if r.link.open {
		f.DurableEnd, f.AppendedEnd, f.LagRecords = r.durable, r.appended, s.end-r.durable
	}
	switch {
	case f.Lag == 0:
		f.LastCaughtUp = s.clock.start.Add(t)
	case r.caughtUp != unknown:
		f.LastCaughtUp = s.clock.start.Add(r.caughtUp)
	}
	if r.inISR {
		f.Reason = s.memberReason(r, t)
	} else {
		f.Reason = s.outsideReason(r, t)
	}
	return f
}

func (s *State) state(r *replica, t time.Duration) FollowerState {
	switch {
	case !r.link.open:
		return Connecting
	case r.inISR && s.held(r) < s.end && t-r.dueSince >= s.o.StallTimeout:
		return Stalled
	case r.inISR:
		return InSync
	case r.join.pending:
		return Joining
	default:
		return CatchingUp
	}
}

// memberReason is silent about a member until a reader would notice the wait.
func (s *State) memberReason(r *replica, t time.Duration) string {
	const noticeable = 500 * time.Millisecond
	if s.held(r) >= s.end || t-r.dueSince < noticeable {
		return ""
	}
	return s.owes(r, t)
}

// outsideReason says what a follower that is not in sync still lacks.
func (s *State) outsideReason(r *replica, t time.Duration) string {
	reason := s.lacks(r, t)
	if r.leaves.count > 0 {
		reason += "; last left: " + r.leaves.why
	}
	return reason
}

func (s *State) lacks(r *replica, t time.Duration) string {
	switch {
	case !r.link.open:
		return "no session"
	case !r.eligible:
		return "its broker is fenced, shutting down or not registered"
	case r.link.brokerEpoch != r.metaEpoch:
		return fmt.Sprintf("its broker epoch is %d, the metadata has %d", r.link.brokerEpoch, r.metaEpoch)
	case r.join.proposed:
		return fmt.Sprintf("join proposed, sent %d times, no outcome yet", s.flight.sent)
	case r.join.pending:
		return fmt.Sprintf("about to be proposed: durable up to %d, high watermark %d, epoch start %d", r.durable, s.highWatermark, s.epochStart)
	case !r.link.live:
		return fmt.Sprintf("catching up, %d records behind", s.end-r.durable)
	case !s.keepsUp(r, t):
		return fmt.Sprintf("not caught up within %s, %d records behind", s.o.JoinLagMax, s.end-r.durable)
	case s.joinWait(r, t) == 0:
		return "another in-sync change comes first"
	case s.lag(r, t) > s.o.JoinLagEasy && s.joinWait(r, t) <= s.o.JoinEasyWait:
		return fmt.Sprintf("not caught up within %s yet, %d records behind", s.o.JoinLagEasy, s.end-r.durable)
	default:
		return fmt.Sprintf("must stay caught up for %s, after leaving %d times in %s and failing to join %d times",
			s.joinWait(r, t), r.leaves.within(s.o.FlapWindow, t), s.o.FlapWindow, r.join.failures)
	}
}
