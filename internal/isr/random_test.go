package isr_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run random histories from this seed; 0 picks one")
	runsFlag = flag.Uint64("runs", 400, "number of random histories")
)

// TestRandomHistories lets a leader live through random histories against the
// real [cluster.Apply]: followers that crash, lose their disks and come back,
// messages that are late, lost or repeated, metadata that lags. After every step
// it checks the invariants of the package, and the one that all of them are for:
// whoever the controller may elect next holds everything committed. In the end
// everything heals, or all but one follower, and then all of the log must become
// committed and every living broker in sync: whatever happened, nothing hangs.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	for run := range *runsFlag {
		w := newWorld(rand.New(rand.NewPCG(seed, run)))
		for step := range 600 {
			w.step()
			if err := w.check(); err != nil {
				t.Fatalf("-seed %d: run %d step %d: %v\n%s", seed, run, step, err, w.tail())
			}
		}
		if err := w.heal(); err != nil {
			t.Fatalf("-seed %d: run %d: after healing: %v\n%s", seed, run, err, w.tail())
		}
	}
}

// step does one random thing. Time passes in between.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.r.Int64N(int64(60 * time.Millisecond))))
	f := w.someone()
	switch k := w.r.IntN(100); {
	case k < 10:
		w.append()
	case k < 18:
		w.durable = w.end
		w.state.LocalSynced(w.durable, w.now)
	case k < 32:
		w.push(f)
	case k < 44:
		w.fsync(f)
	case k < 60:
		w.deliverAck()
	case k < 65:
		w.connect(f)
	case k < 80:
		w.tick()
	case k < 87:
		w.controller()
	case k < 93:
		w.metadata()
	case k < 97:
		w.repair(f)
	default:
		if w.r.Float64() < w.faults {
			w.harm(f)
		}
	}
}

// heal lets everything work for long enough, except perhaps one follower that
// never answers again, and expects the whole log to be committed on the others.
func (w *world) heal() error {
	dead := w.bury()
	w.logf("heal all but %d", dead)
	w.copies, w.acks = nil, nil
	const interval = 50 * time.Millisecond
	for range 3 * time.Minute / interval {
		w.now = w.now.Add(interval)
		if err := w.healStep(dead); err != nil {
			return err
		}
		if w.healed(dead) {
			return nil
		}
	}
	return fmt.Errorf("high watermark %d of %d, in sync %v without %d: %+v",
		w.state.HighWatermark(), w.end, w.state.ISR(), dead, w.state.Followers(w.now))
}

// bury picks a follower that dies for good, noticed or not; or nobody. Its join
// may be in flight: then the controller's refusal ends the wait for it.
func (w *world) bury() cluster.BrokerID {
	f := w.someone()
	if w.r.IntN(2) == 0 {
		return cluster.NoBroker
	}
	if f.up {
		w.crash(f)
	}
	if w.r.IntN(2) == 0 {
		w.closeSession(f)
	}
	return f.id
}

func (w *world) healStep(dead cluster.BrokerID) error {
	w.durable = w.end
	w.state.LocalSynced(w.durable, w.now)
	for id := worldLeader + 1; id <= worldBrokers; id++ {
		if id != dead {
			w.healFollower(w.followers[id])
		}
		if err := w.check(); err != nil {
			return err
		}
	}
	if p, due := w.state.Tick(w.now); due {
		w.logf("proposal %d pe %d add %v remove %v: %s", p.Seq, p.PartitionEpoch, p.Add, p.Remove, p.Reason)
		w.checkProposal(p)
		w.resolve(p, w.decide(p))
	}
	for w.seen < len(w.images)-1 {
		w.metadata()
		if err := w.check(); err != nil {
			return err
		}
	}
	return nil
}

// healed reports whether all is as it should be. A dead follower to which
// nothing is due may stay in sync.
func (w *world) healed(dead cluster.BrokerID) bool {
	living := 0
	for _, id := range w.state.ISR() {
		if id != dead {
			living++
		}
	}
	want := worldBrokers
	if dead != cluster.NoBroker {
		want--
	}
	return w.state.HighWatermark() == w.end && living == want
}

func (w *world) healFollower(f *follower) {
	f.up = true
	b, _ := w.images[len(w.images)-1].Broker(f.id)
	switch {
	case f.epoch == 0 || b.Draining:
		f.incarnation++
		f.session = 0
		w.register(f)
	case b.Fenced:
		w.apply(cluster.UnfenceBroker{ID: f.id, Epoch: f.epoch})
	}
	if f.session == 0 || f.session != f.told {
		w.open(f)
	}
	w.state.CaughtUpLive(f.id, f.told, true, w.now)
	f.disk, f.memory = w.end, w.end
	w.acked(ack{f.id, f.session, f.disk, f.memory})
}
