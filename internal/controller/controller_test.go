package controller

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/peer"
)

// run runs a test on n brokers that are registered and unfenced.
func run(t *testing.T, n int, edit func(*Options), test func(t *testing.T, b *bed)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, n, edit)
		defer b.close()
		var ids []cluster.BrokerID
		for _, p := range b.peers {
			ids = append(ids, p.ID)
		}
		b.start(ids...)
		b.ready(ids...)
		test(t, b)
	})
}

func TestBrokersAreUnfencedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, 3, nil)
		defer b.close()
		b.start(1, 2, 3)
		if took := b.ready(1, 2, 3); took > 100*time.Millisecond {
			t.Errorf("unfenced after %s, want at once", took)
		}
		if b.store.Image().ClusterID() == "" {
			t.Error("the cluster has no id")
		}
	})
}

func TestDeadBrokersAreFenced(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		die    func(b *bed)
		atMost time.Duration
		least  time.Duration
	}{
		{name: "killed", die: func(b *bed) { b.kill(3) }, least: 100 * time.Millisecond, atMost: 250 * time.Millisecond},
		{name: "silent", die: func(b *bed) { b.brokers[3].silence() }, least: 5500 * time.Millisecond, atMost: 6200 * time.Millisecond},
		{name: "cut off", die: func(b *bed) {
			b.net.Cut("b3", "b1")
			b.net.Cut("b1", "b3")
		}, least: 5500 * time.Millisecond, atMost: 6200 * time.Millisecond},
		{name: "asks for it", die: func(b *bed) {
			b.brokers[3].says(func(h *Heartbeat) { h.WantFence = true })
		}, atMost: 500 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, 3, nil, func(t *testing.T, b *bed) {
				b.topic("t", 3, 2, 1)
				rest(time.Second)
				tt.die(b)
				took := b.fenced(3)
				if took < tt.least || took > tt.atMost {
					t.Errorf("fenced after %s, want %s to %s", took, tt.least, tt.atMost)
				}
				if p := b.partition("t"); p.Leader != 2 || p.InISR(3) {
					t.Errorf("leader %d, isr %v after the fence, want 2 and no 3", p.Leader, p.ISR)
				}
			})
		})
	}
}

// TestALostConnectionIsNoDeath: the broker still listens, and finds the
// controller again.
func TestALostConnectionIsNoDeath(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		epoch := b.brokers[3].epoch()
		rest(100 * time.Millisecond) // between two heartbeats
		b.brokers[3].client.alone.mu.Lock()
		conns := slices.Clone(b.brokers[3].client.alone.idle)
		b.brokers[3].client.alone.mu.Unlock()
		if len(conns) != 1 {
			t.Fatalf("%d connections carry heartbeats, want 1", len(conns))
		}
		conns[0].Close()
		rest(10 * time.Second)
		if self, _ := b.store.Image().Broker(3); self.Fenced || self.Epoch != epoch {
			t.Errorf("broker 3 is %+v", *self)
		}
	})
}

func TestAFencedBrokerComesBack(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		b.net.Cut("b3", "b1")
		b.fenced(3)
		rest(5 * time.Second)
		b.net.Heal("b3", "b1")
		if took := b.ready(3); took > 4*time.Second {
			t.Errorf("unfenced %s after the network healed", took)
		}
	})
}

func TestARestartIsANewIncarnation(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		b.topic("t", 3, 2, 1)
		epoch := b.brokers[3].epoch()
		rest(time.Second)
		b.kill(3)
		rest(20 * time.Millisecond) // back before anybody noticed
		b.start(3)
		b.ready(3)
		if again := b.brokers[3].epoch(); again <= epoch {
			t.Errorf("epoch %d after %d", again, epoch)
		}
		if p := b.partition("t"); p.Leader != 2 || p.LeaderEpoch != 1 || p.InISR(3) {
			t.Errorf("partition %+v, want broker 2 in epoch 1 without 3", *p)
		}
	})
}

func TestAnotherDirectoryIsRefusedWhileTheFirstLives(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		impostor := peer.NewMux(peer.Options{Self: 3, Incarnation: cluster.UUID{1}})
		client := NewClient(ClientOptions{
			Self: 3, Peers: b.peers, Network: b.net.Host("elsewhere"), Hello: impostor.Hello, Leader: b.store.Leader,
		})
		defer client.Close()
		cmd := cluster.RegisterBroker{Broker: cluster.Broker{ID: 3, Incarnation: cluster.UUID{1}, Directory: cluster.UUID{2}}}
		if _, err := client.Propose(ctx, cmd); !errors.Is(err, cluster.ErrDuplicateBroker) {
			t.Errorf("error %v, want %v", err, cluster.ErrDuplicateBroker)
		}
		b.kill(3)
		if _, err := client.Propose(ctx, cmd); err != nil {
			t.Errorf("after the first has gone: %v", err)
		}
		// One that never saw its own registration was replaced all the same.
		replaced := NewClient(client.o)
		defer replaced.Close()
		replaced.o.Hello = peer.NewMux(peer.Options{Self: 3, Incarnation: cluster.UUID{4}}).Hello
		if err := replaced.Heartbeat(ctx, Heartbeat{Broker: 3}); !errors.Is(err, cluster.ErrStaleBrokerEpoch) {
			t.Errorf("a process that was replaced: error %v, want %v", err, cluster.ErrStaleBrokerEpoch)
		}
	})
}

