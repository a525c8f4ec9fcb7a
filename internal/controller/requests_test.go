package controller

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/meta"
)

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

// TestClientAsksAnybody: the metadata log does not tell who leads, as to a broker
// whose id another process uses.
func TestClientAsksAnybody(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		lost := NewClient(b.brokers[3].client.o)
		lost.o.Leader = func() cluster.BrokerID { return cluster.NoBroker }
		lost.o.Local = nil
		defer lost.Close()
		if _, err := lost.Propose(t.Context(), cluster.DeleteTopic{Name: "x"}); !errors.Is(err, cluster.ErrUnknownTopic) {
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

// TestMembersAreDescribedByTheController whoever is asked.
func TestMembersAreDescribedByTheController(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		rest(2 * time.Second)
		b.brokers[3].silence()
		rest(time.Second)
		b.topic("t", 1, 2) // which broker 3 does not tell that it knows
		rest(3 * time.Second)
		for _, id := range []cluster.BrokerID{1, 2, 3} {
			members, err := b.brokers[id].client.Members(t.Context())
			if err != nil || len(members) != 3 {
				t.Fatalf("broker %d: %+v, error %v", id, members, err)
			}
			end := b.store.AppliedIndex()
			for i, m := range members {
				switch {
				case m.Broker != cluster.BrokerID(i+1):
					t.Errorf("member %d is %+v", i, m)
				case m.Broker != 3 && (m.AppliedIndex != end || m.HeardAgo > 500*time.Millisecond || m.CaughtUpAgo != m.HeardAgo):
					t.Errorf("at %d: %+v", end, m)
				case m.Broker == 3 && (m.AppliedIndex >= end || m.HeardAgo < 4*time.Second || m.CaughtUpAgo != m.HeardAgo):
					t.Errorf("at %d: %+v, which is silent", end, m)
				}
			}
		}
	})
}

// TestUnknownOutcomesAreCalledSo: who is told that nothing was changed must be able
// to rely on it.
func TestUnknownOutcomesAreCalledSo(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		b.store.SetFault(func(cmd cluster.Command) (bool, error) {
			_, create := cmd.(cluster.CreateTopic)
			if create {
				return false, meta.ErrUnknownOutcome
			}
			return true, nil
		})
		for id := range b.brokers {
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			defer cancel()
			_, err := b.brokers[id].client.CreateTopic(ctx, TopicSpec{Name: "t", Partitions: 1, ReplicationFactor: 1})
			if !errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("from broker %d: %v, want %v", id, err, ErrOutcomeUnknown)
			}
		}
	})
}
