package cluster

import (
	"fmt"
	"maps"
	"slices"
)

const (
	// MaxPartitions bounds the partitions of one topic.
	MaxPartitions = 10_000
	// MaxReplicationFactor bounds the replicas of one partition.
	MaxReplicationFactor = 32
)

func (tx *txn) createTopic(c CreateTopic) Result {
	if tx.next.Deleted(c.ID) {
		return Result{TopicID: c.ID} // the same command again, and somebody deleted the topic meanwhile
	}
	if err := tx.checkCreate(c); err != nil {
		return Result{Err: fmt.Errorf("create topic %q: %w", c.Name, err)}
	}
	if _, ok := tx.next.TopicByID(c.ID); ok {
		return Result{TopicID: c.ID} // the same command again
	}
	t := &Topic{ID: c.ID, Name: c.Name, Configs: cloneConfigs(c.Configs)}
	for i, replicas := range c.Assignment {
		p, err := tx.newPartition(t, replicas)
		if err != nil {
			return Result{Err: fmt.Errorf("create topic %q: partition %d: %w", c.Name, i, err)}
		}
		if len(replicas) != len(c.Assignment[0]) {
			return Result{Err: fmt.Errorf("create topic %q: partition %d has %d replicas, partition 0 has %d: %w",
				c.Name, i, len(replicas), len(c.Assignment[0]), ErrInvalidReplicaAssignment)}
		}
		t.Partitions = append(t.Partitions, p)
	}
	tx.addTopic(t)
	return Result{TopicID: t.ID}
}

func (tx *txn) checkCreate(c CreateTopic) error {
	if err := ValidateTopicName(c.Name); err != nil {
		return err
	}
	if c.ID == ZeroUUID {
		return fmt.Errorf("no topic id: %w", ErrInvalidRequest)
	}
	if err := ValidateTopicConfig(c.Configs); err != nil {
		return err
	}
	if n := len(c.Assignment); n < 1 || n > MaxPartitions {
		return fmt.Errorf("%d partitions, want 1 to %d: %w", n, MaxPartitions, ErrInvalidPartitions)
	}
	if t, ok := tx.next.Topic(c.Name); ok && t.ID != c.ID {
		return ErrTopicExists
	}
	if t, ok := tx.next.TopicByID(c.ID); ok && t.Name != c.Name {
		return fmt.Errorf("topic id %s belongs to %q: %w", c.ID, t.Name, ErrInvalidRequest)
	}
	return nil
}

// newPartition starts with every live replica in sync, as all logs are empty. If
// these are fewer than the minimum, the other replicas are eligible leaders: an
// empty log holds all that was committed. Only a broker that told which directory
// it has can be one, as another directory is how it would be known to have lost
// what it gets by then.
func (tx *txn) newPartition(t *Topic, replicas []BrokerID) (*Partition, error) {
	if n := len(replicas); n < 1 || n > MaxReplicationFactor {
		return nil, fmt.Errorf("%d replicas, want 1 to %d: %w", n, MaxReplicationFactor, ErrInvalidReplicaAssignment)
	}
	p := &Partition{Replicas: slices.Clone(replicas), Leader: NoBroker}
	for i, id := range replicas {
		b, ok := tx.next.Broker(id)
		if !ok {
			return nil, fmt.Errorf("broker %d is not registered: %w", id, ErrInvalidReplicaAssignment)
		}
		if slices.Contains(replicas[:i], id) {
			return nil, fmt.Errorf("broker %d is named twice: %w", id, ErrInvalidReplicaAssignment)
		}
		switch {
		case b.Eligible():
			p.ISR = append(p.ISR, id)
		case b.Directory != ZeroUUID:
			p.ELR = append(p.ELR, id)
		}
	}
	if len(p.ISR) == 0 {
		return nil, fmt.Errorf("none of the brokers %v is alive: %w", replicas, ErrInvalidReplicaAssignment)
	}
	if len(p.ISR) >= EffectiveMinISR(t, p) {
		p.ELR = nil
	}
	p.Leader = p.ISR[0]
	return p, nil
}

func (tx *txn) deleteTopic(c DeleteTopic) Result {
	t, ok := tx.next.TopicByID(c.ID)
	if c.ID == ZeroUUID {
		t, ok = tx.next.Topic(c.Name)
	}
	if !ok || (c.Name != "" && t.Name != c.Name) {
		return Result{Err: fmt.Errorf("delete topic %s %q: %w", c.ID, c.Name, ErrUnknownTopic)}
	}
	tx.removeTopic(t.ID)
	return Result{TopicID: t.ID}
}

func (tx *txn) setTopicConfigs(c SetTopicConfigs) Result {
	t, ok := tx.next.Topic(c.Name)
	if !ok {
		return Result{Err: fmt.Errorf("configure topic %q: %w", c.Name, ErrUnknownTopic)}
	}
	configs := make(map[string]string, len(t.Configs)+len(c.Set))
	maps.Copy(configs, t.Configs)
	for _, name := range c.Delete {
		delete(configs, name)
	}
	maps.Copy(configs, c.Set)
	if err := ValidateTopicConfig(configs); err != nil {
		return Result{Err: fmt.Errorf("configure topic %q: %w", c.Name, err)}
	}
	if maps.Equal(configs, t.Configs) {
		return Result{TopicID: t.ID}
	}
	t = tx.own(t.ID)
	t.Configs = cloneConfigs(configs)
	for i := range t.Partitions {
		// A lower minimum may let the high watermark move again without the
		// eligible leader replicas: then they are complete no longer (K27, M6).
		e := tx.edit(t, i)
		e.setISR(e.p.ISR)
		e.store()
	}
	return Result{TopicID: t.ID}
}

// cloneConfigs keeps "none" in one form, nil, so that a decoded image equals
// the encoded one.
func cloneConfigs(configs map[string]string) map[string]string {
	if len(configs) == 0 {
		return nil
	}
	return maps.Clone(configs)
}