// TestTakeOver kills the controller and another broker together: the new
// controller must not give the dead a fresh session (K35).
func TestTakeOver(t *testing.T) {
	run(t, 4, nil, func(t *testing.T, b *bed) {
		b.topic("t", 1, 3, 2)
		rest(time.Second)
		b.kill(1)
		b.kill(3)
		b.store.Elect(2)
		took := b.fenced(1)
		took += b.fenced(3)
		if took > 300*time.Millisecond {
			t.Errorf("fenced %s after the new controller's election", took)
		}
		if p := b.partition("t"); p.Leader != 2 {
			t.Errorf("broker %d leads, want 2", p.Leader)
		}
		rest(20 * time.Second)
		for _, id := range []cluster.BrokerID{2, 4} {
			if self, _ := b.store.Image().Broker(id); self.Fenced {
				t.Errorf("broker %d, which lives, was fenced", id)
			}
		}
	})
}

func TestTheBarrierComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := meta.NewMemory(1)
		s := &slowBarrier{Memory: m, fails: 3}
		n := peer.NewMemNetwork()
		defer n.Close()
		c := New(Options{Self: 1, Store: s, Network: n.Host("a")})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		if c.term.Load() != nil {
			t.Error("in office without a barrier")
		}
		rest(time.Second)
		if c.term.Load() == nil {
			t.Error("not in office although the barrier succeeded in the end")
		}
		m.Elect(2)
		rest(time.Second)
		if c.term.Load() != nil {
			t.Error("in office without the lead")
		}
		m.Elect(1)
		rest(time.Second)
		first := c.term.Load()
		m.Elect(1) // deposed and elected again
		rest(time.Second)
		if again := c.term.Load(); again == nil || again == first {
			t.Error("a new term must begin anew")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

type slowBarrier struct {
	*meta.Memory
	fails int
}

func (s *slowBarrier) Barrier(ctx context.Context) error {
	if s.fails--; s.fails >= 0 {
		return meta.ErrUnknownOutcome
	}
	return s.Memory.Barrier(ctx)
}

func TestDrainWaitsForTheOthers(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		b.topic("t", 3, 2, 1)
		res, err := b.brokers[3].client.Propose(t.Context(), cluster.DrainBroker{ID: 3, Epoch: b.brokers[3].epoch()})
		if err != nil {
			t.Fatal(err)
		}
		if p := b.partition("t"); p.Leader != 2 || p.InISR(3) {
			t.Errorf("partition %+v, want 2 to lead without 3", *p)
		}
		for _, id := range []cluster.BrokerID{1, 2} {
			b.brokers[1].control.term.Load().mu.Lock()
			applied := b.brokers[1].control.term.Load().sessions.of[id].beat.AppliedIndex
			b.brokers[1].control.term.Load().mu.Unlock()
			if applied < res.Index {
				t.Errorf("answered although broker %d is at %d of %d", id, applied, res.Index)
			}
		}
		// Somebody who never tells does not keep it from ending.
		b.brokers[2].silence()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.brokers[1].client.Propose(ctx, cluster.DrainBroker{ID: 1, Epoch: b.brokers[1].epoch()}); err != nil {
			t.Errorf("drain beside a silent broker: %v", err)
		}
	})
}

func TestAHangingDiskLosesItsLeaderships(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		b.topic("t", 3, 2, 1)
		b.topic("alone", 3)
		b.brokers[3].says(func(h *Heartbeat) { h.OldestFsyncAge = 3 * time.Second })
		rest(5 * time.Second)
		if p := b.partition("t"); p.Leader != 3 {
			t.Fatal("moved away at the limit, want beyond")
		}
		b.brokers[3].says(func(h *Heartbeat) { h.OldestFsyncAge = 3001 * time.Millisecond })
		took := b.await("another leader", func(img *cluster.Image) bool { return b.partition("t").Leader == 2 })
		if took > 600*time.Millisecond {
			t.Errorf("moved after %s", took)
		}
		if p := b.partition("t"); p.InISR(3) {
			t.Error("the hanging disk is still waited for")
		}
		if p := b.partition("alone"); p.Leader != 3 {
			t.Errorf("broker %d leads what only 3 holds", p.Leader)
		}
		// It does not get the lead back while its disk hangs, but then it does.
		rest(30 * time.Second)
		if p := b.partition("t"); p.Leader != 2 {
			t.Error("the hanging disk leads again")
		}
		b.brokers[3].says(func(h *Heartbeat) { h.OldestFsyncAge = 0 })
		b.rejoin("t", 3)
		took = b.await("the preferred leader", func(img *cluster.Image) bool { return b.partition("t").Leader == 3 })
		if took < 9*time.Second || took > 12*time.Second {
			t.Errorf("gave the lead back after %s, want some 10s", took)
		}
	})
}

func TestFailedReplicasLeave(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		tp := b.topic("t", 3, 2, 1).TopicPartition(0)
		b.topic("other", 3, 2, 1)
		b.brokers[3].says(func(h *Heartbeat) { h.FailedReplicas = []cluster.TopicPartition{tp, {TopicID: cluster.UUID{1}}} })
		b.await("broker 3 out", func(img *cluster.Image) bool { return !b.partition("t").InISR(3) })
		if p := b.partition("t"); p.Leader != 2 || p.InELR(3) {
			t.Errorf("partition %+v, want 2 to lead and 3 nowhere", *p)
		}
		if p := b.partition("other"); p.Leader != 3 {
			t.Errorf("partition %+v, want 3 to lead what it holds", *p)
		}
		index := b.store.AppliedIndex()
		rest(5 * time.Second)
		if b.store.AppliedIndex() != index {
			t.Error("the same failure is reported to the log again and again")
		}
	})
}
