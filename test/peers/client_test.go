//go:build peers

package peers

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/harness"
)

// newClient is a client whose defaults cost nobody time: no linger, no
// compression, metadata as soon as it is needed.
func newClient(t *testing.T, p broker, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(p.bootstrap()...), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

var topicCount atomic.Int32

// createTopic creates a topic of three replicas and returns its name.
func createTopic(t *testing.T, p broker, partitions int32) string {
	t.Helper()
	topic := fmt.Sprintf("peers-%d", topicCount.Add(1))
	two := "2"
	admin := kadm.NewClient(newClient(t, p))
	if _, err := admin.CreateTopic(within(t), partitions, 3, map[string]*string{"min.insync.replicas": &two}, topic); err != nil {
		t.Fatal(err)
	}
	return topic
}

func produceOne(t *testing.T, p broker) {
	t.Helper()
	topic := createTopic(t, p, 1)
	if err := newClient(t, p).ProduceSync(within(t), &kgo.Record{Topic: topic, Value: make([]byte, 1024)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// fill writes records of 1 KiB as fast as it goes.
func fill(t *testing.T, p broker, topic string, records int) {
	t.Helper()
	client := newClient(t, p, kgo.ProducerLinger(10*time.Millisecond))
	var failed atomic.Pointer[error]
	for range records {
		client.Produce(t.Context(), &kgo.Record{Topic: topic, Value: make([]byte, 1024)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := client.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
}

// consumeAll reads a topic from its start with the fetch settings of a client
// that has none set, and returns records per second.
func consumeAll(t *testing.T, p broker, topic string, records int) float64 {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.bootstrap()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	start := time.Now()
	for n := 0; n < records; {
		fetches := client.PollFetches(within(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		n += fetches.NumRecords()
	}
	return float64(records) / time.Since(start).Seconds()
}

// killFor is how long load goes on after a leader was killed.
const killFor = 15 * time.Second

func killALeader(t *testing.T, p broker) time.Duration {
	t.Helper()
	topic := createTopic(t, p, 3)
	admin := kadm.NewClient(newClient(t, p))
	leader := whole(t, admin, topic).Partitions[0].Leader
	client := newClient(t, p, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProduceRequestTimeout(5*time.Second))
	gap := make(chan time.Duration)
	stop := make(chan struct{})
	go func() { gap <- longestGap(t, client, topic, stop) }()
	harness.Pause(t, time.Second)
	victim := slices.Index(brokerIDs(t, admin), leader)
	if err := p.kill(victim); err != nil {
		t.Error(err)
	}
	harness.Pause(t, killFor)
	close(stop)
	longest := <-gap
	if err := p.revive(within(t), victim); err != nil {
		t.Fatal(err)
	}
	whole(t, admin, topic)
	return longest
}

// brokerIDs are the ids in the order of start.
func brokerIDs(t *testing.T, admin *kadm.Client) []int32 {
	t.Helper()
	brokers, err := admin.ListBrokers(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(slices.Values(brokers.NodeIDs()))
}

// longestGap sends one record after the other to partition 0 until stop.
func longestGap(t *testing.T, client *kgo.Client, topic string, stop <-chan struct{}) (longest time.Duration) {
	last := time.Now()
	for {
		select {
		case <-stop:
			return longest
		default:
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 0, Value: []byte("x")}).FirstErr(); err != nil {
			t.Error(err)
			return longest
		}
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
	}
}

// whole waits until every replica is in sync.
func whole(t *testing.T, admin *kadm.Client, topic string) kadm.TopicDetail {
	t.Helper()
	var detail kadm.TopicDetail
	harness.Await(within(t), t, "three in-sync replicas of "+topic, func(ctx context.Context) error {
		md, err := admin.Metadata(ctx, topic)
		if err != nil {
			return err
		}
		detail = md.Topics[topic]
		if len(detail.Partitions) == 0 {
			return fmt.Errorf("no partitions: %w", detail.Err)
		}
		for _, part := range detail.Partitions {
			if len(part.ISR) < 3 {
				return fmt.Errorf("partition %d: in sync %v", part.Partition, part.ISR)
			}
		}
		return detail.Err
	})
	return detail
}
