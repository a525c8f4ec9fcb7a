package testcluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

var (
	historiesFlag = flag.Int("histories", 6, "number of random histories")
	stepsFlag     = flag.Int("steps", 15, "faults in each random history")
)

// TestRandomFaults lets random faults happen, several at a time, with no regard
// to whether the cluster can still serve. Whatever it acknowledged in between is
// there in the end, and when the faults are over everything is well again.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	first := pickSeed(t)
	for i := range *historiesFlag {
		seed := first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			inWorld(t, seed, 3+2*int(seed%2), func(w *world) {
				w.progress(5*time.Second, 5)
				f := &faults{w: w, r: rand.New(rand.NewPCG(seed, 2)), began: time.Now()}
				for range *stepsFlag {
					f.step()
					w.pass(f.pause())
				}
			})
		})
	}
}

// faults makes random things go wrong, and right again.
type faults struct {
	w     *world
	r     *rand.Rand
	began time.Time
}

func (f *faults) logf(format string, args ...any) {
	f.w.t.Logf("%s %s", time.Since(f.began).Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// pause is short mostly, so that faults meet what others have begun.
func (f *faults) pause() time.Duration {
	limits := []time.Duration{20 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 5 * time.Second}
	return time.Duration(f.r.Int64N(int64(limits[f.r.IntN(len(limits))])))
}

func (f *faults) broker() cluster.BrokerID {
	return cluster.BrokerID(1 + f.r.IntN(len(f.w.c.Brokers())))
}

// step does one thing.
func (f *faults) step() {
	id := f.broker()
	other := f.w.others(id)[f.r.IntN(len(f.w.c.Brokers())-1)]
	c := f.w.c
	switch k := f.r.IntN(100); {
	case k < 12:
		f.logf("broker %d loses power", id)
		c.PowerLoss(id)
	case k < 18:
		f.logf("broker %d is killed", id)
		c.Kill(id)
	case k < 23:
		f.logf("broker %d stops", id)
		if err := f.w.stop(id); err != nil {
			f.logf("broker %d: %v", id, err) // with faults about, it may
		}
	case k < 25:
		f.logf("broker %d loses its disk", id)
		f.replaceDisk(id)
	case k < 28:
		f.logf("all lose power")
		c.PowerLoss()
	case k < 42:
		f.logf("all start")
		f.w.start()
	case k < 55:
		f.logf("cut %d -> %d", id, other)
		c.Cut(id, other)
	case k < 68:
		f.logf("cut %d <-> %d", id, other)
		c.Cut(id, other)
		c.Cut(other, id)
	case k < 78:
		f.logf("all links heal")
		for _, from := range c.Brokers() {
			for _, to := range c.Brokers() {
				c.Heal(from, to)
			}
		}
	case k < 84:
		d := time.Duration(f.r.Int64N(int64(300 * time.Millisecond)))
		f.logf("%d -> %d takes %s", id, other, d)
		c.SetLatency(id, other, d)
	case k < 89:
		f.logf("broker %d's disk freezes", id)
		c.Disk(id).Freeze()
	case k < 93:
		d := time.Duration(f.r.Int64N(int64(2 * time.Second)))
		f.logf("broker %d's disk takes %s", id, d)
		c.Disk(id).SetSync(d)
	case k < 96:
		f.logf("broker %d's disk is full", id)
		c.Disk(id).Fill(1 << 20)
	default:
		f.logf("all disks are well")
		for _, id := range c.Brokers() {
			c.Disk(id).Thaw()
			c.Disk(id).SetSync(c.o.Sync)
			c.Disk(id).Fill(Space)
		}
	}
}

// replaceDisk lets a broker come back with an empty disk. What is acknowledged
// is on two disks at least, so one may be lost when all replicas are in sync:
// that is awaited first. The broker comes back when it was missed: until then
// another one under its name, with another disk, is refused.
func (f *faults) replaceDisk(id cluster.BrokerID) {
	w := f.w
	w.t.Helper()
	w.start()
	w.c.Repair()
	w.awaitISR(rejoinLimit, 3)
	w.c.Kill(id)
	w.pass(8 * time.Second)
	if err := w.c.ReplaceDisk(id); err != nil {
		w.t.Fatal(err)
	}
	w.start(id)
}
