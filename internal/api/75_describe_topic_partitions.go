package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/wire"
)

// DescribeTopicPartitions: v0
//
// Behavior:
//   - Topics in the order of their names, in pages: a response ends at the limit
//     of partitions and says where the next one begins. Without topics it is
//     about all of them.
//   - The eligible leader replicas (KIP-966) are visible here and nowhere else.
//   - The last known leader is not kept: nobody is elected who may lack data.

// maxDescribedPartitions bounds the partitions of one response, as Kafka does.
const maxDescribedPartitions = 2000

func (t *Table) describeTopicPartitions(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.DescribeTopicPartitionsRequest)
	resp := respond[*kmsg.DescribeTopicPartitionsResponse](req)
	img := t.o.Metadata.Image()
	left := int(body.ResponsePartitionLimit)
	if left <= 0 || left > maxDescribedPartitions {
		left = maxDescribedPartitions
	}
	for _, name := range describedNames(img, body) {
		topic := topicByName(img, name)
		if topic == nil {
			resp.Topics = append(resp.Topics, unknownTopic(name))
			continue
		}
		first := 0
		if body.Cursor != nil && body.Cursor.Topic == name {
			first = min(max(0, int(body.Cursor.Partition)), len(topic.Partitions))
		}
		last := min(first+left, len(topic.Partitions))
		if left > 0 {
			resp.Topics = append(resp.Topics, describedTopic(img, topic, first, last))
		}
		if left -= last - first; last < len(topic.Partitions) {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(last)}
			break
		}
	}
	return wire.Now(resp), nil
}

// describedNames lists the topics of a request, sorted, from its cursor on.
func describedNames(img *cluster.Image, body *kmsg.DescribeTopicPartitionsRequest) []string {
	var names []string
	for i := range body.Topics {
		names = append(names, body.Topics[i].Topic)
	}
	if len(names) == 0 {
		for _, topic := range img.Topics() {
			names = append(names, topic.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if body.Cursor != nil {
		from, _ := slices.BinarySearch(names, body.Cursor.Topic)
		names = names[from:]
	}
	return names
}

func unknownTopic(name string) kmsg.DescribeTopicPartitionsResponseTopic {
	err := cluster.ValidateTopicName(name)
	if err == nil {
		err = cluster.ErrUnknownTopic
	}
	answer := kmsg.NewDescribeTopicPartitionsResponseTopic()
	answer.Topic, answer.ErrorCode = &name, int16(codeOf(err))
	return answer
}

func describedTopic(img *cluster.Image, topic *cluster.Topic, first, last int) kmsg.DescribeTopicPartitionsResponseTopic {
	answer := kmsg.NewDescribeTopicPartitionsResponseTopic()
	answer.Topic, answer.TopicID, answer.IsInternal = &topic.Name, topic.ID, internal(topic.Name)
	for i := first; i < last; i++ {
		p := topic.Partitions[i]
		answer.Partitions = append(answer.Partitions, kmsg.DescribeTopicPartitionsResponseTopicPartition{
			ErrorCode: int16(codeOf(leaderError(topic, int32(i), p.Leader))),
			Partition: int32(i), LeaderID: int32(p.Leader), LeaderEpoch: int32(p.LeaderEpoch),
			Replicas: ids(p.Replicas), ISR: ids(p.ISR), EligibleLeaderReplicas: ids(p.ELR),
			LastKnownELR: []int32{}, OfflineReplicas: offline(img, p),
		})
	}
	return answer
}
