package bench

import (
	"context"
	"time"
)

const (
	// minNap is the shortest sleep between two wakes. Records that fall due
	// within it go out together: waking for each would cost, at 50,000 records
	// a second, a core that the brokers of a local cluster need.
	minNap = 100 * time.Microsecond
	// maxNap bounds one sleep that a cancelled context cannot end.
	maxNap = 5 * time.Millisecond
)

// Pacing is how the generator wakes.
type Pacing string

// The ways to wake, best first.
const (
	// PacingRealtime is a thread that the kernel runs before all ordinary ones.
	PacingRealtime Pacing = "real-time thread"
	// PacingThread is an ordinary thread: what else runs on the machine may
	// make it late.
	PacingThread Pacing = "thread"
	// PacingTimer is a timer of the Go runtime, about a millisecond late.
	PacingTimer Pacing = "runtime timer"
)

// maxRealtimeRate is up to how many records per second a producer may have a
// real-time thread. It takes a tenth of a core for that; one that cannot keep
// up would take a whole core from the cluster it measures.
const maxRealtimeRate = 100_000

// napFunc sleeps for about d. It may return early, and returns soon after ctx
// is done.
type napFunc func(ctx context.Context, d time.Duration)

// pace calls emit for every arrival of s before end, at the time it is due or
// as soon after as the machine allows: offset from of the schedule is due at
// start. All that is due at one wake is emitted at once. It returns when the
// next arrival lies at or after end, or ctx is done.
func pace(ctx context.Context, s *Schedule, start time.Time, from, end time.Duration, nap napFunc, emit func(due time.Time)) {
	for ctx.Err() == nil {
		at := s.Peek()
		if at >= end {
			return
		}
		due := start.Add(at - from)
		if wait := time.Until(due); wait > 0 {
			nap(ctx, max(wait, minNap))
			continue
		}
		s.Advance()
		emit(due)
	}
}

// timerNap sleeps on a timer of the runtime: about a millisecond late on
// Linux, and exact in the virtual time of tests.
func timerNap(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
