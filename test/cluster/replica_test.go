package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/test/harness"
)

// readReplica reads a partition from its start up to end (exclusive) from one
// broker, which need not be the leader: a fetch of version 11 or above may be
// served by any replica (KIP-392).
func readReplica(ctx context.Context, client *kgo.Client, broker int32, topic kadm.TopicDetail, partition int32, end int64) ([]entry, error) {
	var read []entry
	for next := int64(0); next < end; {
		records, err := fetch(ctx, client, broker, topic, partition, next)
		if err != nil {
			return read, fmt.Errorf("fetch offset %d of partition %d from broker %d: %w", next, partition, broker, err)
		}
		for _, r := range records {
			value, err := strconv.ParseInt(string(r.Value), 10, 64)
			if err != nil {
				return read, fmt.Errorf("offset %d of partition %d on broker %d: %w", r.Offset, partition, broker, err)
			}
			read = append(read, entry{offset: r.Offset, value: value})
			next = r.Offset + 1
		}
		if err := ctx.Err(); err != nil {
			return read, fmt.Errorf("partition %d on broker %d ends at %d, want %d: %w", partition, broker, next, end, err)
		}
	}
	return read, nil
}

// fetch asks one broker once; an empty answer is a high watermark not yet heard of.
func fetch(ctx context.Context, client *kgo.Client, broker int32, topic kadm.TopicDetail, partition int32, offset int64) ([]*kgo.Record, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = 200
	req.MinBytes = 1
	req.MaxBytes = 1 << 20
	reqPartition := kmsg.NewFetchRequestTopicPartition()
	reqPartition.Partition = partition
	reqPartition.FetchOffset = offset
	reqPartition.PartitionMaxBytes = 1 << 20
	reqTopic := kmsg.NewFetchRequestTopic()
	reqTopic.Topic = topic.Topic
	reqTopic.TopicID = topic.ID
	reqTopic.Partitions = append(reqTopic.Partitions, reqPartition)
	req.Topics = append(req.Topics, reqTopic)

	resp, err := req.RequestWith(ctx, client.Broker(int(broker)))
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer is not about the one partition that was asked for")
	}
	parsed, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset:    offset,
		Topic:     topic.Topic,
		Partition: partition,
	}, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return parsed.Records, parsed.Err
}

// describe returns what the cluster says of one topic.
func describe(ctx context.Context, client *kgo.Client, topic string) (kadm.TopicDetail, kadm.Metadata, error) {
	md, err := kadm.NewClient(client).Metadata(ctx, topic)
	if err != nil {
		return kadm.TopicDetail{}, md, err
	}
	detail, ok := md.Topics[topic]
	if !ok {
		return detail, md, fmt.Errorf("no topic %s in the metadata", topic)
	}
	return detail, md, detail.Err
}

// awaitInSync waits until every partition of a topic has n in-sync replicas
// and a leader among them.
func awaitInSync(ctx context.Context, t *testing.T, client *kgo.Client, topic string, n int) kadm.TopicDetail {
	t.Helper()
	var detail kadm.TopicDetail
	harness.Await(ctx, t, fmt.Sprintf("%d in-sync replicas of %s", n, topic), func(ctx context.Context) error {
		var err error
		detail, _, err = describe(ctx, client, topic)
		if err != nil {
			return err
		}
		for _, p := range detail.Partitions.Sorted() {
			if len(p.ISR) < n || !slices.Contains(p.ISR, p.Leader) {
				return fmt.Errorf("partition %d: leader %d, in sync %v", p.Partition, p.Leader, p.ISR)
			}
		}
		return nil
	})
	return detail
}

// checkReplicas reads every partition of the topic from every in-sync replica
// and compares it with the acknowledgements.
func checkReplicas(ctx context.Context, t *testing.T, l *load, detail kadm.TopicDetail) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range detail.Partitions.Sorted() {
		acked := l.acked[p.Partition]
		var end int64
		for _, e := range acked {
			end = max(end, e.offset+1)
		}
		for _, broker := range p.ISR {
			read, err := readReplica(ctx, l.client, broker, detail, p.Partition, end)
			if err != nil {
				t.Error(err)
			}
			for _, v := range violations(acked, read) {
				t.Errorf("partition %d on broker %d: %s", p.Partition, broker, v)
			}
		}
	}
}
