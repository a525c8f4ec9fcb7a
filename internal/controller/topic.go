package controller

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/chronik-project/chronik/internal/cluster"
)

// TopicSpec asks for a topic. Without Assignment the controller places the
// replicas.
type TopicSpec struct {
	Name              string               `json:"name"`
	Partitions        int                  `json:"partitions,omitempty"`
	ReplicationFactor int                  `json:"replication_factor,omitempty"`
	Assignment        [][]cluster.BrokerID `json:"assignment,omitempty"`
	Configs           map[string]string    `json:"configs,omitempty"`
}

// createTopic places a topic and has it created. The caller chose the id, so
// that its repeats are recognised.
func (t *term) createTopic(ctx context.Context, c createRequest) (cluster.Result, error) {
	img := t.o.Store.Image()
	if known, ok := img.TopicByID(c.ID); ok && known.Name == c.Spec.Name || img.Deleted(c.ID) {
		return cluster.Result{TopicID: c.ID, Index: img.Index()}, nil
	}
	cmd := cluster.CreateTopic{ID: c.ID, Name: c.Spec.Name, Assignment: c.Spec.Assignment, Configs: c.Spec.Configs}
	if len(cmd.Assignment) == 0 {
		// What is wrong with the name is said before what is wrong with the counts.
		if err := cluster.ValidateTopicName(c.Spec.Name); err != nil {
			return cluster.Result{}, fmt.Errorf("create topic: %w", err)
		}
		if _, taken := img.Topic(c.Spec.Name); taken {
			return cluster.Result{}, fmt.Errorf("create topic %q: %w", c.Spec.Name, cluster.ErrTopicExists)
		}
		var err error
		if cmd.Assignment, err = assign(img, c.Spec); err != nil {
			return cluster.Result{}, fmt.Errorf("create topic %q: %w", c.Spec.Name, err)
		}
	}
	return t.o.Store.Propose(ctx, cmd)
}

// assign checks the counts against the live brokers and places the replicas.
func assign(img *cluster.Image, spec TopicSpec) ([][]cluster.BrokerID, error) {
	var live []*cluster.Broker
	for _, b := range img.Brokers() {
		if b.Eligible() {
			live = append(live, b)
		}
	}
	if n := spec.Partitions; n < 1 || n > cluster.MaxPartitions {
		return nil, fmt.Errorf("%d partitions, want 1 to %d: %w", n, cluster.MaxPartitions, cluster.ErrInvalidPartitions)
	}
	if n := spec.ReplicationFactor; n < 1 || n > min(len(live), cluster.MaxReplicationFactor) {
		return nil, fmt.Errorf("replication factor %d, %d brokers are live: %w", n, len(live), cluster.ErrInvalidReplicationFactor)
	}
	return place(live, spec.Partitions, spec.ReplicationFactor, rand.IntN(len(live))), nil
}
