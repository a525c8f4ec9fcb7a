//go:build faults && linux

package faults

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/disk"
	"github.com/chronik-project/chronik/test/faults/load"
)

// powered is a load for power cuts: every producer there is.
var powered = load.Config{Idempotent: 2, Ordered: 1, Unordered: 1, Direct: 1, Rate: 150, ConsumerLife: 10 * time.Second}

// TestGoal2PowerCuts: every broker loses its power at the same moment, with
// everything that was not synced: on ext4, and on disks that lose all that POSIX
// allows. The long form has 200 cuts on each kind.
func TestGoal2PowerCuts(t *testing.T) {
	c := newCampaign(t, 2, 2, 400)
	for c.more() {
		c.cluster(func(t *testing.T) {
			p, disks, kind := c.volatile(t, c.seed()%2 == 0) // in turn
			r := newRig(t, p)
			c.rounds(r, roundsPerCluster/2, func() {
				n := c.pick(10)
				if !*long {
					n = 1
				}
				var blows []blow
				for range n {
					r.pause(logBetween(c.rng, 100*time.Millisecond, 3*time.Second))
					blows = append(blows, blow{led: []int32{0, 1, 2}, at: r.history.Now()})
					r.lightsOut(disks, r.all()...)
					r.startAll(r.all()...)
					r.awaitAcks(10)
				}
				report := c.judge(r, n, check.Rules{})
				c.samples = append(c.samples, outages(r.history, blows)...)
				if report.Void == "" {
					c.count("cuts_on_"+kind, n)
				}
				if !*long {
					return
				}
			})
		})
	}
	c.finish("power cut to the next ack, each partition, down time and start of all three in it, ms", 0, 0, 0)
}

// volatile is a plan on disks that can lose power. Faulty ones lose another
// part of what was not synced each time.
func (c *campaign) volatile(t *testing.T, onExt4Disks bool) (p plan, disks []disk.Volatile, kind string) {
	p = plan{load: powered}
	if onExt4Disks {
		p, all := onExt4(t, p)
		for _, d := range all {
			disks = append(disks, d)
		}
		return p, disks, "ext4"
	}
	p, all := onFaulty(t, p)
	for i, d := range all {
		// Of three, one that loses everything, one that spares a random part of
		// the data, and one that does and spares all names.
		loss := disk.Loss{}
		if kind := (i + c.rng.IntN(3)) % 3; kind > 0 {
			loss = disk.Loss{Rand: rand.New(rand.NewPCG(c.rng.Uint64(), 0)), KeepNames: kind == 2}
		}
		d.SetLoss(loss)
		disks = append(disks, d)
	}
	return p, disks, "posix"
}
