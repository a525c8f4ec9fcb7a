package admin

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TopicDetail is everything about one topic.
type TopicDetail struct {
	Topic             string            `json:"topic"`
	TopicID           string            `json:"topic_id"`
	Internal          bool              `json:"internal"`
	Partitions        int               `json:"partitions"`
	ReplicationFactor int               `json:"replication_factor"`
	MinInsyncReplicas *int              `json:"min_insync_replicas"`
	SizeBytes         *int64            `json:"size_bytes"` // of all replicas
	Records           *int64            `json:"records"`    // between log start and high watermark
	Configs           []Config          `json:"configs"`
	PartitionDetails  []PartitionDetail `json:"partition_details"`
}

// PartitionDetail is one partition of a TopicDetail.
type PartitionDetail struct {
	Partition      int32   `json:"partition"`
	Leader         int32   `json:"leader"` // -1: none
	LeaderEpoch    *int32  `json:"leader_epoch"`
	Replicas       []int32 `json:"replicas"`
	ISR            []int32 `json:"isr"`
	ELR            []int32 `json:"elr"` // null: the brokers do not say
	Offline        []int32 `json:"offline_replicas"`
	LogStartOffset *int64  `json:"log_start_offset"`
	HighWatermark  *int64  `json:"high_watermark"`
	SizeBytes      *int64  `json:"size_bytes"` // of the leader's replica
	State          string  `json:"state"`
}

// TopicDetails is the answer of DescribeTopics.
type TopicDetails struct {
	ClusterID string
	Topics    []TopicDetail
	Problems  []Problem
	Notes     []string
}

// DescribeTopics returns everything about the named topics. What a broker does
// not tell is null, with a note that says why.
func (c *Client) DescribeTopics(ctx context.Context, names []string) (TopicDetails, error) {
	md, err := c.metadata(ctx)
	if err != nil {
		return TopicDetails{}, err
	}
	selectors := make([]Selector, len(names))
	for i, name := range names {
		selectors[i] = Selector{Topic: name, Partition: AllPartitions}
	}
	chosen, problems := choose(md, selectors, false)
	report := TopicDetails{ClusterID: md.Cluster, Problems: problems}
	if len(chosen) == 0 || len(names) == 0 {
		return report, nil
	}
	facts := c.topicFacts(ctx, chosen)
	for _, s := range chosen {
		last := len(report.Topics) - 1
		if last < 0 || report.Topics[last].Topic != s.Topic {
			report.Topics = append(report.Topics, newTopicDetail(md.Topics[s.Topic], facts))
			last++
		}
		t := &report.Topics[last]
		t.PartitionDetails = append(t.PartitionDetails, facts.partition(s, t.MinInsyncReplicas))
	}
	for i := range report.Topics {
		sumUp(&report.Topics[i], facts)
	}
	report.Notes = facts.notes
	return report, ctx.Err()
}

// topicFacts is what was asked beside the metadata.
type topicFacts struct {
	configs map[string][]Config
	starts  kadm.ListedOffsets
	ends    kadm.ListedOffsets
	dirs    kadm.DescribedAllLogDirs
	elr     map[topicPartition][]int32
	notes   []string
}

// topicFacts asks everything at once and waits for every answer.
func (c *Client) topicFacts(ctx context.Context, chosen []selected) *topicFacts {
	names := distinctTopics(chosen)
	var set kadm.TopicsSet
	for _, s := range chosen {
		set.Add(s.Topic, s.Partition)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*brokerTimeout)
	defer cancel()
	f := &topicFacts{}
	var configErr, startErr, endErr, dirErr error
	var wg sync.WaitGroup
	wg.Go(func() { f.configs, configErr = c.topicConfigs(ctx, names) })
	wg.Go(func() { f.starts, startErr = c.adm.ListStartOffsets(ctx, names...) })
	wg.Go(func() { f.ends, endErr = c.adm.ListEndOffsets(ctx, names...) })
	wg.Go(func() { f.dirs, dirErr = c.adm.DescribeAllLogDirs(ctx, set) })
	wg.Go(func() { f.elr = c.eligibleLeaders(ctx, chosen) })
	wg.Wait()
	for _, missing := range []struct {
		what string
		err  error
	}{{"settings", configErr}, {"log start offsets", startErr}, {"high watermarks", endErr}, {"sizes", dirErr}} {
		if missing.err != nil {
			f.notes = append(f.notes, fmt.Sprintf("%s are incomplete: %v", missing.what, missing.err))
		}
	}
	return f
}

func newTopicDetail(t kadm.TopicDetail, f *topicFacts) TopicDetail {
	d := TopicDetail{
		Topic:             t.Topic,
		TopicID:           topicID(t.ID),
		Internal:          t.IsInternal,
		Partitions:        len(t.Partitions),
		ReplicationFactor: t.Partitions.NumReplicas(),
		Configs:           f.configs[t.Topic],
		MinInsyncReplicas: minInsync(f.configs[t.Topic]),
	}
	if d.Configs == nil {
		d.Configs = []Config{}
	}
	return d
}

func (f *topicFacts) partition(s selected, minISR *int) PartitionDetail {
	p := PartitionDetail{
		Partition: s.Partition,
		Leader:    s.Leader,
		Replicas:  emptyNotNil(s.Replicas),
		ISR:       emptyNotNil(s.ISR),
		ELR:       f.elr[s.key()],
		Offline:   emptyNotNil(s.OfflineReplicas),
		State:     partitionState(s.Leader, s.Replicas, s.ISR, minISR),
	}
	if s.LeaderEpoch >= 0 {
		p.LeaderEpoch = &s.LeaderEpoch
	}
	p.LogStartOffset = listed(f.starts, s)
	p.HighWatermark = listed(f.ends, s)
	if dir, ok := f.dirs[s.Leader].LookupPartition(s.Topic, s.Partition); ok && dir.Size >= 0 {
		p.SizeBytes = &dir.Size
	}
	return p
}

func listed(offsets kadm.ListedOffsets, s selected) *int64 {
	o, ok := offsets.Lookup(s.Topic, s.Partition)
	if !ok || o.Err != nil {
		return nil
	}
	return offset(o.Offset)
}

// sumUp adds the partitions up; one that is unknown makes the sum unknown.
func sumUp(t *TopicDetail, f *topicFacts) {
	t.Records, t.SizeBytes = new(int64), new(int64)
	for _, p := range t.PartitionDetails {
		var records *int64
		if p.LogStartOffset != nil && p.HighWatermark != nil {
			n := max(*p.HighWatermark-*p.LogStartOffset, 0)
			records = &n
		}
		t.Records = plus(t.Records, records)
		for _, id := range p.Replicas {
			var size *int64
			if dir, ok := f.dirs[id].LookupPartition(t.Topic, p.Partition); ok && dir.Size >= 0 {
				size = &dir.Size
			}
			t.SizeBytes = plus(t.SizeBytes, size)
		}
	}
}
