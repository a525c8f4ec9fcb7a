package admin

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Selector names a topic, or one partition of it.
type Selector struct {
	Topic     string
	Partition int32 // AllPartitions for the whole topic
}

// AllPartitions is the partition of a selector that means every one.
const AllPartitions int32 = -1

// String returns the form that ParseSelector reads.
func (s Selector) String() string {
	if s.Partition == AllPartitions {
		return s.Topic
	}
	return fmt.Sprintf("%s:%d", s.Topic, s.Partition)
}

// ParseSelector reads TOPIC or TOPIC:PARTITION.
func ParseSelector(text string) (Selector, error) {
	topic, number, one := strings.Cut(text, ":")
	if topic == "" {
		return Selector{}, fmt.Errorf("%q names no topic: want TOPIC or TOPIC:PARTITION", text)
	}
	if !one {
		return Selector{Topic: topic, Partition: AllPartitions}, nil
	}
	partition, err := parsePartition(number)
	if err != nil {
		return Selector{}, fmt.Errorf("%q: partition %q is not a number from 0: want TOPIC or TOPIC:PARTITION", text, number)
	}
	return Selector{Topic: topic, Partition: partition}, nil
}

// UnknownTopicError is a topic or a partition that the cluster does not have.
type UnknownTopicError struct {
	Selector Selector
	Known    []string // the topics there are, sorted
	// Partitions is how many the topic has, when only the partition is wrong.
	Partitions int
}

// Error says which part is unknown.
func (e *UnknownTopicError) Error() string {
	if e.Partitions > 0 {
		return fmt.Sprintf("topic %q has no partition %d: it has %d, from 0", e.Selector.Topic, e.Selector.Partition, e.Partitions)
	}
	return fmt.Sprintf("topic %q: %s (%d): the cluster has no such topic",
		e.Selector.Topic, kerr.UnknownTopicOrPartition.Message, kerr.UnknownTopicOrPartition.Code)
}

// Unwrap makes it an ErrUnknownTopic.
func (e *UnknownTopicError) Unwrap() error { return ErrUnknownTopic }

// Problem is one item of several that failed.
type Problem struct {
	Subject string
	Err     error
}

// metadata asks for the whole cluster: names are then checked here, which
// spares a second question for "did you mean", and no request can create a
// topic by asking about it.
func (c *Client) metadata(ctx context.Context) (kadm.Metadata, error) {
	resp, err := c.any(ctx, wholeMetadata)
	if err != nil {
		return kadm.Metadata{}, c.connectError(ctx, err)
	}
	return metadataOf(resp.(*kmsg.MetadataResponse)), nil
}

func wholeMetadata() kmsg.Request {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil // all of them
	return req
}

// metadataOf gives a response the shape of package kadm, whose own request
// goes to a broker of its choice and waits for it.
func metadataOf(resp *kmsg.MetadataResponse) kadm.Metadata {
	md := kadm.Metadata{Controller: resp.ControllerID, Topics: make(kadm.TopicDetails)}
	if resp.ClusterID != nil {
		md.Cluster = *resp.ClusterID
	}
	for _, b := range resp.Brokers {
		md.Brokers = append(md.Brokers, kgo.BrokerMetadata{NodeID: b.NodeID, Port: b.Port, Host: b.Host, Rack: b.Rack})
	}
	slices.SortFunc(md.Brokers, func(a, b kgo.BrokerMetadata) int { return int(a.NodeID) - int(b.NodeID) })
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		topic := kadm.TopicDetail{
			Topic: *t.Topic, ID: t.TopicID, IsInternal: t.IsInternal,
			Partitions: make(kadm.PartitionDetails), Err: kerr.ErrorForCode(t.ErrorCode),
		}
		for _, p := range t.Partitions {
			topic.Partitions[p.Partition] = kadm.PartitionDetail{
				Topic: *t.Topic, Partition: p.Partition,
				Leader: p.Leader, LeaderEpoch: p.LeaderEpoch,
				Replicas: p.Replicas, ISR: p.ISR, OfflineReplicas: p.OfflineReplicas,
				Err: kerr.ErrorForCode(p.ErrorCode),
			}
		}
		md.Topics[*t.Topic] = topic
	}
	return md
}

// selected is one partition that a query asks about.
type selected struct {
	kadm.PartitionDetail
	topicID string
}

func (s selected) key() topicPartition { return topicPartition{s.Topic, s.Partition} }

// choose returns the partitions that the selectors name, sorted, and a problem
// for each selector that names nothing. No selector means every topic that is
// not internal.
func choose(md kadm.Metadata, selectors []Selector, internal bool) ([]selected, []Problem) {
	var chosen []selected
	var problems []Problem
	add := func(topic kadm.TopicDetail, partition int32) {
		for _, p := range topic.Partitions.Sorted() {
			if partition == AllPartitions || partition == p.Partition {
				chosen = append(chosen, selected{PartitionDetail: p, topicID: topicID(topic.ID)})
			}
		}
	}
	if len(selectors) == 0 {
		for _, topic := range md.Topics.Sorted() {
			if internal || !topic.IsInternal {
				add(topic, AllPartitions)
			}
		}
		return chosen, nil
	}
	for _, s := range selectors {
		topic, known := md.Topics[s.Topic]
		_, has := topic.Partitions[s.Partition]
		switch {
		case !known:
			problems = append(problems, Problem{topicSubject(s.Topic), &UnknownTopicError{Selector: s, Known: md.Topics.Names()}})
		case topic.Err != nil:
			problems = append(problems, Problem{topicSubject(s.Topic), &Error{Subject: topicSubject(s.Topic), Err: topic.Err}})
		case s.Partition != AllPartitions && !has:
			problems = append(problems, Problem{topicSubject(s.Topic), &UnknownTopicError{Selector: s, Partitions: len(topic.Partitions)}})
		default:
			add(topic, s.Partition)
		}
	}
	slices.SortFunc(chosen, func(a, b selected) int {
		if n := strings.Compare(a.Topic, b.Topic); n != 0 {
			return n
		}
		return int(a.Partition) - int(b.Partition)
	})
	return slices.CompactFunc(chosen, func(a, b selected) bool {
		return a.Topic == b.Topic && a.Partition == b.Partition
	}), problems
}

// topicID returns an id in the form of Kafka's own tools, or "" for a broker
// without ids.
func topicID(id kadm.TopicID) string {
	if id == (kadm.TopicID{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// TopicNames returns the names of all topics, for completion.
func (c *Client) TopicNames(ctx context.Context) ([]string, error) {
	md, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	return md.Topics.Names(), nil
}

// Brokers returns the ids of the brokers that the cluster reports, sorted.
func (c *Client) Brokers(ctx context.Context) ([]int32, error) {
	md, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	return md.Brokers.NodeIDs(), nil
}

// ClusterID returns the id that the brokers report.
func (c *Client) ClusterID(ctx context.Context) (string, error) {
	md, err := c.metadata(ctx)
	return md.Cluster, err
}
