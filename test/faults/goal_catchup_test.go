//go:build faults && linux

package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/history"
	"github.com/chronik-project/chronik/test/faults/host"
	"github.com/chronik-project/chronik/test/faults/load"
)

// TestGoal12CatchUp: a broker is away for a minute under 20 MB/s. How long until
// it is in sync everywhere, from its start, and what producers notice of that.
func TestGoal12CatchUp(t *testing.T) {
	c := newCampaign(t, 12, 1, 5)
	away, before, rate, limit := time.Minute, 20*time.Second, 320.0, 30*time.Second
	if !*long {
		away, before, rate, limit = 2*time.Second, time.Second, 80, 0
	}
	const size = 16 << 10
	p := plan{load: load.Config{Idempotent: 4, Rate: rate, ValueBytes: size, Consumers: 1, SampleEvery: time.Second}}
	p.host = host.Options{Args: []string{"--memory", "256MiB"}}
	worst := 0.0
	for c.more() {
		c.cluster(func(t *testing.T) {
			r := newRig(t, p)
			r.pause(before)
			victim := r.followers(c.rng.Int32N(r.plan.partitions))[0]
			killed := r.history.Now()
			r.kill(victim)
			r.pause(away)
			began, started := time.Now(), r.history.Now()
			r.start(victim)
			r.awaitISR(2*time.Minute, func(isr []int32) bool { return len(isr) == 3 })
			took, full := time.Since(began), r.history.Now()
			report := c.judge(r, 1, check.Rules{})
			calm := r.latency99(killed-before, killed)
			busy := r.latency99(started, full)
			ratio := float64(busy) / float64(max(1, calm))
			r.Logf("full in-sync sets after %s; producers' p99 %s before the outage, %s while the broker caught up", took, calm, busy)
			c.samples = append(c.samples, took)
			worst = max(worst, ratio)
			c.More["mb_per_second"] = fmt.Sprintf("%.1f", float64(report.Before)*size/1e6/killed.Seconds())
			c.note("producers_p99_ms_before", calm.Milliseconds())
			c.note("producers_p99_ms_meanwhile", busy.Milliseconds())
		})
	}
	c.More["worst_ratio_of_p99"] = fmt.Sprintf("%.2f", worst)
	if *long && worst >= 2 {
		c.Errorf("producers' p99 was %.2f times as long while the broker caught up, want less than twice", worst)
	}
	c.finish("start of the broker to full in-sync sets, ms", 0, 0, limit)
}

// note appends to one of the further lists of the line.
func (c *campaign) note(name string, value int64) {
	before, _ := c.More[name].([]int64)
	c.More[name] = append(before, value)
}

// latency99 is the 99th percentile of the times to the acknowledgement of the
// records offered in a stretch of the history.
func (r *rig) latency99(from, to time.Duration) time.Duration {
	var all []time.Duration
	for op := range r.history.All() {
		if op.Kind == history.Send && op.Outcome == history.OK && op.Start >= from && op.Start < to {
			all = append(all, op.End-op.Start)
		}
	}
	return percentile(all, 99)
}
