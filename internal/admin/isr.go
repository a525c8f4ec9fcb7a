package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/pause"
)

// States of a partition, worst last.
const (
	PartitionOK              = "ok"
	PartitionUnderReplicated = "under_replicated" // a replica is out of the ISR
	PartitionAtMinISR        = "at_min_isr"       // one more loss stops acks=all
	PartitionUnderMinISR     = "under_min_isr"    // acks=all is refused now
	PartitionOffline         = "offline"          // no leader
	// PartitionUnknown is a partition that is well by the metadata, but whose
	// leader gives no answer to confirm it.
	PartitionUnknown = "unknown"
)

// Where a row's numbers came from.
const (
	// SourceLeader is the leader's own report (DescribeQuorum with chronik's
	// tagged fields): everything is known.
	SourceLeader = "leader"
	// SourceReplicas is what every Kafka broker can be asked for: log ends of
	// each replica, log directory sizes, topic settings.
	SourceReplicas = "replicas"
	// SourceMetadata is the cluster's metadata alone: the leader gave no answer.
	SourceMetadata = "metadata"
)

// StateUnknown is the state of a follower that its leader did not report.
const StateUnknown = "unknown"

// ISRPartition is one partition's in-sync set and how far each follower is.
// Pointers are nil (null) where nobody has said: unknown is never a zero.
type ISRPartition struct {
	Topic             string     `json:"topic"`
	TopicID           string     `json:"topic_id"`
	Partition         int32      `json:"partition"`
	Leader            int32      `json:"leader"` // -1: none
	LeaderEpoch       *int32     `json:"leader_epoch"`
	Replicas          []int32    `json:"replicas"`
	ISR               []int32    `json:"isr"`
	ELR               []int32    `json:"elr"` // null: the brokers do not say
	MinInsyncReplicas *int       `json:"min_insync_replicas"`
	HighWatermark     *int64     `json:"high_watermark"`
	LogEndOffset      *int64     `json:"log_end_offset"`
	DurableEndOffset  *int64     `json:"durable_end_offset"`
	State             string     `json:"state"`
	Flush             *string    `json:"flush"`
	PendingAcks       *int       `json:"pending_acks"`
	LastISRChange     *string    `json:"last_isr_change"`
	Source            string     `json:"source"`
	Followers         []Follower `json:"followers"`
}

// Follower is one follower of a partition.
type Follower struct {
	Broker           int32    `json:"broker"`
	State            string   `json:"state"`
	InISR            bool     `json:"in_isr"`
	DurableEndOffset *int64   `json:"durable_end_offset"`
	LogEndOffset     *int64   `json:"log_end_offset"`
	LagRecords       *int64   `json:"lag_records"`
	LagBytes         *int64   `json:"lag_bytes"`
	LagMillis        *int64   `json:"lag_ms"`
	LastCaughtUpMS   *int64   `json:"last_caught_up_ms"` // milliseconds ago
	AckWaitShare     *float64 `json:"ack_wait_share"`
	Flaps            *int     `json:"flaps"`
	Reason           *string  `json:"reason"`
}

// UnderReplicated reports whether a replica is out of the ISR.
func (p ISRPartition) UnderReplicated() bool { return len(p.ISR) < len(p.Replicas) }

// Lagging reports whether a follower is known to be behind.
func (p ISRPartition) Lagging() bool {
	return slices.ContainsFunc(p.Followers, func(f Follower) bool {
		return f.LagRecords != nil && *f.LagRecords > 0
	})
}

// partitionState derives the state. At min ISR counts only when a replica is
// missing: one replica of one is as good as it gets.
func partitionState(leader int32, replicas, isr []int32, minISR *int) string {
	switch {
	case leader < 0:
		return PartitionOffline
	case minISR != nil && len(isr) < min(*minISR, len(replicas)):
		return PartitionUnderMinISR
	case len(isr) >= len(replicas):
		return PartitionOK
	case minISR != nil && len(isr) == *minISR:
		return PartitionAtMinISR
	default:
		return PartitionUnderReplicated
	}
}

// ISRQuery says which partitions to report.
type ISRQuery struct {
	Selectors []Selector // none means every topic
	Internal  bool       // internal topics too, when there are no selectors
}

// ISRReport is the answer to an ISRQuery.
type ISRReport struct {
	ClusterID  string
	Partitions []ISRPartition
	Problems   []Problem
	// Notes say where the report is less than a chronik leader would give.
	Notes []string
}

