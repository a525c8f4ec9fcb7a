//go:build faults && linux

package faults

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/host"
	"github.com/chronik-project/chronik/test/faults/load"
)

// shape is a way to cut a network of brokers.
type shape struct {
	name string
	cut  func(r *rig, rng *rand.Rand) (end func())
}

// shapes are all of them. Where a role matters it is drawn: the leader of a
// partition, the controller, or anybody.
var shapes = []shape{
	{"a pair", func(r *rig, rng *rand.Rand) func() {
		a, b := r.somePair(rng)
		return r.net.Cut(a, b)
	}},
	{"one way", func(r *rig, rng *rand.Rand) func() {
		a, b := r.somePair(rng)
		return r.net.CutOneWay(a, b)
	}},
	{"one way from one to all", func(r *rig, rng *rand.Rand) func() {
		a := r.somebody(rng)
		return both(r.others(a), func(b int) func() { return r.net.CutOneWay(a, b) })
	}},
	{"one way from all to one", func(r *rig, rng *rand.Rand) func() {
		a := r.somebody(rng)
		return both(r.others(a), func(b int) func() { return r.net.CutOneWay(b, a) })
	}},
	{"a peer port", func(r *rig, rng *rand.Rand) func() {
		a, b := r.somePair(rng)
		return r.net.CutPort(a, b, host.PeerPort)
	}},
	{"the client port", func(r *rig, rng *rand.Rand) func() {
		return r.net.CutPort(host.Client, r.somebody(rng), host.KafkaPort)
	}},
	{"one from all brokers", func(r *rig, rng *rand.Rand) func() {
		a := r.somebody(rng)
		return r.net.Isolate(a, r.others(a)...)
	}},
	{"one from everybody", func(r *rig, rng *rand.Rand) func() {
		a := r.somebody(rng)
		return r.net.Isolate(a, append(r.others(a), host.Client)...)
	}},
	{"minority and majority", func(r *rig, rng *rand.Rand) func() {
		ids := r.shuffled(rng)
		return r.net.Partition(ids[:len(ids)/2], ids[len(ids)/2:])
	}},
	{"three parts", func(r *rig, rng *rand.Rand) func() {
		ids := r.shuffled(rng)
		return r.net.Partition(ids[:len(ids)/3], ids[len(ids)/3:2*len(ids)/3], ids[2*len(ids)/3:])
	}},
	{"bridge", func(r *rig, rng *rand.Rand) func() {
		ids := r.shuffled(rng)
		return r.net.Partition(ids[:len(ids)/2], ids[len(ids)/2+1:])
	}},
	{"ring of majorities", func(r *rig, rng *rand.Rand) func() {
		ids := r.shuffled(rng)
		if len(ids) < 4 {
			return r.net.Partition(ids[:1], ids[2:]) // of three it is a bridge
		}
		return r.net.Ring(ids...)
	}},
}

// both begins a fault for each of some brokers.
func both(ids []int, begin func(id int) (end func())) (end func()) {
	var ends []func()
	for _, id := range ids {
		ends = append(ends, begin(id))
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// others are all brokers but one.
func (r *rig) others(id int) []int { return without(r.all(), id) }

// shuffled are all brokers.
func (r *rig) shuffled(rng *rand.Rand) []int {
	ids := r.all()
	rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}

// somebody draws a broker by its role: a leader, the controller, or any. The
// number of draws is the same for each.
func (r *rig) somebody(rng *rand.Rand) int {
	r.Helper()
	role, any, partition := rng.IntN(3), 1+rng.IntN(r.plan.brokers), rng.Int32N(r.plan.partitions)
	ctx := r.within(2 * time.Second) // or somebody else it is: whoever knows may be cut off
	switch all, err := r.describe(ctx); {
	case role == 0 && err == nil && all[partition].Leader > 0:
		return int(all[partition].Leader)
	case role == 1:
		if md, err := r.admin.BrokerMetadata(ctx); err == nil && md.Controller > 0 {
			return int(md.Controller)
		}
	}
	return any
}

func (r *rig) somePair(rng *rand.Rand) (a, b int) {
	a = r.somebody(rng)
	others := r.others(a)
	return a, others[rng.IntN(len(others))]
}

// TestGoal5Partitions: five brokers, cut in every shape. In each epoch of a
// partition one broker acknowledges, and nothing is lost.
func TestGoal5Partitions(t *testing.T) {
	c := newCampaign(t, 5, 1, 500)
	p := plan{brokers: 5, partitions: 5, load: load.Config{Idempotent: 1, Ordered: 1, Unordered: 1, Direct: 2, Rate: 100, Consumers: 2, ConsumerLife: 15 * time.Second}}
	for c.more() {
		c.cluster(func(t *testing.T) {
			var left []shape
			r := newRig(t, p)
			c.rounds(r, roundsPerCluster, func() {
				n := c.pick(12)
				var names []string
				for range n {
					if len(left) == 0 { // each in turn, in another order each time
						left = append(left, shapes...)
						c.rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
					}
					c.episode(r, left[0])
					names = append(names, left[0].name)
					left = left[1:]
				}
				report := c.judge(r, n, check.Rules{StallThreshold: 100 * time.Millisecond})
				c.countShapes(&report, names)
			})
		})
	}
	c.finish("longest stall of each partition and round, ms", 0, 0, 0)
}

// episode is one cut, and a while without.
func (c *campaign) episode(r *rig, s shape) {
	r.Helper()
	seed, length, calm := c.rng.Uint64(), logBetween(c.rng, time.Second, 12*time.Second), between(c.rng, 500*time.Millisecond, 2*time.Second)
	if !*long {
		length = min(length, 4*time.Second)
	}
	end := r.cut(s.name, func() func() { return s.cut(r, rand.New(rand.NewPCG(seed, 0))) })
	r.pause(length)
	end()
	r.pause(calm)
}

func (c *campaign) countShapes(report *check.Report, names []string) {
	for _, s := range report.Stalls {
		c.samples = append(c.samples, s.Longest)
	}
	if report.Void == "" {
		for _, name := range names {
			c.count("shape: "+name, 1)
		}
	}
	c.count("split_brains", report.Counts[check.SplitBrain])
}
