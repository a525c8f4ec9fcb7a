package budget

import "time"

// rejoin is how soon somebody waits again after the last one has given up, for
// both to wait for the same: a client asks again after its own, shorter timeout.
const rejoin = time.Second

// Stall is for how long all who wait for room have waited in vain. Its zero value
// is that of nobody. It needs the same lock as the queue.
type Stall struct {
	since time.Time // of the first who waits, or of the last grant; zero after a grant to the last
	left  time.Time // when the last one who waited gave up
}

// Joined says that somebody waits, and whether nobody did before.
func (s *Stall) Joined(now time.Time, first bool) {
	if first && (s.since.IsZero() || now.Sub(s.left) > rejoin) {
		s.since = now
	}
}

// Granted says that somebody got room, and whether others still wait.
func (s *Stall) Granted(now time.Time, others bool) {
	s.since = time.Time{}
	if others {
		s.since = now
	}
}

// GaveUp says that somebody waits no longer.
func (s *Stall) GaveUp(now time.Time) { s.left = now }

// Age is how long ago somebody got room, or the first began to wait. It is zero
// when nobody waits, but not at once: who has just given up found no room.
func (s *Stall) Age(now time.Time, waiting int) time.Duration {
	if s.since.IsZero() || waiting == 0 && now.Sub(s.left) > rejoin {
		return 0
	}
	return now.Sub(s.since)
}
