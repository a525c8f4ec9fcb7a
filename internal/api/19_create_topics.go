package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/wire"
)

// CreateTopics: v2-7
//
// Behavior:
//   - Any broker takes the request; the controller decides. The reply waits until
//     the topic is in this broker's metadata and its local replicas serve, so
//     that a client that goes on at once finds it.
//   - -1 partitions or replicas mean the broker's default. By default a topic
//     gets three replicas, or as many as there are live brokers.
//   - Topics of one request are created one after the other; each succeeds or
//     fails by itself. A name that occurs twice fails twice.
//
// Version notes:
//   - v4: defaults for partitions and replicas
//   - v5: flexible; the response describes the topic
//   - v7: topic id
func (t *Table) createTopics(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.CreateTopicsRequest)
	return wire.Func(func(ctx context.Context) (kmsg.Response, error) {
		ctx, cancel := context.WithDeadline(ctx, req.Received.Add(t.timeout(body.TimeoutMillis)))
		defer cancel()
		resp := respond[*kmsg.CreateTopicsResponse](req)
		for i := range body.Topics {
			asked := &body.Topics[i]
			var err error
			if occurrences(body.Topics, asked.Topic) > 1 {
				err = fmt.Errorf("topic %q is named more than once: %w", asked.Topic, cluster.ErrInvalidRequest)
			} else {
				err = t.createTopic(ctx, asked, body.ValidateOnly)
			}
			resp.Topics = append(resp.Topics, t.createdTopic(asked, err, body.ValidateOnly))
		}
		return resp, nil
	}), nil
}

func occurrences(topics []kmsg.CreateTopicsRequestTopic, name string) int {
	n := 0
	for i := range topics {
		if topics[i].Topic == name {
			n++
		}
	}
	return n
}

func (t *Table) createTopic(ctx context.Context, asked *kmsg.CreateTopicsRequestTopic, validateOnly bool) error {
	img := t.o.Metadata.Image()
	spec, err := t.topicSpec(img, asked)
	if err != nil {
		return err
	}
	if topicByName(img, spec.Name) != nil {
		return fmt.Errorf("topic %q: %w", spec.Name, cluster.ErrTopicExists)
	}
	if validateOnly {
		return nil
	}
	res, err := t.o.Admin.CreateTopic(ctx, spec)
	if err != nil {
		return err
	}
	return t.awaitIndex(ctx, res.Index)
}

// topicSpec checks what can be checked before the controller is asked.
func (t *Table) topicSpec(img *cluster.Image, asked *kmsg.CreateTopicsRequestTopic) (TopicSpec, error) {
	spec := TopicSpec{Name: asked.Topic, Configs: map[string]string{}}
	if reserved(spec.Name) {
		return spec, fmt.Errorf("topic %q: %w", spec.Name, errInternalTopicReserved)
	}
	if err := cluster.ValidateTopicName(spec.Name); err != nil {
		return spec, err
	}
	for i := range asked.Configs {
		c := &asked.Configs[i]
		if c.Value == nil {
			return spec, fmt.Errorf("topic %q: %s is null: %w", spec.Name, c.Name, cluster.ErrInvalidConfig)
		}
		spec.Configs[c.Name] = *c.Value
	}
	if err := cluster.ValidateTopicConfig(spec.Configs); err != nil {
		return spec, fmt.Errorf("topic %q: %w", spec.Name, err)
	}
	var err error
	if len(asked.ReplicaAssignment) > 0 {
		spec.Assignment, err = assignment(asked)
	} else {
		spec.Partitions, spec.ReplicationFactor, err = t.topicSize(img, asked)
	}
	return spec, err
}

