package cluster

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/harness"
)

// sendEvery is the pace of the load: enough records to be under way whenever a
// broker dies, little enough to leave two cores to the brokers.
const sendEvery = 2 * time.Millisecond

// load is one idempotent producer that sends records with acks=all, round
// robin over the partitions of a topic, and remembers every acknowledgement.
type load struct {
	topic      string
	partitions int32
	client     *kgo.Client

	mu     sync.Mutex
	acked  map[int32][]entry // guarded by mu; by partition, in order of offset
	failed []string          // guarded by mu; what the producer gave up on
}

// newLoad connects the producer; nothing is sent before run.
func newLoad(t *testing.T, bootstrap []string, topic string, partitions int32) *load {
	t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap...),
		kgo.DefaultProduceTopic(topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RecordDeliveryTimeout(time.Minute),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &load{topic: topic, partitions: partitions, client: client, acked: map[int32][]entry{}}
}

// run sends until ctx ends and returns when every record has been answered.
func (l *load) run(ctx context.Context) error {
	pace := time.NewTicker(sendEvery)
	defer pace.Stop()
	var answered sync.WaitGroup
	for value := int64(0); ; value++ {
		select {
		case <-ctx.Done():
			answered.Wait()
			return nil
		case <-pace.C:
		}
		answered.Add(1)
		record := &kgo.Record{
			Partition: int32(value) % l.partitions,
			Value:     strconv.AppendInt(nil, value, 10),
		}
		// Not ctx: the end of the load must not take back what was sent.
		l.client.Produce(context.WithoutCancel(ctx), record, func(r *kgo.Record, err error) {
			defer answered.Done()
			l.answer(r, value, err)
		})
	}
}

func (l *load) answer(r *kgo.Record, value int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = append(l.failed, fmt.Sprintf("value %d for partition %d: %v", value, r.Partition, err))
		return
	}
	l.acked[r.Partition] = append(l.acked[r.Partition], entry{offset: r.Offset, value: value})
}

// counts returns how many records of each partition are acknowledged.
func (l *load) counts() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make([]int, l.partitions)
	for p := range counts {
		counts[p] = len(l.acked[int32(p)])
	}
	return counts
}

// awaitMore waits until every partition has n more acknowledgements than now,
// and returns how long that took.
func (l *load) awaitMore(ctx context.Context, t *testing.T, n int) time.Duration {
	t.Helper()
	started := time.Now()
	before := l.counts()
	harness.Await(ctx, t, fmt.Sprintf("%d more acknowledgements on each partition", n), func(context.Context) error {
		for p, now := range l.counts() {
			if now < before[p]+n {
				return fmt.Errorf("partition %d: %d of %d", p, now-before[p], n)
			}
		}
		return nil
	})
	return time.Since(started)
}
