package bench

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	stallEvery = 2 * time.Second
	stallFor   = 400 * time.Millisecond
)

// stall makes the cluster do nothing for stallFor in every stallEvery, as a
// long garbage collection or a disk that hangs would: the function runs on the
// cluster's only goroutine, so that all requests wait and keep their order.
func stall(cluster *kfake.Cluster) {
	began := time.Now()
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		into := (time.Since(began) + stallEvery/2) % stallEvery
		if into < stallFor {
			wait(stallFor - into)
		}
		return nil, nil, false // then answer as usual
	})
}

// A broker that stalls 400 ms every 2 s is down a fifth of the time. A closed
// loop sends next to nothing meanwhile, so that its p99 shows none of it; the
// same broker under an open loop shows all of it.
//
// Not parallel: other tests would be measured too.
func TestOpenLoopShowsTheStallThatAClosedLoopHides(t *testing.T) {
	cluster, target := fakeCluster(t, 1)
	stall(cluster)
	target.Partitions = 1
	c := Config{Target: target, Arms: []Arm{AcksAll}, Rate: 500, Duration: stallEvery, Warmup: 100 * time.Millisecond, WarmupMax: 100 * time.Millisecond}

	c.ClosedLoop = true
	closed, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	c.ClosedLoop = false
	open, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}

	hidden, shown := closed.Arms[0].Response, open.Arms[0].Response
	t.Logf("closed loop: %d records, p99 %.1f ms, max %.1f ms", hidden.Count, *hidden.P99/1000, *hidden.Max/1000)
	t.Logf("open loop:   %d records, p99 %.1f ms, max %.1f ms", shown.Count, *shown.P99/1000, *shown.Max/1000)
	const mostOfIt = 1000 * 300 // microseconds of the stall
	if *hidden.P99 > 1000*50 {
		t.Errorf("closed loop: p99 is %.1f ms; it was to hide the stall", *hidden.P99/1000)
	}
	if *hidden.Max < mostOfIt {
		t.Errorf("closed loop: max is %.1f ms; there was no stall", *hidden.Max/1000)
	}
	if *shown.P99 < mostOfIt {
		t.Errorf("open loop: p99 is %.1f ms; the stall of %s is hidden", *shown.P99/1000, stallFor)
	}
	if *shown.P50 > mostOfIt {
		t.Errorf("open loop: p50 is %.1f ms; the stall never ended", *shown.P50/1000)
	}
	if want := int64(500 * stallEvery / time.Second); shown.Count != want {
		t.Errorf("open loop: %d records, want %d: the schedule does not depend on the cluster", shown.Count, want)
	}
	if len(closed.Warnings) == 0 || closed.Load != LoadClosed || closed.Arms[0].OfferedPerSecond != nil {
		t.Errorf("the closed loop is not marked: %q, %v", closed.Load, closed.Warnings)
	}
	for _, r := range []*Report{closed, open} {
		if !r.Verification.OK {
			t.Errorf("%s: verification is %+v", r.Load, r.Verification)
		}
	}
}
