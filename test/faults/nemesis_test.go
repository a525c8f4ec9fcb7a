//go:build faults && linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/disk"
)

// nemesis does things to a rig, drawn by a seed: which faults, in which order,
// to whom by role or by number, for how long. When exactly they happen, and who
// leads by then, no seed says.
type nemesis struct {
	*rig
	rng    *rand.Rand
	ext4   []*disk.Ext4   // on these disks,
	faulty []*disk.Faulty // or on these
	busy   map[int]bool   // brokers that something was done to, and not ended
	ends   map[int]bool   // brokers that may end by themselves
}

// fault is a kind of thing to do. Its begin is told of random numbers of its own,
// and returns what ends it, or nil if it cannot be done now.
type fault struct {
	name  string
	begin func(n *nemesis, rng *rand.Rand) (end func())
	// alone faults want a cluster that is whole, and nothing beside them: they
	// destroy what one broker has, which the others must have then; or they take
	// all brokers down.
	alone bool
	// all brokers are down for a while, or the cluster is slower than a load.
	outage bool
	// on says which disks it needs; any if empty.
	on string
}

// catalogue are all faults.
func catalogue() []fault {
	var all []fault
	for _, role := range roles {
		all = append(all,
			fault{name: "kill " + role.name, begin: process(role, (*rig).kill, (*rig).start)},
			fault{name: "freeze " + role.name, begin: process(role, (*rig).freeze, (*rig).thaw)},
			fault{name: "stop " + role.name, begin: process(role, (*rig).stop, (*rig).start)},
		)
	}
	for _, s := range shapes {
		all = append(all, fault{name: "cut: " + s.name, begin: func(n *nemesis, rng *rand.Rand) func() {
			return n.cut(s.name, func() func() { return s.cut(n.rig, rng) })
		}})
	}
	all = append(all, networkFaults...)
	all = append(all, ext4Faults...)
	all = append(all, faultyFaults...)
	return append(all, destructive...)
}

// role is who something is done to.
type role struct {
	name string
	is   func(n *nemesis, rng *rand.Rand) int
}

var roles = []role{
	{"anybody", func(n *nemesis, rng *rand.Rand) int { return 1 + rng.IntN(n.plan.brokers) }},
	{"a leader", func(n *nemesis, rng *rand.Rand) int {
		partition := rng.Int32N(n.plan.partitions)
		all, err := n.describe(n.within(2 * time.Second))
		if err != nil {
			return 1 + int(partition)%n.plan.brokers
		}
		return int(all[partition].Leader)
	}},
	{"the controller", func(n *nemesis, _ *rand.Rand) int {
		md, err := n.admin.BrokerMetadata(n.within(2 * time.Second))
		if err != nil {
			return 1
		}
		return int(md.Controller)
	}},
}

// take reserves a broker. It is 0 if somebody else has it, or it is nobody.
func (n *nemesis) take(id int) int {
	if id < 1 || n.busy[id] || !n.brokers.Alive(id-1) {
		return 0
	}
	n.busy[id] = true
	return id
}

func (n *nemesis) release(id int) { delete(n.busy, id) }

// process does something to one broker's process.
func process(who role, begin, end func(*rig, int)) func(*nemesis, *rand.Rand) func() {
	return func(n *nemesis, rng *rand.Rand) func() {
		id := n.take(who.is(n, rng))
		if id == 0 {
			return nil
		}
		begin(n.rig, id)
		return func() {
			end(n.rig, id)
			n.release(id)
		}
	}
}

// window is a stretch of time with its faults.
type window struct {
	faults []fault // none: a quiet one
	seed   uint64
	length time.Duration
}

func (w window) String() string {
	names := make([]string, 0, len(w.faults))
	for _, f := range w.faults {
		names = append(names, f.name)
	}
	if len(names) == 0 {
		names = append(names, "quiet")
	}
	return fmt.Sprintf("%s (%s)", strings.Join(names, " + "), w.length.Round(100*time.Millisecond))
}

// draw draws a window: one in four is quiet, and of the others half have two
// faults that overlap.
func draw(rng *rand.Rand, from []fault, length time.Duration) window {
	w := window{seed: rng.Uint64(), length: between(rng, length/2, length*3/2)}
	if rng.IntN(4) == 0 {
		return w
	}
	w.faults = append(w.faults, from[rng.IntN(len(from))])
	if second := from[rng.IntN(len(from))]; rng.IntN(2) == 0 && !second.alone && !w.faults[0].alone {
		w.faults = append(w.faults, second)
	}
	return w
}

// run lets a window pass.
func (n *nemesis) run(w window) {
	n.Helper()
	n.Logf("%8.3f s: %s", n.history.Now().Seconds(), w)
	rng := rand.New(rand.NewPCG(w.seed, 1))
	alone := len(w.faults) == 1 && w.faults[0].alone
	if alone {
		n.whole()
	}
	var ends []func()
	part := w.length / time.Duration(4*max(1, len(w.faults)))
	for _, f := range w.faults {
		end := f.begin(n, rng)
		if end == nil {
			n.Logf("not now: %s", f.name)
			continue
		}
		ends = append(ends, end)
		n.pause(3 * part)
	}
	for _, end := range ends {
		end()
		n.pause(part)
	}
	if len(ends) == 0 {
		n.pause(w.length)
	}
	n.revive()
	if alone {
		n.whole()
	}
}

// whole waits until every replica is in sync: destroying what one broker has is
// fair only then.
func (n *nemesis) whole() {
	n.Helper()
	n.revive()
	n.awaitISR(settle, func(isr []int32) bool { return len(isr) == 3 })
}

// revive starts brokers that have ended, and fails the test if they had no
// reason to.
func (n *nemesis) revive() {
	n.Helper()
	for _, id := range n.all() {
		if n.brokers.Alive(id-1) || n.busy[id] {
			continue
		}
		if !n.ends[id] {
			n.Errorf("broker %d has ended by itself", id)
		}
		delete(n.ends, id)
		n.start(id)
	}
}

// newNemesis starts a cluster of so many brokers on disks that fit the faults.
func newNemesis(t testing.TB, rng *rand.Rand, p plan, on string) *nemesis {
	t.Helper()
	n := &nemesis{rng: rng, busy: map[int]bool{}, ends: map[int]bool{}}
	switch on {
	case "ext4":
		p, n.ext4 = onExt4(t, p)
	case "posix":
		p, n.faulty = onFaulty(t, p)
	default:
		t.Fatalf("disks %q: want ext4 or posix", on)
	}
	n.rig = newRig(t, p)
	return n
}

// possible are the faults of the catalogue on some disks; without outages, those
// in which a load can be held.
func possible(on string, outages bool) []fault {
	return slices.DeleteFunc(catalogue(), func(f fault) bool {
		return f.on != "" && f.on != on || f.outage && !outages
	})
}
