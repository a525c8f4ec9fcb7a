package controller

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
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

func TestClientFollowsTheController(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		for _, id := range []cluster.BrokerID{2, 3, 1, 2} {
			b.store.Elect(id)
			for _, one := range b.brokers {
				res, err := one.client.Propose(t.Context(), cluster.AllocateProducerIDs{Broker: one.id, BrokerEpoch: one.epoch(), Count: 10})
				if err != nil || res.Index == 0 {
					t.Errorf("broker %d at controller %d: result %+v, error %v", one.id, id, res, err)
				}
			}
		}
		// One that was cut off does not answer; its successor does.
		b.net.Cut("b3", "b2")
		start := time.Now()
		elected := time.AfterFunc(200*time.Millisecond, func() { b.store.Elect(1) })
		defer elected.Stop()
		if _, err := b.brokers[3].client.Propose(t.Context(), cluster.SetTopicConfigs{Name: "x"}); !errors.Is(err, cluster.ErrUnknownTopic) {
			t.Errorf("error %v, want the new controller's %v", err, cluster.ErrUnknownTopic)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("answered after %s although the leader changed at 200ms", took)
		}
	})
}

// TestClientTakesHints: the client's own view of the leader lags.
func TestClientTakesHints(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		late := NewClient(b.brokers[3].client.o)
		late.o.Leader = func() cluster.BrokerID { return 2 }
		defer late.Close()
		if _, err := late.Propose(t.Context(), cluster.DeleteTopic{Name: "x"}); !errors.Is(err, cluster.ErrUnknownTopic) {
			t.Errorf("error %v, want the answer of broker 1", err)
		}
	})
}

// TestDeposedInTheMiddle has the leader lose its office between the request and
// the proposal.
func TestDeposedInTheMiddle(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		refused := 0
		b.store.SetFault(func(cmd cluster.Command) (bool, error) {
			if _, ok := cmd.(cluster.AllocateProducerIDs); ok && refused < 3 {
				refused++
				return false, meta.ErrNotLeader
			}
			return true, nil
		})
		two := b.brokers[2]
		if _, err := two.client.Propose(t.Context(), cluster.AllocateProducerIDs{Broker: 2, BrokerEpoch: two.epoch(), Count: 1}); err != nil || refused != 3 {
			t.Errorf("error %v after %d refusals, want success after 3", err, refused)
		}
	})
}

func TestPoolIsBounded(t *testing.T) {
	t.Parallel()
	p := &pool{keep: 2}
	var far []net.Conn
	give := func(to cluster.BrokerID, sound bool) {
		near, other := net.Pipe()
		far = append(far, other)
		p.give(&pooled{Conn: near, to: to}, sound)
	}
	closed := func(i int) bool {
		_ = far[i].SetReadDeadline(time.Now().Add(-time.Second))
		_, err := far[i].Read(make([]byte, 1))
		return errors.Is(err, io.EOF)
	}
	give(1, false)
	give(1, true)
	give(1, true)
	give(1, true)
	for i, want := range []bool{true, false, false, true} {
		if closed(i) != want {
			t.Errorf("connection %d closed %v, want %v", i, !want, want)
		}
	}
	if p.take(1) == nil || p.take(2) != nil || !closed(1) {
		t.Error("want one of broker 1, none of broker 2, and the rest closed")
	}
	give(1, true)
	p.close()
	give(1, true)
	if !closed(4) || !closed(5) {
		t.Error("a closed pool keeps connections")
	}
}

func TestClientGivesUpInTime(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		b.store.Elect(cluster.NoBroker)
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := b.brokers[2].client.Propose(ctx, cluster.DeleteTopic{Name: "t"})
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 700*time.Millisecond {
			t.Errorf("error %v after %s, want %v after 700ms", err, time.Since(start), ErrUnreachable)
		}
	})
}

