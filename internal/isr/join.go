package isr

import (
	"fmt"
	"time"
)

// reviewJoins decides for which followers outside the in-sync set the high
// watermark waits, so that they can join it at all: under steady traffic, one
// that is not waited for is always just behind (K14, R15). It waits for nobody
// whose join could not be proposed now, and not for long.
func (s *State) reviewJoins(t time.Duration) {
	for i := range s.replicas {
		r := &s.replicas[i]
		if r.inISR || r.join.proposed {
			continue
		}
		if r.join.pending {
			if t-r.join.marked >= s.o.JoinAbandon {
				if !s.joinable(r) { // otherwise another proposal was in its way
					r.join.failures++
				}
				r.drop()
				r.join.steady = unknown
				s.advance(i, t)
			}
			continue
		}
		if !s.keepsUp(r, t) {
			r.join.steady = unknown
			continue
		}
		if r.join.steady == unknown {
			r.join.steady = t
		}
		if s.flight.ready(t) && t-r.join.steady >= s.joinWait(r, t) {
			r.join.pending, r.join.marked = true, t
		}
	}
}

// keepsUp reports whether waiting for the follower would cost next to nothing.
func (s *State) keepsUp(r *replica, t time.Duration) bool {
	lag := s.lag(r, t)
	return r.admissible() && r.link.live && lag != unknown && lag <= s.o.JoinLagMax
}

// joinWait is how long the follower must have kept up before it is waited for:
// a moment if its lag is felt, and twice as long with every further departure
// and every time that it was waited for in vain, after the first. One that
// commits could go on with is not made to wait: the wait spares producers a
// stall, and they are in one.
func (s *State) joinWait(r *replica, t time.Duration) (wait time.Duration) {
	if s.short(t) {
		return 0
	}
	if s.lag(r, t) > s.o.JoinLagEasy {
		wait = s.o.JoinEasyWait
	}
	const maxShift = 16 // beyond any sensible RejoinWaitMax, far below overflow
	if n := max(0, r.leaves.within(s.o.FlapWindow, t)-1) + r.join.failures; n > 0 {
		wait = max(wait, min(time.Second<<min(n, maxShift), s.o.RejoinWaitMax))
	}
	return wait
}

// short reports whether nothing can be committed without another member: those
// that would stay are fewer than min.insync.replicas.
func (s *State) short(t time.Duration) bool {
	staying := 0
	for i := range s.replicas {
		if r := &s.replicas[i]; r.inISR && (i == s.self || s.judge(r, t) == stays) {
			staying++
		}
	}
	return staying < s.minISR
}

// joined notes that the follower is a member now.
func (s *State) joined(r *replica, t time.Duration) {
	r.drop()
	r.join.failures = 0
	r.join.steady = unknown
	if r.caughtUp == unknown {
		r.caughtUp, r.dueSince = t, t // as for the members that an epoch begins with (K4)
	}
}

// left notes that the follower is no member any more.
func (s *State) left(r *replica, t time.Duration) {
	why := "removed by the controller"
	for _, id := range s.flight.proposal.Remove {
		if s.flight.active && id == r.id {
			why = s.flight.proposal.Reason
		}
	}
	r.drop()
	r.join.steady = unknown
	r.leaves.add(t, why)
}

// joinable reports whether the follower may be proposed (I6).
func (s *State) joinable(r *replica) bool {
	return r.join.pending && r.admissible() && r.durable >= s.highWatermark && r.durable >= s.epochStart
}

// joiner is the index of a follower to propose. They join one at a time, so that
// what becomes of the follower tells what can become of the proposal.
func (s *State) joiner() (index int, ok bool) {
	for i := range s.replicas {
		if r := &s.replicas[i]; !r.inISR && s.joinable(r) {
			return i, true
		}
	}
	return nobody, false
}

func (s *State) joinReason(joiner int) string {
	r := &s.replicas[joiner]
	return fmt.Sprintf("add broker %d: durable up to %d, high watermark %d, epoch start %d, log end %d",
		r.id, r.durable, s.highWatermark, s.epochStart, s.end)
}
