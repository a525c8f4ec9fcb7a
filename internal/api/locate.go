package api

import (
	"errors"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// metadataTopic is the name under which Kafka's tools ask for the metadata log.
const metadataTopic = "__cluster_metadata"

// reserved reports whether a name belongs to the broker: clients may not create
// such topics, least of all by asking for them.
func reserved(name string) bool { return name == metadataTopic }

// internal reports whether clients should treat a topic as the broker's own.
func internal(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state"
}

// locate finds the local replica of a partition, leading or not. A topic of nil
// is one that the image does not know.
func (t *Table) locate(topic *cluster.Topic, name string, index int32) (*partition.Replica, error) {
	if topic == nil && !t.informed() {
		return nil, topicError(name, index, partition.ErrNotReady)
	}
	if topic == nil || index < 0 || int(index) >= len(topic.Partitions) {
		return nil, topicError(name, index, cluster.ErrUnknownTopic)
	}
	if r, ok := t.o.Partitions.Get(topic.TopicPartition(int(index))); ok {
		return r, nil
	}
	return nil, topicError(name, index, partition.ErrNotLeader)
}

// topicByName is like Image.Topic, with nil for an unknown topic.
func topicByName(img *cluster.Image, name string) *cluster.Topic {
	topic, _ := img.Topic(name)
	return topic
}

// hints collects where the leaders are that a client was wrong about, so that
// it can go there without asking for metadata first (KIP-951).
type hints struct {
	self  cluster.BrokerID
	img   *cluster.Image
	nodes []*cluster.Broker
}

// hint is who leads a partition; NoBroker and NoEpoch when that is not known.
type hint struct {
	leader cluster.BrokerID
	epoch  cluster.Epoch
}

// add returns the leader of a partition for which err sent a client away, and
// remembers that broker's address. It takes the newer of what the image and the
// replica say. This broker itself is never a hint: whoever it turned away
// should not come back at once.
func (h *hints) add(topic *cluster.Topic, index int32, err error) hint {
	best := hint{leader: cluster.NoBroker, epoch: cluster.NoEpoch}
	if c := codeOf(err); c != codeNotLeaderOrFollower && c != codeFencedLeaderEpoch {
		return best
	}
	if topic != nil && index >= 0 && int(index) < len(topic.Partitions) {
		p := topic.Partitions[index]
		best = hint{leader: p.Leader, epoch: p.LeaderEpoch}
	}
	var from *partition.Error
	if errors.As(err, &from) && from.Epoch > best.epoch {
		best = hint{leader: from.Leader, epoch: from.Epoch}
	}
	broker, ok := h.img.Broker(best.leader)
	if !ok || best.leader == h.self {
		return hint{leader: cluster.NoBroker, epoch: cluster.NoEpoch}
	}
	if !slices.Contains(h.nodes, broker) {
		h.nodes = append(h.nodes, broker)
	}
	return best
}

// rack is a broker's rack as the protocol has it: null when there is none.
func rack(b *cluster.Broker) *string {
	if b.Rack == "" {
		return nil
	}
	return &b.Rack
}

// alive lists the brokers that clients may talk to.
func alive(img *cluster.Image) []*cluster.Broker {
	var brokers []*cluster.Broker
	for _, b := range img.Brokers() {
		if !b.Fenced {
			brokers = append(brokers, b)
		}
	}
	return brokers
}

// ids converts broker ids to the protocol's.
func ids(brokers []cluster.BrokerID) []int32 {
	out := make([]int32, len(brokers))
	for i, id := range brokers {
		out[i] = int32(id)
	}
	return out
}
