package meta

import (
	"context"
	"errors"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	one := NewMemory(1)
	if _, err := one.Propose(t.Context(), cluster.InitCluster{ClusterID: "c"}); err != nil {
		t.Fatal(err)
	}
	two := one.Member(2) // late, and up to date
	if two.Image().ClusterID() != "c" || two.AppliedIndex() != 1 || two.Leader() != 1 {
		t.Fatalf("member 2 has cluster %q at %d led by %d", two.Image().ClusterID(), two.AppliedIndex(), two.Leader())
	}
	_, changed := two.Watch()
	broker := cluster.RegisterBroker{Broker: cluster.Broker{ID: 1, Incarnation: cluster.UUID{1}}}
	if res, err := one.Propose(t.Context(), broker); err != nil || res.BrokerEpoch != 2 {
		t.Fatalf("result %+v, error %v, want epoch 2", res, err)
	}
	<-changed
	if _, err := two.Propose(t.Context(), broker); !errors.Is(err, ErrNotLeader) {
		t.Errorf("propose on a follower: error %v, want %v", err, ErrNotLeader)
	}
	before, elected := two.Leadership()
	one.Elect(2)
	<-elected
	lead, _ := two.Leadership()
	if !lead.Self || lead.Leader != 2 || lead.Term != before.Term+1 {
		t.Errorf("leadership %+v after %+v, want 2 in the next term", lead, before)
	}
	if err := one.Barrier(t.Context()); !errors.Is(err, ErrNotLeader) {
		t.Errorf("barrier on the deposed leader: error %v, want %v", err, ErrNotLeader)
	}
	if err := two.Barrier(t.Context()); err != nil {
		t.Errorf("barrier: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := two.Propose(ctx, broker); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: error %v, want %v", err, context.Canceled)
	}
}

func TestMemoryFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		apply   bool
		err     error
		applied bool
	}{
		{name: "lost", err: ErrUnknownOutcome},
		{name: "applied but unknown", apply: true, err: ErrUnknownOutcome, applied: true},
		{name: "none", apply: true, applied: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := NewMemory(1)
			m.SetFault(func(cluster.Command) (bool, error) { return tt.apply, tt.err })
			_, err := m.Propose(t.Context(), cluster.InitCluster{ClusterID: "c"})
			if !errors.Is(err, tt.err) || (m.Image().ClusterID() == "c") != tt.applied {
				t.Errorf("error %v, cluster %q, want %v, applied %v", err, m.Image().ClusterID(), tt.err, tt.applied)
			}
		})
	}
}
