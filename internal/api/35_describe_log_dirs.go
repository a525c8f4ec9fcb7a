package api

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/wire"
)

// DescribeLogDirs: v1-4
//
// Behavior:
//   - There is one log directory. A request without topics is about all of them.
//   - The offset lag is how far this replica's log ends below the high watermark
//     it knows of, as in Kafka.
//   - A replica that does not serve is listed like any other; why it does not is
//     in DescribeQuorum, asked of its leader.
//
// Version notes:
//   - v2: flexible
//   - v3: error code of the whole response
//   - v4: total and usable bytes of the volume
func (t *Table) describeLogDirs(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.DescribeLogDirsRequest)
	return wire.Func(func(context.Context) (kmsg.Response, error) {
		resp := respond[*kmsg.DescribeLogDirsResponse](req)
		asked := newPartitionSet(body.Topics)
		info := t.o.LogDir()
		dir := kmsg.NewDescribeLogDirsResponseDir()
		dir.Dir, dir.TotalBytes, dir.UsableBytes = info.Path, info.TotalBytes, info.UsableBytes
		if info.Failed {
			dir.ErrorCode = int16(codeStorageError)
		}
		var replicas []partition.Info
		for _, r := range t.o.Partitions.Replicas() {
			if i := r.Info(); asked.has(i.Topic, i.TP.Partition) {
				replicas = append(replicas, i)
			}
		}
		dir.Topics = logDirTopics(replicas)
		resp.Dirs = append(resp.Dirs, dir)
		return resp, nil
	}), nil
}

// logDirTopics groups replicas by topic.
func logDirTopics(replicas []partition.Info) []kmsg.DescribeLogDirsResponseDirTopic {
	slices.SortFunc(replicas, func(a, b partition.Info) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.TP.Partition, b.TP.Partition))
	})
	var topics []kmsg.DescribeLogDirsResponseDirTopic
	for _, r := range replicas {
		if n := len(topics); n == 0 || topics[n-1].Topic != r.Topic {
			topics = append(topics, kmsg.DescribeLogDirsResponseDirTopic{Topic: r.Topic})
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, kmsg.DescribeLogDirsResponseDirTopicPartition{
			Partition: r.TP.Partition, Size: r.SizeBytes, OffsetLag: max(0, r.HighWatermark-r.LogEndOffset),
		})
	}
	return topics
}

// partitionSet is a set of partitions by topic name; nil stands for all of them.
type partitionSet map[string]map[int32]bool

func newPartitionSet(topics []kmsg.DescribeLogDirsRequestTopic) partitionSet {
	if topics == nil {
		return nil
	}
	set := partitionSet{}
	for i := range topics {
		name := topics[i].Topic
		if set[name] == nil {
			set[name] = map[int32]bool{}
		}
		for _, p := range topics[i].Partitions {
			set[name][p] = true
		}
	}
	return set
}

func (s partitionSet) has(topic string, index int32) bool { return s == nil || s[topic][index] }
