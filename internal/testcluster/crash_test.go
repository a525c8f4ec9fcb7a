package testcluster

import (
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// victims are the brokers that must not be missed.
var victims = []struct {
	name string
	pick func(w *world) cluster.BrokerID
	// stall bounds how long an acknowledgement may wait for what follows.
	stall time.Duration
}{
	{name: "a follower", pick: (*world).follower, stall: 1500 * time.Millisecond},
	{name: "a leader", pick: (*world).leader, stall: 4 * time.Second},
	{name: "the controller", pick: (*world).controller, stall: 4 * time.Second},
}

// TestPowerLossOfOne takes the power from one broker after the other, each time
// one with another part to play.
func TestPowerLossOfOne(t *testing.T) {
	t.Parallel()
	inWorld(t, pickSeed(t), 3, func(w *world) {
		for _, v := range victims {
			id := v.pick(w)
			w.load.forget()
			w.c.PowerLoss(id)
			w.progress(v.stall+time.Second, 20)
			w.pass(2 * time.Second)
			if worst := w.load.slowest(); worst > v.stall {
				t.Errorf("%s, broker %d, lost power: an acknowledgement took %s, at most %s", v.name, id, worst, v.stall)
			} else {
				t.Logf("%s, broker %d, lost power: the slowest acknowledgement took %s", v.name, id, worst)
			}
			w.start(id)
			w.ready(id)
			w.awaitISR(healLimit, 3)
		}
	})
}

// TestRestartAtOnce lets brokers come back within milliseconds, with and without
// what was not synced: nobody goes on where an earlier process ended (R1).
func TestRestartAtOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, pickSeed(t), 3, func(w *world) {
		for _, v := range victims {
			id := v.pick(w)
			w.c.Kill(id)
			w.start(id)
			w.progress(5*time.Second, 20)
			w.c.PowerLoss(id)
			w.start(id)
			w.progress(5*time.Second, 20)
			w.awaitISR(healLimit, 3)
		}
	})
}

// TestPowerLossOfAll takes the power from all brokers in the same moment, again
// and again, and leaves them a different order to come back in.
func TestPowerLossOfAll(t *testing.T) {
	t.Parallel()
	inWorld(t, pickSeed(t), 3, func(w *world) {
		for range 4 {
			w.progress(10*time.Second, 20)
			w.c.PowerLoss()
			for _, i := range w.r.Perm(3) {
				w.pass(time.Duration(w.r.Int64N(int64(time.Second))))
				w.start(cluster.BrokerID(i + 1))
			}
			w.awaitISR(healLimit, 3)
		}
	})
}

// TestRollingRestart stops brokers gracefully, one after the other: nobody waits
// long for an acknowledgement.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	const stall = time.Second
	inWorld(t, pickSeed(t), 3, func(w *world) {
		for _, id := range w.c.Brokers() {
			w.progress(5*time.Second, 20)
			if err := w.stop(id); err != nil {
				t.Error(err)
			}
			w.progress(5*time.Second, 20)
			w.start(id)
			w.ready(id)
			w.awaitISR(healLimit, 3)
		}
		if worst := w.load.slowest(); worst > stall {
			t.Errorf("an acknowledgement took %s, at most %s", worst, stall)
		}
	})
}

// TestLostDisk lets a broker come back with an empty disk, metadata included: it
// is not taken for what it was, and gets everything from the others.
func TestLostDisk(t *testing.T) {
	t.Parallel()
	inWorld(t, pickSeed(t), 3, func(w *world) {
		for _, v := range victims {
			w.progress(5*time.Second, 20)
			(&faults{w: w}).replaceDisk(v.pick(w))
			w.awaitISR(healLimit, 3)
		}
	})
}

// TestLostDiskInAPowerLossOfAll lets a broker come back with an empty disk to
// others that have just started too, with a controller that knows nobody yet.
func TestLostDiskInAPowerLossOfAll(t *testing.T) {
	t.Parallel()
	inWorld(t, pickSeed(t), 3, func(w *world) {
		for range 3 {
			w.awaitISR(healLimit, 3)
			w.progress(5*time.Second, 20)
			id := w.leader()
			w.c.PowerLoss()
			if err := w.c.ReplaceDisk(id); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.ready()
		}
	})
}