// movedAttempts is how often leaders are looked up again when one answers that
// it leads no more: an election is short, a report in the middle of it is of
// no use.
const movedAttempts = 5

// ISR asks each partition's leader for its view, and falls back to what any
// Kafka broker can tell.
func (c *Client) ISR(ctx context.Context, q ISRQuery) (ISRReport, error) {
	report, chosen, views, err := c.askLeaders(ctx, q)
	if err != nil || len(chosen) == 0 {
		return report, err
	}
	elr := c.eligibleLeaders(ctx, chosen)
	now := time.Now()
	var silent []int // indexes of rows whose leader answered without a view
	for _, s := range chosen {
		row := newRow(s, elr)
		if view, ok := views.answers[s.key()]; ok {
			applyView(&row, view, now)
		} else if !views.unreachable[s.Leader] && views.moved[s.key()] == nil {
			silent = append(silent, len(report.Partitions))
		}
		report.Partitions = append(report.Partitions, row)
	}
	if len(silent) > 0 {
		c.askReplicas(ctx, &report, silent)
	}
	c.fillMinISR(ctx, &report)
	for i := range report.Partitions {
		p := &report.Partitions[i]
		p.State = partitionState(p.Leader, p.Replicas, p.ISR, p.MinInsyncReplicas)
		if p.State == PartitionOK && p.Source == SourceMetadata {
			p.State = PartitionUnknown
		}
	}
	return report, ctx.Err()
}

// askLeaders looks up the leaders and asks them, again while any has moved.
func (c *Client) askLeaders(ctx context.Context, q ISRQuery) (ISRReport, []selected, *leaderViews, error) {
	again := waitFirst
	for attempt := 1; ; attempt++ {
		md, err := c.metadata(ctx)
		if err != nil {
			return ISRReport{}, nil, nil, err
		}
		chosen, problems := choose(md, q.Selectors, q.Internal)
		views := c.leaderViews(ctx, chosen)
		report := ISRReport{ClusterID: md.Cluster, Problems: append(problems, views.problems...)}
		if len(views.moved) == 0 || attempt == movedAttempts {
			report.Problems = append(report.Problems, views.movedProblems()...)
			return report, chosen, views, nil
		}
		if !pause.For(ctx, again) {
			return ISRReport{}, nil, nil, ctx.Err()
		}
		again *= 3
	}
}

// fillMinISR completes rows whose leader did not say it from the topic's
// settings, which any broker knows.
func (c *Client) fillMinISR(ctx context.Context, report *ISRReport) {
	var missing []string
	for _, p := range report.Partitions {
		if p.MinInsyncReplicas == nil && !slices.Contains(missing, p.Topic) {
			missing = append(missing, p.Topic)
		}
	}
	configs, err := c.topicConfigs(ctx, missing)
	for i := range report.Partitions {
		if p := &report.Partitions[i]; p.MinInsyncReplicas == nil {
			p.MinInsyncReplicas = minInsync(configs[p.Topic])
		}
	}
	if err != nil {
		report.Notes = append(report.Notes, fmt.Sprintf("%s is unknown: %v", minInsyncKey, err))
	}
}

// newRow fills what metadata knows.
func newRow(s selected, elr map[topicPartition][]int32) ISRPartition {
	row := ISRPartition{
		Topic:     s.Topic,
		TopicID:   s.topicID,
		Partition: s.Partition,
		Leader:    s.Leader,
		Replicas:  emptyNotNil(s.Replicas),
		ISR:       emptyNotNil(s.ISR),
		ELR:       elr[s.key()],
		Source:    SourceMetadata,
		Followers: []Follower{},
	}
	if s.LeaderEpoch >= 0 {
		row.LeaderEpoch = &s.LeaderEpoch
	}
	for _, id := range s.Replicas {
		if id != s.Leader {
			row.Followers = append(row.Followers, Follower{
				Broker: id, State: StateUnknown, InISR: slices.Contains(s.ISR, id),
			})
		}
	}
	return row
}

// topicPartition keys what brokers answer.
type topicPartition struct {
	topic     string
	partition int32
}

// String names it as messages do.
func (tp topicPartition) String() string {
	return fmt.Sprintf("partition %s:%d", tp.topic, tp.partition)
}

// emptyNotNil keeps a list a list in JSON.
func emptyNotNil(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}
