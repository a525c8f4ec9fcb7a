//go:build faults && linux

package faults

import (
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/history"
	"github.com/chronik-project/chronik/test/faults/load"
)

// roundsPerCluster is how many rounds a cluster lives for: what lasts, such as
// the metadata log, gets some age, and a new cluster is made now and then.
const roundsPerCluster = 10

// TestGoal1Kills: SIGKILL of a random broker of three, under acks=all by
// idempotent producers: nothing that was acknowledged is lost, doubled, or out of
// order.
func TestGoal1Kills(t *testing.T) {
	c := newCampaign(t, 1, 2, 1000)
	p := plan{load: load.Config{Idempotent: 3, Rate: 400, ValueBytes: 64, ConsumerLife: 10 * time.Second}}
	for c.more() {
		c.cluster(func(t *testing.T) {
			r := newRig(t, p)
			c.rounds(r, roundsPerCluster, func() {
				n := c.pick(25)
				var blows []blow
				for range n {
					blows = append(blows, c.killOne(r))
				}
				c.judge(r, n, check.Rules{Floor: check.Floor{Before: 30, During: 100 * n, After: 30}})
				c.samples = append(c.samples, outages(r.history, blows)...)
			})
		})
	}
	c.finish("kill to next ack on the partitions led, ms", 0, 0, 0)
}

// killOne kills any broker, starts it again a little later, and lets it run a
// little before the next one's turn.
func (c *campaign) killOne(r *rig) blow {
	r.Helper()
	victim := 1 + c.rng.IntN(r.plan.brokers)
	b := blow{led: r.ledBy(victim), at: r.history.Now()}
	r.kill(victim)
	r.pause(logBetween(c.rng, 50*time.Millisecond, 2*time.Second))
	r.start(victim)
	r.pause(logBetween(c.rng, 100*time.Millisecond, 2*time.Second))
	return b
}

// hundred is a load on a hundred partitions: one record for each every tenth of a
// second.
var hundred = plan{partitions: 100, load: load.Config{Idempotent: 2, Rate: 500, Consumers: 1, SampleEvery: 2 * time.Second, MaxBuffered: 50_000}}

// TestGoal9Failover: from SIGKILL of a leader to the first acknowledgement on
// each partition that it led, of a hundred.
func TestGoal9Failover(t *testing.T) {
	c := newCampaign(t, 9, 1, 100)
	controllers := 0
	of := map[bool][]time.Duration{} // by whether the controller was killed with it
	for c.more() {
		c.cluster(func(t *testing.T) {
			r := newRig(t, hundred)
			c.rounds(r, roundsPerCluster, func() {
				n := c.pick(6)
				var blows []blow
				for range n {
					victim := r.someLeader(c.rng)
					controller := r.controller() == victim
					if controller {
						controllers++
					}
					b := r.blowBy(victim, r.kill)
					b.controller = controller
					blows = append(blows, b)
					r.awaitAcksOn(1, b.led...)
					r.start(victim)
					r.awaitISR(settle, func(isr []int32) bool { return len(isr) == 3 })
					r.pause(between(c.rng, 0, 2*time.Second))
				}
				c.judge(r, n, check.Rules{})
				c.samples = append(c.samples, outages(r.history, blows)...)
				for _, b := range blows {
					of[b.controller] = append(of[b.controller], outages(r.history, []blow{b})...)
				}
			})
		})
	}
	c.More["controllers_killed"] = controllers
	for controller, name := range map[bool]string{true: "controllers", false: "others"} {
		c.More["p50_of_"+name], c.More["p99_of_"+name] = percentile(of[controller], 50).Milliseconds(), percentile(of[controller], 99).Milliseconds()
	}
	c.More["partitions"] = hundred.partitions
	c.finish("SIGKILL of the leader to the next ack, each partition, ms", time.Second, 3*time.Second, 6*time.Second)
}

// blowBy does something to a broker that takes the partitions it leads away.
func (r *rig) blowBy(victim int, fault func(int)) blow {
	r.Helper()
	b := blow{led: r.ledBy(victim), at: r.history.Now()}
	fault(victim)
	return b
}

// TestGoal10Shutdown: how long partitions get no acknowledgement when their leader
// is asked to stop, and how many errors producers with retries see.
func TestGoal10Shutdown(t *testing.T) {
	c := newCampaign(t, 10, 1, 100)
	p := plan{partitions: 12, load: load.Config{Idempotent: 3, Rate: 200, Consumers: 1}}
	c.More["client_errors"] = 0
	for c.more() {
		c.cluster(func(t *testing.T) {
			r := newRig(t, p)
			c.rounds(r, roundsPerCluster, func() {
				n := c.pick(8)
				var blows []blow
				for range n {
					victim := r.someLeader(c.rng)
					blows = append(blows, r.blowBy(victim, r.stop))
					r.pause(between(c.rng, 500*time.Millisecond, time.Second))
					r.start(victim)
					r.awaitISR(settle, func(isr []int32) bool { return len(isr) == 3 })
					r.pause(between(c.rng, 0, 2*time.Second))
				}
				report := c.judge(r, n, check.Rules{StallThreshold: 10 * time.Millisecond})
				c.samples = append(c.samples, gapsAround(&report, blows, 2*time.Second)...)
				c.count("client_errors", r.clientErrors())
			})
		})
	}
	if n := c.More["client_errors"]; n != 0 {
		c.Errorf("%v errors reached producers", n)
	}
	most := 300 * time.Millisecond
	if !*long {
		most = 0 // a few stops beside other tests say nothing about the last percent
	}
	c.finish("longest time without an ack around SIGTERM of the leader, each partition, ms", 0, most, 0)
}

// clientErrors counts the records that producers were told an error for.
func (r *rig) clientErrors() int {
	n := 0
	for op := range r.history.All() {
		if op.Kind == history.Send && op.Outcome != history.OK {
			n++
			if n <= 5 {
				r.Logf("client %d, partition %d, at %s: %s", op.Client, op.Partition, op.End, op.Error)
			}
		}
	}
	return n
}
