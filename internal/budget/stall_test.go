package budget

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestStalled counts from when the first began to wait, or somebody got room.
func TestStalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(10)
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		stalled := func(want time.Duration) {
			t.Helper()
			if got := b.Stalled(); got != want {
				t.Errorf("stalled for %v, want %v", got, want)
			}
		}
		wait := func(n int, patience time.Duration) {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := b.Take(ctx, n); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		if err := b.Take(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		stalled(0) // nobody waits
		wait(4, time.Hour)
		wait(6, time.Hour)
		pass(4 * time.Second)
		stalled(4 * time.Second)
		b.Give(5)
		stalled(0) // the first got room
		pass(2 * time.Second)
		stalled(2 * time.Second)
		b.Give(5)
		stalled(0)

		for i := range 5 { // each gives up, and asks again
			wait(1, time.Second)
			pass(time.Second)
			stalled(time.Second + time.Duration(i)*(time.Second+rejoin/2))
			pass(rejoin / 2)
		}
		wait(1, 2*time.Second)
		stalled(5 * (time.Second + rejoin/2))
		pass(2*time.Second + 2*rejoin)
		stalled(0)
		wait(1, time.Hour)
		stalled(0) // that was another time
		b.Refuse(context.DeadlineExceeded)
		stalled(0)
		b.Give(10)
		wantFree(t, b)
	})
}
