package sim

import (
	"flag"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	countFlag  = flag.Uint64("sim.n", 20_000, "number of schedules")
	firstFlag  = flag.Uint64("sim.first", 0, "seed of the first schedule; the others follow")
	seedFlag   = flag.Int64("seed", -1, "run the schedule of this seed alone and print what happens")
	brokenFlag = flag.String("broken", "", "with -seed: the rule to break, by its name in the table of mutations")
)

// explore runs schedules until one fails or all are done, and returns the
// lowest seed that failed, and why.
func explore(broken rule, first, count uint64) (seed uint64, failure error) {
	var mu sync.Mutex // guards seed and failure
	var next atomic.Uint64
	var bound atomic.Uint64
	bound.Store(count)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= bound.Load() {
					return
				}
				w := newWorld(first+i, broken, false)
				w.run(stepCount)
				if w.failure == nil {
					continue
				}
				mu.Lock()
				if failure == nil || first+i < seed {
					seed, failure = first+i, w.failure
					bound.Store(min(bound.Load(), i))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return seed, failure
}

// TestSchedules lets sound clusters live through many schedules.
func TestSchedules(t *testing.T) {
	if *seedFlag >= 0 {
		replay(t, uint64(*seedFlag))
		return
	}
	seed, failure := explore(none, *firstFlag, *countFlag/slowdown)
	if failure != nil {
		t.Errorf("go test ./internal/sim -run TestSchedules -seed %d: %v", seed, failure)
		replay(t, seed)
	}
}

// TestBrokenRulesAreFound breaks one rule at a time: each must be missed.
func TestBrokenRulesAreFound(t *testing.T) {
	for _, m := range mutations {
		if m.budget > maxBudget {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			seed, failure := explore(m.rule, *firstFlag, uint64(m.budget))
			if failure == nil {
				t.Fatalf("%s: nothing found in %d schedules", m.how, m.budget)
			}
			t.Logf("%s: found after %d schedules: %v", m.how, seed-*firstFlag+1, failure)
		})
	}
}

// replay prints one schedule.
func replay(t *testing.T, seed uint64) {
	broken := none
	for _, m := range mutations {
		if m.name == *brokenFlag {
			broken = m.rule
		}
	}
	w := newWorld(seed, broken, true)
	w.run(stepCount)
	t.Logf("seed %d, broken %q:\n%s", seed, *brokenFlag, strings.Join(w.trace, "\n"))
	if w.failure != nil {
		t.Errorf("%v", w.failure)
	}
}
