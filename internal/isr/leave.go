package isr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// verdict is what the policy says of an in-sync follower.
type verdict uint8

const (
	stays  verdict = iota
	leaves         // if enough members remain
	mustLeave
)

// judge applies the policy to one member. A member that owes nothing stays,
// connected or not: a partition that is idle and committed has no lag, and a
// broker that is gone is the controller's to fence.
func (s *State) judge(r *replica, t time.Duration) verdict {
	if !r.inISR || s.held(r) >= s.end {
		return stays
	}
	switch {
	case s.lag(r, t) > s.o.LagTimeMax:
		return mustLeave
	case s.disconnected(r, t) >= s.o.DisconnectGrace, t-r.dueSince >= s.o.StallTimeout:
		return leaves
	default:
		return stays
	}
}

// disconnected is for how long the follower has been without the session that
// it had; zero if it has one or never had one in this epoch.
func (s *State) disconnected(r *replica, t time.Duration) time.Duration {
	if r.link.open || r.link.closed == unknown {
		return 0
	}
	return t - r.link.closed
}

// leavers are the indexes of the members to remove, and why: all that must go,
// and of those that may go the ones that have owed longest, as long as
// min.insync.replicas members remain.
func (s *State) leavers(t time.Duration) (remove []int, reason string) {
	var may []int
	for i := range s.replicas {
		if i == s.self {
			continue
		}
		switch s.judge(&s.replicas[i], t) {
		case stays:
		case leaves:
			may = append(may, i)
		case mustLeave:
			remove = append(remove, i)
		}
	}
	spare := len(s.isr) - len(remove) - s.minISR
	if spare > 0 && len(may) > 0 {
		slices.SortStableFunc(may, func(a, b int) int {
			return cmp.Compare(s.replicas[a].dueSince, s.replicas[b].dueSince)
		})
		remove = append(remove, may[:min(spare, len(may))]...)
	}
	if len(remove) == 0 {
		return nil, ""
	}
	return remove, s.leaveReason(remove, t)
}

func (s *State) leaveReason(remove []int, t time.Duration) string {
	var b strings.Builder
	for _, i := range remove {
		r := &s.replicas[i]
		fmt.Fprintf(&b, "remove broker %d: %s; ", r.id, s.owes(r, t))
	}
	fmt.Fprintf(&b, "%d members remain, min.insync.replicas %d", len(s.isr)-len(remove), s.minISR)
	return b.String()
}

// owes describes what keeps a member behind: the limit that it passed, if it
// passed one.
func (s *State) owes(r *replica, t time.Duration) string {
	due := s.end - s.held(r)
	stalled := r.link.closed != unknown && t-r.dueSince >= s.o.StallTimeout
	switch gone := s.disconnected(r, t); {
	case s.lag(r, t) > s.o.LagTimeMax:
		return fmt.Sprintf("not caught up for %s, limit %s, %d records due", round(s.lag(r, t)), s.o.LagTimeMax, due)
	case gone > 0 && (gone >= s.o.DisconnectGrace || !stalled):
		return fmt.Sprintf("disconnected for %s, limit %s, %d records due", round(gone), s.o.DisconnectGrace, due)
	case !r.link.open && r.link.closed == unknown:
		return fmt.Sprintf("no session in this epoch for %s, limit %s, %d records due", round(t-r.dueSince), s.o.StallTimeout, due)
	default:
		return fmt.Sprintf("no progress for %s, limit %s, %d records due", round(t-r.dueSince), s.o.StallTimeout, due)
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
