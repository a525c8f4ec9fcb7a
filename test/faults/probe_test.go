//go:build faults && linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// probe is a client of its own, without retries.
func (r *rig) probe(options ...kgo.Opt) *kgo.Client {
	r.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(r.brokers.Bootstrap()...), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(0), kgo.ProducerLinger(0),
	}, options...)...)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(client.Close)
	return client
}

// refuses fails the test unless acks=all is refused at once, for want of in-sync
// replicas.
func (r *rig) refuses(partition int32) {
	r.Helper()
	began := time.Now()
	record := &kgo.Record{Topic: topic, Partition: partition, Value: []byte("refused")}
	err := r.probe().ProduceSync(r.within(10*time.Second), record).FirstErr()
	if !errors.Is(err, kerr.NotEnoughReplicas) {
		r.Errorf("acks=all with one replica in sync: %v, want NOT_ENOUGH_REPLICAS", err)
	}
	r.atMost("refusal of acks=all", time.Since(began), time.Second)
}

// readable fails the test unless a consumer gets the first n records.
func (r *rig) readable(partition int32, n int64) {
	r.Helper()
	client := r.probe(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	got := int64(0)
	r.await(10*time.Second, fmt.Sprintf("%d records of partition %d", n, partition), func(ctx context.Context) error {
		fetches := client.PollFetches(ctx)
		got += int64(fetches.NumRecords())
		if got < n {
			return fmt.Errorf("%d: %w", got, fetches.Err())
		}
		return nil
	})
}