// topicSize is the number of partitions and replicas, defaults applied.
func (t *Table) topicSize(img *cluster.Image, asked *kmsg.CreateTopicsRequestTopic) (partitions, replicas int, err error) {
	partitions, replicas = int(asked.NumPartitions), int(asked.ReplicationFactor)
	if partitions == -1 {
		partitions = t.o.DefaultPartitions
	}
	if replicas == -1 {
		replicas = t.replicationFactor(img)
	}
	if partitions < 1 || partitions > cluster.MaxPartitions {
		return 0, 0, fmt.Errorf("topic %q: %d partitions, want 1 to %d: %w",
			asked.Topic, partitions, cluster.MaxPartitions, cluster.ErrInvalidPartitions)
	}
	if live := eligible(img); replicas < 1 || replicas > live {
		return 0, 0, fmt.Errorf("topic %q: replication factor %d, and %d brokers are available: %w",
			asked.Topic, replicas, live, cluster.ErrInvalidReplicationFactor)
	}
	return partitions, replicas, nil
}

// replicationFactor is the factor of topics that leave it to the broker.
func (t *Table) replicationFactor(img *cluster.Image) int {
	if t.o.DefaultReplicationFactor > 0 {
		return t.o.DefaultReplicationFactor
	}
	return max(1, min(3, eligible(img)))
}

// eligible is the number of brokers that new replicas can be placed on.
func eligible(img *cluster.Image) int {
	n := 0
	for _, b := range img.Brokers() {
		if b.Eligible() {
			n++
		}
	}
	return n
}

// assignment orders a manual assignment by partition. The brokers in it are
// checked where the topic is created.
func assignment(asked *kmsg.CreateTopicsRequestTopic) ([][]cluster.BrokerID, error) {
	if asked.NumPartitions != -1 || asked.ReplicationFactor != -1 {
		return nil, fmt.Errorf("topic %q: both an assignment and a number of partitions or replicas: %w",
			asked.Topic, cluster.ErrInvalidRequest)
	}
	out := make([][]cluster.BrokerID, len(asked.ReplicaAssignment))
	for i := range asked.ReplicaAssignment {
		a := &asked.ReplicaAssignment[i]
		if a.Partition < 0 || int(a.Partition) >= len(out) || out[a.Partition] != nil {
			return nil, fmt.Errorf("topic %q: partitions must be numbered from 0, each once; got %d of %d: %w",
				asked.Topic, a.Partition, len(out), cluster.ErrInvalidReplicaAssignment)
		}
		replicas := make([]cluster.BrokerID, len(a.Replicas))
		for j, id := range a.Replicas {
			replicas[j] = cluster.BrokerID(id)
		}
		out[a.Partition] = replicas
	}
	return out, nil
}

// createdTopic is a topic's part of the response.
func (t *Table) createdTopic(asked *kmsg.CreateTopicsRequestTopic, err error, validateOnly bool) kmsg.CreateTopicsResponseTopic {
	answer := kmsg.NewCreateTopicsResponseTopic()
	answer.Topic = asked.Topic
	if err != nil {
		answer.ErrorCode, answer.ErrorMessage = int16(codeOf(err)), message(err)
		return answer
	}
	topic := topicByName(t.o.Metadata.Image(), asked.Topic)
	if validateOnly {
		topic = t.previewTopic(asked)
	}
	if topic == nil { // deleted again already
		return answer
	}
	answer.TopicID = topic.ID
	answer.NumPartitions, answer.ReplicationFactor = int32(len(topic.Partitions)), int16(topic.ReplicationFactor())
	for _, key := range cluster.TopicConfigKeys() {
		value, set := topic.ConfigValue(key.Name)
		answer.Configs = append(answer.Configs, kmsg.CreateTopicsResponseTopicConfig{
			Name: key.Name, Value: &value, Source: int8(configSource(set)),
		})
	}
	return answer
}

// previewTopic is the topic that a request would create, for validate-only.
func (t *Table) previewTopic(asked *kmsg.CreateTopicsRequestTopic) *cluster.Topic {
	spec, err := t.topicSpec(t.o.Metadata.Image(), asked)
	if err != nil {
		return nil
	}
	if spec.Assignment == nil {
		spec.Assignment = slices.Repeat([][]cluster.BrokerID{make([]cluster.BrokerID, spec.ReplicationFactor)}, spec.Partitions)
	}
	topic := &cluster.Topic{Name: spec.Name, Configs: spec.Configs}
	for _, replicas := range spec.Assignment {
		topic.Partitions = append(topic.Partitions, &cluster.Partition{Replicas: replicas})
	}
	return topic
}