// TestLostAnswersAreRepeated has the log apply a command and lose the outcome:
// the repeat must find it.
func TestLostAnswersAreRepeated(t *testing.T) {
	t.Parallel()
	lose := func(b *bed, applied bool) {
		lost := false
		b.store.SetFault(func(cmd cluster.Command) (bool, error) {
			switch cmd.(type) {
			case cluster.CreateTopic, cluster.DeleteTopic, cluster.RegisterBroker:
				if !lost {
					lost = true
					return applied, meta.ErrUnknownOutcome
				}
			}
			return true, nil
		})
	}
	for _, applied := range []bool{false, true} {
		name := "lost before"
		if applied {
			name = "lost after"
		}
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(t *testing.T, b *bed) {
				lose(b, applied)
				b.topic("t", 1, 2, 3)
				lose(b, applied)
				spec := TopicSpec{Name: "placed", Partitions: 3, ReplicationFactor: 2}
				if _, err := b.brokers[2].client.CreateTopic(t.Context(), spec); err != nil {
					t.Errorf("create: %v", err)
				}
				if _, err := b.brokers[2].client.CreateTopic(t.Context(), spec); !errors.Is(err, cluster.ErrTopicExists) {
					t.Errorf("create once more: error %v, want %v", err, cluster.ErrTopicExists)
				}
				lose(b, applied)
				if _, err := b.brokers[2].client.Propose(t.Context(), cluster.DeleteTopic{Name: "t"}); err != nil {
					t.Errorf("delete: %v", err)
				}
				if _, ok := b.store.Image().Topic("t"); ok {
					t.Error("the topic is still there")
				}
				if _, err := b.brokers[2].client.Propose(t.Context(), cluster.DeleteTopic{Name: "t"}); !errors.Is(err, cluster.ErrUnknownTopic) {
					t.Errorf("delete once more: error %v, want %v", err, cluster.ErrUnknownTopic)
				}
				b.kill(3)
				lose(b, applied)
				b.start(3)
				b.ready(3)
			})
		})
	}
}

