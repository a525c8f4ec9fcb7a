package metadata

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

var (
	seed   = flag.Uint64("metadata.seed", 0, "seed of what is asked; 0 is a new one")
	length = flag.Duration("metadata.length", 12*time.Second, "how long the clients ask")
)

const (
	clients = 6
	// pause is between two operations of a client.
	pause = 20 * time.Millisecond
	// names are in use at a time, each for namesFor: a history of one name that
	// is too long takes too long to check.
	names    = 3
	namesFor = time.Second
	// checkLimit is how long the check may take: longer is a failure.
	checkLimit = time.Minute
	// leastOf each outcome makes a run worth something.
	leastOf = 20
)

// TestMetadataIsOneLog has clients create, delete and read topics through all
// brokers while controllers are killed, frozen and stopped. What succeeded or
// failed must be explained by one order of all writes; what was read must be a
// prefix of it, which never shrinks on one broker and holds what that broker
// has acknowledged.
func TestMetadataIsOneLog(t *testing.T) {
	t.Parallel()
	if *seed == 0 {
		*seed = rand.Uint64() >> 1
	}
	t.Logf("-metadata.seed %d", *seed)
	c := harness.Start(t, devcluster.Options{})
	all := askers(t, c)
	h := &history{began: time.Now(), counts: map[string]int{}}

	ctx, stop := context.WithTimeout(t.Context(), *length)
	defer stop()
	var work sync.WaitGroup
	for i := range clients {
		work.Go(func() { h.client(ctx, all, rand.New(rand.NewPCG(*seed, uint64(i)))) }) //nolint:gosec // no secrets
	}
	faults := disturb(t, c, all, h.began.Add(*length))
	work.Wait()
	settle(t, all)

	t.Logf("%d faults, %v", faults, h.counts)
	for _, outcome := range []string{"create ok", "delete ok", "refused ok", "read ok"} {
		if h.counts[outcome] < leastOf {
			t.Errorf("%q %d times: the run proves nothing", outcome, h.counts[outcome])
		}
	}
	for _, what := range contradictions(h.leaders) {
		t.Error(what)
	}
	check(t, h.ops)
}

// client asks until ctx ends.
func (h *history) client(ctx context.Context, all []asker, r *rand.Rand) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		topic := fmt.Sprintf("t%d-%d", time.Since(h.began)/namesFor, r.IntN(names))
		broker := r.IntN(len(all))
		what := []func(context.Context, asker, int, string){h.create, h.remove, h.readTag, h.readTopic, h.readTopic}[r.IntN(5)]
		// Not ctx: the end of the run must not make outcomes unknown.
		what(context.WithoutCancel(ctx), all[broker], broker, topic)
	}
}

// disturb kills, freezes and stops controllers until then, and returns how often
// it did.
func disturb(t *testing.T, c *devcluster.Cluster, all []asker, until time.Time) int {
	t.Helper()
	ways := []func(i int) error{
		c.Kill,
		func(i int) error {
			err := c.Pause(i)
			harness.Pause(t, 1200*time.Millisecond)
			return errOr(err, c.Resume(i))
		},
		func(i int) error { return c.Stop(t.Context(), i) },
	}
	n := 0
	for harness.Pause(t, 400*time.Millisecond); time.Now().Before(until); harness.Pause(t, 400*time.Millisecond) {
		i := controllerOf(t.Context(), c, all)
		if i < 0 {
			continue
		}
		if err := ways[n%len(ways)](i); err != nil {
			t.Fatal(err)
		}
		n++
		if c.Brokers()[i].PID != 0 {
			continue
		}
		harness.Pause(t, 500*time.Millisecond)
		if err := c.Restart(t.Context(), i); err != nil {
			harness.Report(t, err)
			t.FailNow()
		}
	}
	return n
}

func errOr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// controllerOf returns the index of the controller, or -1 while nobody knows it.
func controllerOf(ctx context.Context, c *devcluster.Cluster, all []asker) int {
	for _, a := range all {
		if i, ok := c.Index(a.controller(ctx)); ok {
			return i
		}
	}
	return -1
}

// settle waits until all brokers show the same topics: nothing is written any
// more, so that they must come to.
func settle(t *testing.T, all []asker) {
	t.Helper()
	harness.Await(harness.Within(t, 20*time.Second), t, "all brokers to show the same topics", func(ctx context.Context) error {
		var first map[string]string
		for i, a := range all {
			topics, err := a.topics(ctx)
			if err != nil {
				return err
			}
			if first == nil {
				first = topics
			}
			if !maps.Equal(first, topics) {
				return fmt.Errorf("broker %d shows %d topics, broker 1 %d, and they differ", i+1, len(topics), len(first))
			}
		}
		return nil
	})
}

// check has the history judged, and leaves a picture of one that is wrong.
func check(t *testing.T, ops []porcupine.Operation) {
	t.Helper()
	began := time.Now()
	result, info := porcupine.CheckOperationsVerbose(model(), ops, checkLimit)
	t.Logf("%d operations are %v, in %v", len(ops), result, time.Since(began).Round(time.Millisecond))
	if result == porcupine.Ok {
		return
	}
	t.Errorf("the history is %v", result)
	page := filepath.Join(os.TempDir(), fmt.Sprintf("chronik-metadata-%d.html", *seed))
	if err := porcupine.VisualizePath(model(), info, page); err != nil {
		t.Error(err)
	}
	t.Logf("see %s", page)
	name := suspect(ops)
	for _, op := range ops {
		if c := op.Input.(call); c.Topic == name {
			t.Logf("%12d %20d %+v %+v", op.Call, op.Return, c, op.Output)
		}
	}
}

// suspect is the first name whose history is wrong by itself.
func suspect(ops []porcupine.Operation) string {
	byName := map[string][]porcupine.Operation{}
	for _, op := range ops {
		name := op.Input.(call).Topic
		byName[name] = append(byName[name], op)
	}
	for name, part := range byName {
		if porcupine.CheckOperationsTimeout(model(), part, checkLimit) != porcupine.Ok {
			return name
		}
	}
	return ""
}
