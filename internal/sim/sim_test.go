package sim

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	countFlag  = flag.Uint64("sim.n", 20_000, "number of schedules")
	firstFlag  = flag.Uint64("sim.first", 0, "seed of the first schedule; the others follow")
	goalFlag   = flag.Bool("sim.goal", false, "print what was lived through, as one line of JSON")
	seedFlag   = flag.Int64("seed", -1, "run the schedule of this seed alone and print what happens")
	brokenFlag = flag.String("broken", "", "with -seed: the rule to break, by its name in the table of mutations")
)

// explore runs schedules until one fails or all are done, and returns the
// lowest seed that failed, and why.
func explore(broken rule, first, count uint64, sum *summary) (seed uint64, failure error) {
	// What a schedule leaves behind is small, and there is a lot of it.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	var mu sync.Mutex // guards seed, failure and sum
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
				mu.Lock()
				sum.add(w)
				if w.failure != nil && (failure == nil || first+i < seed) {
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
	var sum summary
	seed, failure := explore(none, *firstFlag, *countFlag/slowdown, &sum)
	if failure != nil {
		t.Errorf("%s: %v", replayCommand(seed, none), failure)
		replay(t, seed)
	}
	t.Log(&sum)
	if *goalFlag {
		sum.print(t, *firstFlag, failure)
	}
}

// TestBrokenRulesAreFound breaks one rule at a time: each must be missed.
func TestBrokenRulesAreFound(t *testing.T) {
	for _, m := range mutations {
		if m.budget > maxBudget {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			var sum summary
			seed, failure := explore(m.rule, *firstFlag, uint64(m.budget), &sum)
			if failure == nil {
				t.Fatalf("%s: nothing found in %d schedules", m.how, m.budget)
			}
			t.Logf("%s: found after %d schedules: %s: %v", m.how, seed-*firstFlag+1, replayCommand(seed, m.rule), failure)
		})
	}
}

// replayCommand is what to type to see a schedule again.
func replayCommand(seed uint64, broken rule) string {
	command := fmt.Sprintf("go test ./internal/sim -run TestSchedules -seed %d", seed)
	if broken != none {
		command += " -broken " + mutations[broken-1].name
	}
	return command
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
