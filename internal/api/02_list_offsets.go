package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/wire"
)

// ListOffsets: v1-10
//
// Behavior:
//   - Only the leader answers. A new leader that does not know its high watermark
//     yet answers OFFSET_NOT_AVAILABLE (K15, KIP-207), LEADER_NOT_AVAILABLE to
//     clients that do not know that code.
//   - The last stable offset is the high watermark, since there are no
//     transactions, so the isolation level makes no difference.
//   - There is no tiered storage: the earliest local offset is the earliest one,
//     and nothing is the latest tiered one.
//
// Version notes:
//   - v4: current leader epoch
//   - v5: OFFSET_NOT_AVAILABLE
//   - v6: flexible
//   - v7: -3, the record with the largest timestamp (KIP-734)
//   - v8, v9: -4 and -5, tiered storage
//   - v10: timeout, of no use: nothing here waits

// Timestamps with a meaning of their own that package partition does not know.
const (
	specEarliestLocal int64 = -4
	specLatestTiered  int64 = -5

	firstOffsetNotAvailable = 5
)

func (t *Table) listOffsets(_ context.Context, req *wire.Request) (wire.Reply, error) {
	return wire.Func(func(context.Context) (kmsg.Response, error) { // may read from disk
		body := req.Body.(*kmsg.ListOffsetsRequest)
		resp := respond[*kmsg.ListOffsetsResponse](req)
		img := t.o.Metadata.Image()
		for i := range body.Topics {
			asked := &body.Topics[i]
			topic := topicByName(img, asked.Topic)
			answer := kmsg.ListOffsetsResponseTopic{Topic: asked.Topic}
			for j := range asked.Partitions {
				answer.Partitions = append(answer.Partitions, t.listOffset(topic, asked.Topic, &asked.Partitions[j], req.Version))
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil
	}), nil
}

func (t *Table) listOffset(topic *cluster.Topic, name string, asked *kmsg.ListOffsetsRequestTopicPartition, version int16) kmsg.ListOffsetsResponseTopicPartition {
	answer := kmsg.NewListOffsetsResponseTopicPartition()
	answer.Partition = asked.Partition
	found, err := t.findOffset(topic, name, asked)
	switch c := codeOf(err); {
	case c == codeOffsetNotAvailable && version < firstOffsetNotAvailable:
		answer.ErrorCode = int16(codeLeaderNotAvailable)
	case c != codeNone:
		answer.ErrorCode = int16(c)
	default:
		answer.Offset, answer.Timestamp, answer.LeaderEpoch = found.Offset, found.TimestampMillis, int32(found.LeaderEpoch)
	}
	return answer
}

func (t *Table) findOffset(topic *cluster.Topic, name string, asked *kmsg.ListOffsetsRequestTopicPartition) (partition.OffsetResult, error) {
	replica, err := t.locate(topic, name, asked.Partition)
	if err != nil {
		return partition.OffsetResult{}, err
	}
	spec := asked.Timestamp
	switch {
	case spec == specEarliestLocal:
		spec = partition.SpecEarliest
	case spec == specLatestTiered:
		return partition.OffsetResult{Offset: -1, TimestampMillis: -1, LeaderEpoch: cluster.NoEpoch}, nil
	case spec < specLatestTiered:
		return partition.OffsetResult{}, topicError(name, asked.Partition, errUnsupportedVersion)
	}
	return replica.ListOffset(spec, epochOf(asked.CurrentLeaderEpoch))
}
