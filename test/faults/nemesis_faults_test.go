//go:build faults && linux

package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/chronik-project/chronik/test/faults/disk"
	"github.com/chronik-project/chronik/test/faults/host"
)

// networkFaults are those beside cuts.
var networkFaults = []fault{
	{name: "loss", begin: func(n *nemesis, rng *rand.Rand) func() {
		id, fraction := n.somebody(rng), 0.02+0.28*rng.Float64()
		return n.cut(fmt.Sprintf("loss of %.2f at broker %d", fraction, id), func() func() { return n.net.Lose(id, fraction) })
	}},
	{name: "delay", begin: func(n *nemesis, rng *rand.Rand) func() {
		delay := between(rng, time.Millisecond, 50*time.Millisecond)
		some := n.shuffled(rng)[:1+rng.IntN(n.plan.brokers)]
		return n.cut(fmt.Sprintf("%s each way at %v", delay, some), func() func() {
			return both(some, func(id int) func() { return n.net.Delay(id, delay, delay/2) })
		})
	}},
	{name: "slow link", outage: true, begin: func(n *nemesis, rng *rand.Rand) func() {
		id, bits := n.somebody(rng), 500_000<<rng.IntN(5)
		return n.cut(fmt.Sprintf("%d bit/s at broker %d", bits, id), func() func() { return n.net.Rate(id, bits) })
	}},
	{name: "a client cut off from a broker", begin: func(n *nemesis, rng *rand.Rand) func() {
		id := n.somebody(rng)
		return n.cut(fmt.Sprintf("clients cut from broker %d", id), func() func() { return n.net.Cut(host.Client, id) })
	}},
	{name: "little memory", begin: func(n *nemesis, rng *rand.Rand) func() {
		id := n.take(1 + rng.IntN(n.plan.brokers))
		if id == 0 {
			return nil
		}
		again := func(what string, args ...string) {
			n.kill(id)
			n.fault(id, what, func() error { return n.brokers.Restart(n.within(40*time.Second), id-1, args...) })
		}
		again("start with little memory", "--memory", "32MiB")
		return func() {
			again("start with the usual limits")
			n.release(id)
		}
	}},
}

// ext4Faults need real file systems.
var ext4Faults = []fault{
	{name: "slow disk", on: "ext4", outage: true, begin: func(n *nemesis, rng *rand.Rand) func() {
		id, rate := n.somebody(rng), int64(50<<10)<<rng.IntN(6)
		n.fault(id, fmt.Sprintf("disk of %d B/s", rate), func() error { return n.ext4[id-1].Slow(rate) })
		return func() { n.fault(id, "fast disk", func() error { return n.ext4[id-1].Slow(0) }) }
	}},
	{name: "full disk", on: "ext4", begin: func(n *nemesis, rng *rand.Rand) func() {
		id := n.take(n.somebody(rng))
		if id == 0 {
			return nil
		}
		n.fault(id, "disk full", func() error { return n.ext4[id-1].Fill(1 << 20) })
		return func() {
			n.fault(id, "space", n.ext4[id-1].Free)
			n.release(id)
		}
	}},
	{name: "power cut of one", begin: powerCutOfOne},
	{name: "power cut of all", alone: true, outage: true, begin: func(n *nemesis, _ *rand.Rand) func() {
		n.lightsOut(n.volatile(), n.all()...)
		return func() { n.startAll(n.all()...) }
	}},
}

// volatile are the disks, of either kind.
func (n *nemesis) volatile() []disk.Volatile {
	var all []disk.Volatile
	for _, d := range n.ext4 {
		all = append(all, d)
	}
	for _, d := range n.faulty {
		all = append(all, d)
	}
	return all
}

func powerCutOfOne(n *nemesis, rng *rand.Rand) func() {
	id := n.take(n.somebody(rng))
	if id == 0 {
		return nil
	}
	n.lightsOut(n.volatile(), id)
	return func() {
		n.start(id)
		n.release(id)
	}
}

