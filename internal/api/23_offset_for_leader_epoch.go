package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/wire"
)

// OffsetForLeaderEpoch: v2-4
//
// Behavior:
//   - Answers the end of the newest epoch that is not newer than asked for (K6,
//     K7), -1 and -1 when there is none. Consumers detect truncation by it.
//
// Version notes:
//   - v3: replica id, which makes no difference: replication is pushed
//   - v4: flexible
func (t *Table) offsetForLeaderEpoch(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.OffsetForLeaderEpochRequest)
	resp := respond[*kmsg.OffsetForLeaderEpochResponse](req)
	img := t.o.Metadata.Image()
	for i := range body.Topics {
		asked := &body.Topics[i]
		topic := topicByName(img, asked.Topic)
		answer := kmsg.OffsetForLeaderEpochResponseTopic{Topic: asked.Topic}
		for j := range asked.Partitions {
			answer.Partitions = append(answer.Partitions, t.epochEnd(topic, asked.Topic, &asked.Partitions[j]))
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return wire.Now(resp), nil
}

func (t *Table) epochEnd(topic *cluster.Topic, name string, asked *kmsg.OffsetForLeaderEpochRequestTopicPartition) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	answer := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
	answer.Partition = asked.Partition
	replica, err := t.locate(topic, name, asked.Partition)
	if err == nil {
		end, eerr := replica.OffsetForEpoch(epochOf(asked.CurrentLeaderEpoch), cluster.Epoch(asked.LeaderEpoch))
		if err = eerr; err == nil {
			answer.LeaderEpoch, answer.EndOffset = int32(end.Epoch), end.End
		}
	}
	answer.ErrorCode = int16(codeOf(err))
	return answer
}

// epochOf is a leader epoch that a client may have left out, which is -1.
func epochOf(epoch int32) cluster.Epoch { return max(cluster.NoEpoch, cluster.Epoch(epoch)) }
