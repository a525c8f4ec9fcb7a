package admin

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// elrPage is how many partitions one answer may hold: the limit of Kafka.
const elrPage = 2000

// eligibleLeaders returns the replicas outside the ISR that may still be
// elected. DescribeTopicPartitions is the only request that tells; a broker
// without it leaves the map empty, and the ELR unknown.
func (c *Client) eligibleLeaders(ctx context.Context, chosen []selected) map[topicPartition][]int32 {
	elr := make(map[topicPartition][]int32)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = elrPage
	for _, name := range distinctTopics(chosen) {
		topic := kmsg.NewDescribeTopicPartitionsRequestTopic()
		topic.Topic = name
		req.Topics = append(req.Topics, topic)
	}
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	for {
		resp, err := req.RequestWith(ctx, c.kafka)
		if err != nil {
			return elr
		}
		for _, topic := range resp.Topics {
			if topic.Topic == nil || topic.ErrorCode != 0 {
				continue
			}
			for _, p := range topic.Partitions {
				if p.ErrorCode == 0 || p.LeaderID < 0 {
					elr[topicPartition{*topic.Topic, p.Partition}] = emptyNotNil(p.EligibleLeaderReplicas)
				}
			}
		}
		if resp.NextCursor == nil || !advances(req.Cursor, resp.NextCursor) {
			return elr
		}
		cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
		cursor.Topic, cursor.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		req.Cursor = &cursor
	}
}

// advances keeps a broker that repeats its cursor from holding us for ever.
func advances(last *kmsg.DescribeTopicPartitionsRequestCursor, next *kmsg.DescribeTopicPartitionsResponseNextCursor) bool {
	if last == nil {
		return true
	}
	order := strings.Compare(last.Topic, next.Topic)
	return order < 0 || (order == 0 && last.Partition < next.Partition)
}

func distinctTopics(chosen []selected) []string {
	var names []string
	for _, s := range chosen {
		names = append(names, s.Topic)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