// faultyFaults need disks that do what they are told.
var faultyFaults = []fault{
	{name: "slow syncs", on: "posix", begin: func(n *nemesis, rng *rand.Rand) func() {
		id, delay := n.somebody(rng), between(rng, 10*time.Millisecond, 500*time.Millisecond)
		return n.rule(id, fmt.Sprintf("syncs of %s", delay), disk.Rule{Op: disk.OpSync, Delay: delay})
	}},
	{name: "hung disk", on: "posix", begin: func(n *nemesis, rng *rand.Rand) func() {
		id := n.take(n.somebody(rng))
		if id == 0 {
			return nil
		}
		n.ends[id] = true // it may give its disk up
		end := n.rule(id, "hung disk", disk.Rule{Op: disk.OpSync, Hang: true})
		return func() {
			end()
			n.release(id)
		}
	}},
	{name: "a sync fails", on: "posix", begin: func(n *nemesis, rng *rand.Rand) func() {
		return n.broken(rng, "a sync fails", disk.Rule{Op: disk.OpSync, Path: "wal", Times: 1, Err: syscall.EIO})
	}},
	{name: "torn write", on: "posix", begin: func(n *nemesis, rng *rand.Rand) func() {
		return n.broken(rng, "torn write", disk.Rule{Op: disk.OpWrite, Path: "wal", Skip: rng.IntN(20), Times: 1, Keep: -1, PowerCut: true})
	}},
}

// rule puts a rule on a broker's disk.
func (n *nemesis) rule(id int, what string, r disk.Rule) (end func()) {
	var i *disk.Injection
	n.fault(id, what, func() error { i = n.faulty[id-1].Inject(r); return nil })
	return func() { n.fault(id, "end of: "+what, func() error { i.Remove(); return nil }) }
}

// broken lets a disk fail in a way that its broker does not outlive. In the end
// its power is cut and comes back: what the failed operation was for is gone.
func (n *nemesis) broken(rng *rand.Rand, what string, r disk.Rule) func() {
	id := n.take(n.somebody(rng))
	if id == 0 {
		return nil
	}
	n.ends[id] = true
	end := n.rule(id, what, r)
	return func() {
		end()
		n.lightsOut(n.volatile(), id)
		n.start(id)
		n.release(id)
		delete(n.ends, id)
	}
}

// destructive are those that take what one broker has. They come when all is in
// sync, so that another one has it too, and the next one only when all is again.
var destructive = []fault{
	{name: "disk lost", alone: true, begin: func(n *nemesis, rng *rand.Rand) func() {
		id := n.take(n.somebody(rng))
		if id == 0 {
			return nil
		}
		n.kill(id)
		n.fault(id, "disk lost", func() error { return empty(n.plan.disks[id-1].Dir()) })
		return func() {
			n.start(id)
			n.release(id)
		}
	}},
	damage(disk.WAL), damage(disk.SegmentLog), damage(disk.Checkpoint),
}

// damage harms a file of one broker while it is down.
func damage(class disk.Class) fault {
	return fault{name: "damage of a " + string(class), alone: true, on: "ext4", begin: func(n *nemesis, rng *rand.Rand) func() {
		id, harm := n.take(n.somebody(rng)), disk.Harms[rng.IntN(len(disk.Harms)-1)] // all but stale copies
		if id == 0 {
			return nil
		}
		n.stop(id) // a checkpoint, and segments
		n.start(id)
		n.whole()
		n.kill(id)
		n.fault(id, fmt.Sprintf("%s: %s", class, harm), func() error {
			injury, err := disk.Damage(rng, n.plan.disks[id-1].Dir(), class, harm, nil)
			n.Logf("broker %d: %v", id, injury)
			if errors.Is(err, disk.ErrNothingThere) {
				return nil
			}
			return err
		})
		return func() {
			n.start(id)
			n.release(id)
		}
	}}
}
