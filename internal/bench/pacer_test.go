package bench

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// emission is one record as the pacer let it go.
type emission struct{ due, at time.Duration }

// paceFor runs the pacer on a virtual clock and returns what it emitted, as
// offsets from start. stall is called for every emission.
func paceFor(ctx context.Context, rate float64, from, end time.Duration, stall func(due time.Duration)) []emission {
	s := NewSchedule(Uniform, rate, 0, 1)
	for s.Peek() < from {
		s.Advance()
	}
	start := time.Now()
	var got []emission
	pace(ctx, s, start, from, end, timerNap, func(due time.Time) {
		got = append(got, emission{due: due.Sub(start), at: time.Since(start)})
		if stall != nil {
			stall(due.Sub(start))
		}
	})
	return got
}

// wait passes virtual time.
func wait(d time.Duration) { timerNap(context.Background(), d) }

func TestPacerIsPunctual(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := paceFor(t.Context(), 1000, 0, time.Second, nil)
		if len(got) != 1000 {
			t.Fatalf("emitted %d records, want 1000", len(got))
		}
		for i, e := range got {
			if want := time.Duration(i) * time.Millisecond; e.due != want || e.at != want {
				t.Fatalf("record %d was due at %s and went at %s, want both %s", i, e.due, e.at, want)
			}
		}
	})
}

func TestPacerSendsAllThatIsDueAtOneWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rate = 100_000 // ten records fall due within the shortest nap
		got := paceFor(t.Context(), rate, 0, 100*time.Millisecond, nil)
		if len(got) != rate/10 {
			t.Fatalf("emitted %d records, want %d", len(got), rate/10)
		}
		wakes := map[time.Duration]bool{}
		for _, e := range got {
			if late := e.at - e.due; late < 0 || late >= minNap {
				t.Fatalf("the record due at %s went at %s", e.due, e.at)
			}
			wakes[e.at] = true
		}
		if most := int(100*time.Millisecond/minNap) + 1; len(wakes) > most {
			t.Errorf("woke %d times, want at most %d", len(wakes), most)
		}
	})
}

func TestPacerKeepsTheScheduleWhenItStalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const stallAt, stallFor = 100 * time.Millisecond, 50 * time.Millisecond
		got := paceFor(t.Context(), 1000, 0, 300*time.Millisecond, func(due time.Duration) {
			if due == stallAt {
				wait(stallFor)
			}
		})
		if len(got) != 300 {
			t.Fatalf("emitted %d records, want 300: a stall must not drop any", len(got))
		}
		for i, e := range got {
			wantDue := time.Duration(i) * time.Millisecond
			wantAt := wantDue
			if wantDue > stallAt && wantDue < stallAt+stallFor {
				wantAt = stallAt + stallFor // late, and due when it was due
			}
			if e.due != wantDue || e.at != wantAt {
				t.Fatalf("record %d was due at %s and went at %s, want %s and %s", i, e.due, e.at, wantDue, wantAt)
			}
		}
	})
}

func TestPacerContinuesAScheduleFromItsMiddle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := paceFor(t.Context(), 3, time.Second, 2*time.Second, nil)
		if len(got) != 3 || got[0].due != 0 {
			t.Fatalf("got %v, want three records from 0 on", got)
		}
	})
}

func TestPacerStopsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		got := paceFor(ctx, 10, 0, time.Hour, nil)
		if len(got) != 1 && len(got) != 2 {
			t.Errorf("emitted %d records in 100 ms at 10 a second", len(got))
		}
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("stopped after %s, want 100ms", took)
		}
	})
}

func TestPreciseNapSleeps(t *testing.T) {
	t.Parallel()
	slept := make(chan time.Duration)
	go func() { // its thread is given up at the end
		nap, _ := precisePacing(true)
		began := time.Now()
		nap(context.Background(), 2*time.Millisecond)
		slept <- time.Since(began)
	}()
	if d := <-slept; d < time.Millisecond {
		t.Errorf("a nap of 2 ms took %s", d)
	}
}
