package startup

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// electionLimit is what a start takes longer when the last event killed the
// leader of the metadata: its followers notice after up to a second.
const electionLimit = 2 * time.Second

// event is one broker's start, or its end by SIGKILL.
type event struct {
	at     time.Duration // since the first one
	broker int
	kill   bool
}

// String shows an event in the log of a test.
func (e event) String() string {
	what := "start"
	if e.kill {
		what = "kill"
	}
	return fmt.Sprintf("%v: %s %d", e.at.Round(time.Millisecond), what, e.broker+1)
}

// TestRestartsWhileStarting kills brokers while they found the cluster, and
// starts them again. Wherever that hits, when all run it is a cluster.
func TestRestartsWhileStarting(t *testing.T) {
	runs := 4
	if *all {
		runs = 40
	}
	for run := range runs {
		r := random(t, 100+uint64(run))
		events := restarts(r, 3)
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			t.Parallel()
			t.Logf("-startup.seed %d: %v", *seed, events)
			c := prepare(t, 3)
			client := newClient(t, c.Bootstrap())
			play(t, c, events)
			var last time.Time
			for i := range c.Brokers() {
				last = awaitListening(t, c, i)
			}
			firstAck(t, client, "survived", 3)
			checkFirstAck(t, "the last restart", last, *limit+electionLimit)
		})
	}
}

// restarts returns one or two ends of every broker, at any time after its start.
func restarts(r *rand.Rand, brokers int) []event {
	longest := int64(longestDelay())
	var events []event
	for broker := range brokers {
		at := time.Duration(r.Int64N(longest))
		events = append(events, event{at: at, broker: broker})
		for range 1 + r.IntN(2) {
			at += time.Duration(r.Int64N(longest))
			events = append(events, event{at: at, broker: broker, kill: true})
			at += time.Duration(r.Int64N(longest / 4))
			events = append(events, event{at: at, broker: broker})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return events
}

func play(t *testing.T, c *devcluster.Cluster, events []event) {
	t.Helper()
	began := time.Now()
	for _, e := range events {
		harness.Pause(t, time.Until(began.Add(e.at)))
		if !e.kill {
			launch(t, c, e.broker)
			continue
		}
		if err := c.Kill(e.broker); err != nil && !errors.Is(err, devcluster.ErrStopped) {
			t.Fatal(err)
		}
	}
}