func TestBrokersSpeakForThemselves(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		two, three := b.brokers[2], b.brokers[3].epoch()
		for _, cmd := range []cluster.Command{
			cluster.RegisterBroker{Broker: cluster.Broker{ID: 3, Incarnation: two.incarnation}},
			cluster.RegisterBroker{Broker: cluster.Broker{ID: 2, Incarnation: cluster.UUID{1}}},
			cluster.DrainBroker{ID: 3, Epoch: three},
			cluster.FailReplicas{ID: 3, Epoch: three},
			cluster.AlterISR{Broker: 3, BrokerEpoch: three},
			cluster.AllocateProducerIDs{Broker: 3, BrokerEpoch: three, Count: 1},
			cluster.FenceBroker{ID: 2, Epoch: two.epoch()},
			cluster.UnfenceBroker{ID: 2, Epoch: two.epoch()},
			cluster.InitCluster{ClusterID: "mine"},
			cluster.CreateTopic{ID: cluster.UUID{1}, Name: "t", Assignment: [][]cluster.BrokerID{{2}}},
		} {
			before := b.store.AppliedIndex()
			if _, err := two.client.Propose(t.Context(), cmd); !errors.Is(err, cluster.ErrInvalidRequest) {
				t.Errorf("%T: error %v, want %v", cmd, err, cluster.ErrInvalidRequest)
			}
			if b.store.AppliedIndex() != before {
				t.Errorf("%T reached the log", cmd)
			}
		}
		if err := two.client.Heartbeat(t.Context(), Heartbeat{Broker: 3, Epoch: three}); !errors.Is(err, cluster.ErrInvalidRequest) {
			t.Errorf("a heartbeat for another: error %v, want %v", err, cluster.ErrInvalidRequest)
		}
		if err := two.client.Heartbeat(t.Context(), Heartbeat{Broker: 2, Epoch: two.epoch() - 1}); !errors.Is(err, cluster.ErrStaleBrokerEpoch) {
			t.Errorf("a heartbeat of an old epoch: error %v, want %v", err, cluster.ErrStaleBrokerEpoch)
		}
	})
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
		if p := b.partition("t"); !p.InISR(3) {
			t.Error("a slow disk alone must not cost the place in the in-sync set")
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

func TestCreateTopic(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		spec TopicSpec
		want error
	}{
		{name: "placed", spec: TopicSpec{Name: "t", Partitions: 6, ReplicationFactor: 3}},
		{name: "assigned", spec: TopicSpec{Name: "t", Assignment: [][]cluster.BrokerID{{3, 1}, {2, 3}}}},
		{name: "bad name", spec: TopicSpec{Name: "a/b", Partitions: 1, ReplicationFactor: 1}, want: cluster.ErrInvalidTopic},
		{name: "taken", spec: TopicSpec{Name: "taken", Partitions: -5, ReplicationFactor: 9}, want: cluster.ErrTopicExists},
		{name: "no partitions", spec: TopicSpec{Name: "t", ReplicationFactor: 1}, want: cluster.ErrInvalidPartitions},
		{name: "too many partitions", spec: TopicSpec{Name: "t", Partitions: cluster.MaxPartitions + 1, ReplicationFactor: 1}, want: cluster.ErrInvalidPartitions},
		{name: "no replicas", spec: TopicSpec{Name: "t", Partitions: 1}, want: cluster.ErrInvalidReplicationFactor},
		{name: "more replicas than live brokers", spec: TopicSpec{Name: "t", Partitions: 1, ReplicationFactor: 4}, want: cluster.ErrInvalidReplicationFactor},
		{name: "bad config", spec: TopicSpec{Name: "t", Partitions: 1, ReplicationFactor: 1, Configs: map[string]string{"x": "y"}}, want: cluster.ErrInvalidConfig},
		{name: "assigned to nobody", spec: TopicSpec{Name: "t", Assignment: [][]cluster.BrokerID{{9}}}, want: cluster.ErrInvalidReplicaAssignment},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, 4, nil, func(t *testing.T, b *bed) {
				b.topic("taken", 1)
				b.kill(4)
				b.fenced(4)
				res, err := b.brokers[2].client.CreateTopic(t.Context(), tt.spec)
				if !errors.Is(err, tt.want) || (tt.want != nil && !errors.Is(res.Err, tt.want)) {
					t.Fatalf("error %v, result %v, want %v", err, res.Err, tt.want)
				}
				topic, ok := b.store.Image().Topic(tt.spec.Name)
				if tt.want != nil {
					if ok && tt.spec.Name != "taken" {
						t.Fatal("the refused topic is there")
					}
					return
				}
				if !ok || topic.ID != res.TopicID || b.store.AppliedIndex() < res.Index {
					t.Fatalf("topic %+v, result %+v", topic, res)
				}
				for i, p := range topic.Partitions {
					if tt.spec.Assignment != nil && !slices.Equal(p.Replicas, tt.spec.Assignment[i]) {
						t.Errorf("partition %d is on %v, want %v", i, p.Replicas, tt.spec.Assignment[i])
					}
					if p.HasReplica(4) || len(p.ISR) != len(p.Replicas) {
						t.Errorf("partition %d: %+v", i, *p)
					}
				}
			})
		})
	}
}

func TestRequestsAreBounded(t *testing.T) {
	run(t, 3, func(o *Options) { o.MaxRequests = 1 }, func(t *testing.T, b *bed) {
		c := b.brokers[1].control
		c.slots <- struct{}{}
		if resp := c.answer(t.Context(), caller{broker: 1}, request{}); !strings.Contains(resp.Again, "too many") {
			t.Errorf("answered %+v, want to be told to come again", resp)
		}
		released := time.AfterFunc(time.Second, func() { <-c.slots })
		defer released.Stop()
		start := time.Now()
		if _, err := b.brokers[2].client.Propose(t.Context(), cluster.DeleteTopic{Name: "x"}); !errors.Is(err, cluster.ErrUnknownTopic) {
			t.Errorf("error %v, want an answer in the end", err)
		}
		if took := time.Since(start); took < time.Second || took > 1200*time.Millisecond {
			t.Errorf("answered after %s, want 1s", took)
		}
	})
}
