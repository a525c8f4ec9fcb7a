package admin

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// parsePartition reads a partition number.
func parsePartition(text string) (int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, strconv.ErrRange
	}
	return int32(n), nil
}

// TopicSpec is a topic to create.
type TopicSpec struct {
	Name string
	// Partitions is the number of partitions; 0 leaves it to the broker.
	Partitions int32
	// ReplicationFactor is how many brokers hold each; 0 leaves it to the broker.
	ReplicationFactor int16
	// Configs are topic settings by Kafka name.
	Configs map[string]string
	// Assignment names the replicas of each partition, preferred leader first.
	// It replaces the two numbers above.
	Assignment [][]int32
}

// CreatedTopic is what became of a TopicSpec.
type CreatedTopic struct {
	Topic             string `json:"topic"`
	TopicID           string `json:"topic_id"`
	Created           bool   `json:"created"` // false: it existed, or a dry run
	DryRun            bool   `json:"dry_run"`
	Partitions        int    `json:"partitions"`         // -1: the broker does not say
	ReplicationFactor int    `json:"replication_factor"` // -1: the broker does not say
	// MinInsyncReplicas is null when the broker does not say.
	MinInsyncReplicas *int `json:"min_insync_replicas"`
	// Leaders and FullISR count partitions, once they were waited for.
	Leaders int `json:"leaders"`
	FullISR int `json:"full_isr"`
}

// CreateTopic asks the controller for a topic. It returns once the topic
// exists; WaitTopic waits until it can be used.
func (c *Client) CreateTopic(ctx context.Context, spec TopicSpec, dryRun bool) (CreatedTopic, error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.ValidateOnly = dryRun
	req.TimeoutMillis = timeoutMillis(ctx)
	req.Topics = append(req.Topics, spec.request())
	resp, err := req.RequestWith(ctx, c.kafka)
	if err != nil {
		return CreatedTopic{}, c.connectError(ctx, err)
	}
	if len(resp.Topics) != 1 {
		return CreatedTopic{}, fmt.Errorf("%s: the broker answered for %d topics, not 1", topicSubject(spec.Name), len(resp.Topics))
	}
	got := resp.Topics[0]
	if err := codeError(topicSubject(spec.Name), got.ErrorCode, got.ErrorMessage); err != nil {
		return CreatedTopic{}, err
	}
	return spec.created(got, dryRun), nil
}

func (s TopicSpec) request() kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = s.Name
	t.NumPartitions, t.ReplicationFactor = -1, -1
	if s.Partitions > 0 {
		t.NumPartitions = s.Partitions
	}
	if s.ReplicationFactor > 0 {
		t.ReplicationFactor = s.ReplicationFactor
	}
	for partition, replicas := range s.Assignment {
		t.NumPartitions, t.ReplicationFactor = -1, -1 // the protocol wants no numbers beside an assignment
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(partition), replicas
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	for name, value := range s.Configs {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, kmsg.StringPtr(value)
		t.Configs = append(t.Configs, config)
	}
	return t
}

func (s TopicSpec) created(got kmsg.CreateTopicsResponseTopic, dryRun bool) CreatedTopic {
	done := CreatedTopic{
		Topic:             s.Name,
		TopicID:           topicID(kadm.TopicID(got.TopicID)),
		Created:           !dryRun,
		DryRun:            dryRun,
		Partitions:        int(got.NumPartitions),
		ReplicationFactor: int(got.ReplicationFactor),
	}
	if len(s.Assignment) > 0 && done.Partitions < 0 {
		done.Partitions, done.ReplicationFactor = len(s.Assignment), len(s.Assignment[0])
	}
	for _, config := range got.Configs {
		if config.Name == minInsyncKey && config.Value != nil {
			done.MinInsyncReplicas = parseInt(*config.Value)
		}
	}
	return done
}

// DeletedTopic is a topic that is gone.
type DeletedTopic struct {
	Topic      string `json:"topic"`
	TopicID    string `json:"topic_id"`
	Deleted    bool   `json:"deleted"` // false: a dry run
	DryRun     bool   `json:"dry_run"`
	Partitions int    `json:"partitions"`
}

// DeleteTopic deletes a topic with all its data.
func (c *Client) DeleteTopic(ctx context.Context, name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = timeoutMillis(ctx)
	req.TopicNames = []string{name} // up to v5
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = kmsg.StringPtr(name) // from v6 on
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, c.kafka)
	if err != nil {
		return c.connectError(ctx, err)
	}
	for _, t := range resp.Topics {
		if err := codeError(topicSubject(name), t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

// Topic is one line of a list of topics.
type Topic struct {
	Topic             string `json:"topic"`
	TopicID           string `json:"topic_id"`
	Internal          bool   `json:"internal"`
	Partitions        int    `json:"partitions"`
	ReplicationFactor int    `json:"replication_factor"`
	UnderReplicated   int    `json:"under_replicated"` // partitions with a replica out of the ISR
	Offline           int    `json:"offline"`          // partitions without a leader
}

// TopicList is the topics of one cluster.
type TopicList struct {
	ClusterID string
	Topics    []Topic
}

// ListTopics returns all topics, sorted by name; internal ones when asked for.
func (c *Client) ListTopics(ctx context.Context, internal bool) (TopicList, error) {
	md, err := c.metadata(ctx)
	if err != nil {
		return TopicList{}, err
	}
	list := TopicList{ClusterID: md.Cluster}
	for _, t := range md.Topics.Sorted() {
		if internal || !t.IsInternal {
			list.Topics = append(list.Topics, summarize(t))
		}
	}
	return list, nil
}

// LookupTopic returns one topic; an UnknownTopicError when there is none.
func (c *Client) LookupTopic(ctx context.Context, name string) (Topic, error) {
	md, err := c.metadata(ctx)
	if err != nil {
		return Topic{}, err
	}
	t, ok := md.Topics[name]
	if !ok {
		return Topic{}, &UnknownTopicError{Selector: Selector{name, AllPartitions}, Known: md.Topics.Names()}
	}
	return summarize(t), nil
}

func summarize(t kadm.TopicDetail) Topic {
	topic := Topic{
		Topic:             t.Topic,
		TopicID:           topicID(t.ID),
		Internal:          t.IsInternal,
		Partitions:        len(t.Partitions),
		ReplicationFactor: t.Partitions.NumReplicas(),
	}
	for _, p := range t.Partitions {
		if len(p.ISR) < len(p.Replicas) {
			topic.UnderReplicated++
		}
		if p.Leader < 0 {
			topic.Offline++
		}
	}
	return topic
}
