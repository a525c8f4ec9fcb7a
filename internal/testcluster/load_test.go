package testcluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	producerCount = 2
	// sendEvery is the pace of one producer, which sends to the partitions in
	// turn.
	sendEvery = 20 * time.Millisecond
	// paddingBytes makes a record large enough for logs to be cut into files.
	paddingBytes = 200
)

// load is some idempotent producers with acks=all, which retry for ever, and a
// consumer.
type load struct {
	w         *world
	producers []*kgo.Client
	consumer  *kgo.Client

	endProducing, endConsuming context.CancelFunc
	produced, consumed         sync.WaitGroup

	mu    sync.Mutex
	worst time.Duration // guarded by mu; from sending a record to its acknowledgement
}

func newLoad(w *world) *load {
	l := &load{w: w}
	ctx, cancel := context.WithCancel(context.Background())
	l.endProducing = cancel
	reading, cancel := context.WithCancel(context.Background())
	l.endConsuming = cancel
	for n := range producerCount {
		client := w.client(
			kgo.DefaultProduceTopic(topic),
			kgo.RequiredAcks(kgo.AllISRAcks()),
			kgo.ProducerLinger(0),
			kgo.ProduceRequestTimeout(ackTimeout),
			kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.WithHooks(answerHook{l}),
		)
		l.producers = append(l.producers, client)
		// The client asks for its id under a mutex, for which the others of its
		// goroutines wait: that would stop the bubble's clock.
		if _, _, err := client.ProducerID(ctx); err != nil {
			w.t.Fatal(err)
		}
		l.produced.Go(func() { l.produce(ctx, client, n+1) })
	}
	consumed := map[int32]kgo.Offset{}
	for p := range int32(partitions) {
		consumed[p] = kgo.NewOffset().At(0)
	}
	l.consumer = w.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: consumed}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(500*time.Millisecond),
	)
	l.consumed.Go(func() { l.consume(reading, l.consumer) })
	return l
}

// answerHook sees how long each produce request was under way.
type answerHook struct{ l *load }

// OnBrokerE2E implements [kgo.HookBrokerE2E].
func (h answerHook) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key == 0 {
		h.l.w.h.Answered(e2e.DurationE2E())
	}
}

// produce sends at an even pace until ctx ends.
func (l *load) produce(ctx context.Context, client *kgo.Client, producer int) {
	pace := time.NewTicker(sendEvery)
	defer pace.Stop()
	for seq := 1; ; seq++ {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		value := Value{Producer: producer, Seq: seq}
		record := &kgo.Record{
			Partition: int32(seq % partitions),
			Value:     []byte(value.String() + "-" + strings.Repeat("x", paddingBytes)),
		}
		sent := time.Now()
		// The client outlives the load: what was sent is answered or fails.
		client.Produce(context.Background(), record, func(r *kgo.Record, err error) { //nolint:contextcheck // see above
			l.answered(r, value, time.Since(sent), err)
		})
	}
}

func (l *load) answered(r *kgo.Record, value Value, took time.Duration, err error) {
	if err != nil {
		l.w.h.Complain("the producer gave up on value %s for partition %d: %v", value, r.Partition, err)
		return
	}
	l.w.h.Acked(r.Partition, Entry{Offset: r.Offset, Value: value})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worst = max(l.worst, took)
}

// slowest is the longest that a record waited for its acknowledgement so far.
func (l *load) slowest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.worst
}

// forget starts slowest anew.
func (l *load) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worst = 0
}

// consume reads all partitions until ctx ends.
func (l *load) consume(ctx context.Context, client *kgo.Client) {
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		fetches.EachError(func(_ string, p int32, err error) {
			l.w.h.Complain("H6: the consumer of partition %d: %v", p, err)
		})
		fetches.EachRecord(func(r *kgo.Record) {
			value, err := ParseValue(r.Value)
			if err != nil {
				l.w.h.Complain("H6: partition %d offset %d: %v", r.Partition, r.Offset, err)
				return
			}
			l.w.h.Consumed(r.Partition, Entry{Offset: r.Offset, Value: value})
		})
	}
}

// stop ends the producers, and waits for the outcome of everything that they sent
// and for the consumer to have seen it.
func (l *load) stop() error {
	l.endProducing()
	l.produced.Wait()
	for _, client := range l.producers {
		flush, cancel := context.WithTimeout(context.Background(), healLimit)
		err := client.Flush(flush)
		cancel()
		if err != nil {
			return fmt.Errorf("waiting %s for the outcome of %d records: %w", healLimit, client.BufferedProduceRecords(), err)
		}
	}
	return l.w.eventually(5*time.Second, "the consumer to catch up", func(context.Context) error {
		for p := range int32(partitions) {
			if acked, consumed := l.w.h.AckedCount(p), l.w.h.ConsumedCount(p); consumed < acked {
				return fmt.Errorf("partition %d: %d acknowledged, %d consumed", p, acked, consumed)
			}
		}
		return nil
	})
}

// close ends the load, whatever is under way.
func (l *load) close() {
	l.endProducing()
	l.endConsuming()
	l.produced.Wait()
	l.consumed.Wait()
	for _, client := range append(l.producers, l.consumer) {
		client.Close()
	}
}
