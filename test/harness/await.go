package harness

import (
	"context"
	"testing"
	"time"
)

// pollEvery is how often Await looks again.
const pollEvery = 20 * time.Millisecond

// Await calls ready until it returns nil, and fails the test with the last
// error when ctx ends first.
func Await(ctx context.Context, t testing.TB, what string, ready func(context.Context) error) {
	t.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v (%v)", what, err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// Within bounds one step of a test.
func Within(t testing.TB, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// Pause waits on the real clock, for tests whose subject is the delay.
func Pause(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
}
