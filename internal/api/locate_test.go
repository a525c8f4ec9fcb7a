package api

import (
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

func TestHints(t *testing.T) {
	t.Parallel()
	turnedAway := func(leader cluster.BrokerID, epoch cluster.Epoch, cause error) error {
		return &partition.Error{Topic: "orders", Op: "append", Leader: leader, Epoch: epoch, Err: cause}
	}
	tests := []struct {
		name string
		err  error
		want hint
	}{
		{name: "the image knows", err: topicError("orders", 0, partition.ErrNotLeader), want: hint{2, 1}},
		{name: "the replica knows better", err: turnedAway(3, 5, partition.ErrNotLeader), want: hint{3, 5}},
		{name: "the replica is behind", err: turnedAway(3, 0, partition.ErrNotLeader), want: hint{2, 1}},
		{name: "fenced", err: turnedAway(3, 5, partition.ErrFencedEpoch), want: hint{3, 5}},
		{name: "this broker", err: turnedAway(self, 5, partition.ErrNotLeader), want: hint{cluster.NoBroker, cluster.NoEpoch}},
		{name: "nobody", err: turnedAway(cluster.NoBroker, 5, partition.ErrNotLeader), want: hint{cluster.NoBroker, cluster.NoEpoch}},
		{name: "a broker without an address", err: turnedAway(9, 5, partition.ErrNotLeader), want: hint{cluster.NoBroker, cluster.NoEpoch}},
		{name: "another error", err: turnedAway(3, 5, partition.ErrTimedOut), want: hint{cluster.NoBroker, cluster.NoEpoch}},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		topic := b.topic("orders", nil, []cluster.BrokerID{1, 2, 3})
		b.lead("orders", 0, 2)
		topic, _ = b.Image().Topic(topic.Name)
		for _, tt := range tests {
			h := &hints{self: self, img: b.Image()}
			if got := h.add(topic, 0, tt.err); got != tt.want {
				t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
			}
			if known := tt.want.leader != cluster.NoBroker; (len(h.nodes) == 1) != known {
				t.Errorf("%s: %d addresses", tt.name, len(h.nodes))
			}
		}
	})
}
