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
	names := distinctTopics(chosen)
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	var cursor *kmsg.DescribeTopicPartitionsRequestCursor
	for {
		answer, err := c.any(ctx, func() kmsg.Request { return elrRequest(names, cursor) })
		if err != nil {
			return elr
		}
		resp := answer.(*kmsg.DescribeTopicPartitionsResponse)
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
		if resp.NextCursor == nil || !advances(cursor, resp.NextCursor) {
			return elr
		}
		next := kmsg.NewDescribeTopicPartitionsRequestCursor()
		next.Topic, next.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		cursor = &next
	}
}

func elrRequest(names []string, cursor *kmsg.DescribeTopicPartitionsRequestCursor) kmsg.Request {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit, req.Cursor = elrPage, cursor
	for _, name := range names {
		topic := kmsg.NewDescribeTopicPartitionsRequestTopic()
		topic.Topic = name
		req.Topics = append(req.Topics, topic)
	}
	return req
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
