package testcluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// readReplicas reads a partition from every in-sync replica, up to the offset
// after the last acknowledged record. With an error, it returns what it got.
func (w *world) readReplicas(detail kadm.TopicDetail, p kadm.PartitionDetail) (replicas []Replica, err error) {
	client := w.client()
	defer client.Close()
	end := int64(w.h.AckedCount(p.Partition))
	for _, broker := range p.ISR {
		r := Replica{Broker: broker}
		what := fmt.Sprintf("offset %d of partition %d on broker %d", end, p.Partition, broker)
		err = errors.Join(err, w.eventually(5*time.Second, what, func(ctx context.Context) error {
			for int64(len(r.Entries)) < end {
				if err := r.fetch(ctx, client, detail, p.Partition); err != nil {
					return err
				}
			}
			return nil
		}))
		replicas = append(replicas, r)
	}
	return replicas, err
}

// fetch reads on from one broker, which need not be the leader: a fetch of
// version 11 or above is served by any replica (KIP-392). An empty answer is a
// high watermark that the broker has not heard of.
func (r *Replica) fetch(ctx context.Context, client *kgo.Client, detail kadm.TopicDetail, partition int32) error {
	offset := int64(0)
	if n := len(r.Entries); n > 0 {
		offset = r.Entries[n-1].Offset + 1
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes = 1 << 20
	asked := kmsg.NewFetchRequestTopicPartition()
	asked.Partition, asked.FetchOffset, asked.PartitionMaxBytes = partition, offset, 1<<20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: detail.Topic, TopicID: detail.ID, Partitions: []kmsg.FetchRequestTopicPartition{asked}}}
	resp, err := req.RequestWith(ctx, client.Broker(int(r.Broker)))
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return errors.New("the answer is not about the one partition that was asked for")
	}
	got := &resp.Topics[0].Partitions[0]
	r.Batches = append(r.Batches, got.RecordBatches...)
	parsed, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, Topic: detail.Topic, Partition: partition,
	}, got, kgo.DefaultDecompressor(), nil)
	if parsed.Err != nil {
		return parsed.Err
	}
	if len(parsed.Records) == 0 {
		return fmt.Errorf("nothing at offset %d, high watermark %d", offset, got.HighWatermark)
	}
	for _, record := range parsed.Records {
		value, err := ParseValue(record.Value)
		if err != nil {
			return fmt.Errorf("offset %d: %w", record.Offset, err)
		}
		r.Entries = append(r.Entries, Entry{Offset: record.Offset, Value: value})
	}
	return nil
}
