package cluster

import (
	"fmt"
	"slices"
)

// Partition is the state of one partition that the cluster agrees on (K1).
// Replicas is the assignment, preferred leader first; ISR and ELR keep its
// order. Images share it: treat it as immutable.
type Partition struct {
	Replicas []BrokerID `json:"replicas"`
	// ISR holds the replicas whose durable position the high watermark waits
	// for. It is empty exactly when there is no leader.
	ISR []BrokerID `json:"isr"`
	// ELR holds the eligible leader replicas (KIP-966): those that left the
	// in-sync set when it was below its minimum, so that they still hold
	// everything committed. They may be elected when the ISR is empty.
	ELR []BrokerID `json:"elr,omitempty"`
	// Leader is NoBroker while nobody may lead.
	Leader BrokerID `json:"leader"`
	// LeaderEpoch grows by one with every change of Leader.
	LeaderEpoch Epoch `json:"leader_epoch"`
	// PartitionEpoch grows by one with every change of any field.
	PartitionEpoch PartitionEpoch `json:"partition_epoch"`
}

// HasReplica reports whether the partition is assigned to the broker.
func (p *Partition) HasReplica(id BrokerID) bool { return slices.Contains(p.Replicas, id) }

// InISR reports whether the broker is in the in-sync set.
func (p *Partition) InISR(id BrokerID) bool { return slices.Contains(p.ISR, id) }

// InELR reports whether the broker is an eligible leader replica.
func (p *Partition) InELR(id BrokerID) bool { return slices.Contains(p.ELR, id) }

// Preferred is the broker that leads when all is well: the first replica.
func (p *Partition) Preferred() BrokerID {
	if len(p.Replicas) == 0 {
		return NoBroker
	}
	return p.Replicas[0]
}

// Topic is a topic and its partitions. Images share it: treat it and
// everything it points to as immutable.
type Topic struct {
	ID   UUID   `json:"id"`
	Name string `json:"name"`
	// Configs holds what was set explicitly; [Topic.Config] adds the defaults.
	Configs    map[string]string `json:"configs,omitempty"`
	Partitions []*Partition      `json:"partitions"`
}

// ReplicationFactor is the number of replicas of each partition.
func (t *Topic) ReplicationFactor() int {
	if len(t.Partitions) == 0 {
		return 0
	}
	return len(t.Partitions[0].Replicas)
}

// TopicPartition names the topic's partition of that index.
func (t *Topic) TopicPartition(index int) TopicPartition {
	return TopicPartition{TopicID: t.ID, Partition: int32(index)}
}

// maxTopicName is Kafka's limit: the name plus a partition number must fit a
// file name.
const maxTopicName = 249

// ValidateTopicName refuses, with [ErrInvalidTopic], what Kafka refuses: empty,
// too long, "." and "..", and anything but ASCII letters, digits, '.', '_', '-'.
func ValidateTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("empty name: %w", ErrInvalidTopic)
	case len(name) > maxTopicName:
		return fmt.Errorf("name of %d characters, at most %d are allowed: %w", len(name), maxTopicName, ErrInvalidTopic)
	case name == "." || name == "..":
		return fmt.Errorf("name %q: %w", name, ErrInvalidTopic)
	}
	for _, c := range []byte(name) {
		if !topicNameByte(c) {
			return fmt.Errorf("name %q: only letters, digits, '.', '_' and '-' are allowed: %w", name, ErrInvalidTopic)
		}
	}
	return nil
}

func topicNameByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	default:
		return c == '.' || c == '_' || c == '-'
	}
}
