//go:build faults && linux

package faults

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/history"
	"github.com/chronik-project/chronik/test/faults/load"
)

// TestGoal15FrozenLeader: leaders are frozen for 1 to 60 s and wake up in a
// cluster that has gone on, with requests of producers and consumers waiting at
// their door. What they acknowledge and what they hand out must be true. Two of
// five brokers are frozen at a time in the long form.
func TestGoal15FrozenLeader(t *testing.T) {
	c := newCampaign(t, 15, 1, 300)
	c.More["asked_at_wake_up"] = 0
	p := plan{brokers: 5, partitions: 10, load: load.Config{Idempotent: 1, Ordered: 1, Unordered: 1, Direct: 1, Rate: 100, Consumers: 2}}
	for c.more() {
		c.cluster(func(t *testing.T) {
			r := newRig(t, p)
			c.rounds(r, roundsPerCluster, func() {
				blows := c.freezes(r, c.pick(12))
				c.judge(r, len(blows), check.Rules{})
				c.samples = append(c.samples, outages(r.history, blows)...)
			})
		})
	}
	c.finish("SIGSTOP of the leader to the next ack, each partition, ms", 0, 0, 0)
}

// asleep is a frozen leader.
type asleep struct {
	until time.Duration
	led   []int32
}

// freezes freezes n leaders, one or two at a time, and wakes them up.
func (c *campaign) freezes(r *rig, n int) []blow {
	r.Helper()
	longest, lanes := 60*time.Second, 2
	if !*long {
		longest = 4 * time.Second
	}
	var blows []blow
	id := r.topicID() // while everybody answers
	frozen := map[int]asleep{}
	for len(blows) < n || len(frozen) > 0 {
		if len(frozen) < lanes && len(blows) < n {
			victim := r.someLeader(c.rng, slices.Collect(maps.Keys(frozen))...)
			b := r.blowBy(victim, r.freeze)
			blows = append(blows, b)
			frozen[victim] = asleep{until: b.at + logBetween(c.rng, time.Second, longest), led: b.led}
			r.pause(between(c.rng, 0, time.Second))
			continue
		}
		next := slices.MinFunc(slices.Collect(maps.Keys(frozen)), func(a, b int) int { return int(frozen[a].until - frozen[b].until) })
		r.pause(max(0, frozen[next].until-r.history.Now()))
		c.wake(r, next, id, frozen[next].led)
		delete(frozen, next)
		r.pause(between(c.rng, 200*time.Millisecond, time.Second))
	}
	return blows
}

// wake lets a broker go on, with requests waiting for it that it would have
// answered as the leader.
func (c *campaign) wake(r *rig, victim int, topicID [16]byte, led []int32) {
	r.Helper()
	var clients sync.WaitGroup
	ctx := r.within(20 * time.Second)
	w := &waiter{r: r, node: int32(victim), topicID: topicID, said: map[string]int{}}
	for _, p := range led {
		clients.Go(func() { w.produce(ctx, p) })
		clients.Go(func() { w.fetch(ctx, p) })
	}
	r.pause(100 * time.Millisecond) // their connections wait in the backlog
	r.thaw(victim)
	clients.Wait()
	c.count("asked_at_wake_up", 2*len(led))
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, n := range w.said {
		c.count(what, n)
	}
}

// waiter asks one broker, whatever it is by now.
type waiter struct {
	r       *rig
	node    int32
	topicID [16]byte

	mu   sync.Mutex
	said map[string]int // guarded by mu; answers by what they were
}

// waiterClients are ids that no client of a load gets.
const waiterClients = 1 << 22

// waiters counts those of the test program.
var waiters atomic.Int32

func (w *waiter) ask(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(w.r.brokers.Brokers()[w.node-1].Address), kgo.DialTimeout(15*time.Second), kgo.RequestTimeoutOverhead(15*time.Second), kgo.DisableFetchSessions())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.SeedBrokers()[0].Request(ctx, req)
}

// began is an operation of a new client.
func (w *waiter) began(kind history.Kind, partition int32) history.Op {
	return history.Op{
		Client: waiterClients + waiters.Add(1), Kind: kind, Topic: w.r.plan.topic, Partition: partition,
		Guarantee: history.Ordered, Attempts: 1, Start: w.r.history.Now(),
		Offset: history.Unknown, LeaderEpoch: history.Unknown, Node: w.node, HighWatermark: history.Unknown,
	}
}

func (w *waiter) ended(op history.Op) {
	op.End = w.r.history.Now()
	w.r.history.Add(op)
	what := "producers were told: "
	if op.Kind == history.Poll {
		what = "consumers were told: "
	}
	if what += "ok"; op.Outcome != history.OK {
		what = strings.TrimSuffix(what, "ok") + op.Error
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said[what]++
}

// produce sends one record.
func (w *waiter) produce(ctx context.Context, partition int32) {
	op := w.began(history.Send, partition)
	op.Value = history.ValueOf(op.Client, 0)
	text := binary.BigEndian.AppendUint64(nil, op.Value)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition = partition
	part.Records = record.NewBuilder(0).Append(text, text, nil, time.Now().UnixMilli()).Bytes()
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID = op.Topic, w.topicID
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := w.ask(ctx, req)
	if err == nil {
		answer := &resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if err = kerr.ErrorForCode(answer.ErrorCode); err == nil {
			op.Outcome, op.Offset = history.OK, answer.BaseOffset
		}
	}
	if err != nil {
		op.Error = err.Error() // Info: whatever it says, the checker need not believe it
	}
	w.ended(op)
}

// fetch reads from the start of the partition, as far as the broker gives.
func (w *waiter) fetch(ctx context.Context, partition int32) {
	op := w.began(history.Poll, partition)
	op.Offset = 0
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = partition, 0, 8<<20
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = op.Topic, w.topicID
	topic.Partitions = append(topic.Partitions, part)
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 100, 1, 8<<20
	req.Topics = append(req.Topics, topic)
	resp, err := w.ask(ctx, req)
	if err == nil {
		answer := &resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if err = kerr.ErrorForCode(answer.ErrorCode); err == nil {
			op.HighWatermark = answer.HighWatermark
			op.Records, err = decodeAll(answer.RecordBatches)
		}
	}
	if op.Outcome = history.OK; err != nil {
		op.Outcome, op.Error = history.Fail, err.Error()
	}
	w.ended(op)
}

// decodeAll reads the records of a fetch, which may end within a batch.
func decodeAll(batches []byte) (all []history.Record, err error) {
	for len(batches) > 0 {
		b, rest, err := record.Next(batches)
		if errors.Is(err, record.ErrShort) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		batches = rest
		if err := b.Each(func(rec record.Record) error {
			value := history.Garbled
			if len(rec.Key) == 8 {
				value = binary.BigEndian.Uint64(rec.Key)
			}
			all = append(all, history.Record{Offset: rec.Offset, Value: value, LeaderEpoch: b.LeaderEpoch()})
			return nil
		}); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (r *rig) topicID() (id [16]byte) {
	r.Helper()
	r.await(10*time.Second, "the topic's id", func(ctx context.Context) error {
		md, err := r.admin.Metadata(ctx, r.plan.topic)
		if err == nil {
			id, err = md.Topics[r.plan.topic].ID, md.Topics[r.plan.topic].Err
		}
		return err
	})
	return id
}
