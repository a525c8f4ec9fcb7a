package load

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/history"
)

// pollWait bounds one wait for records.
const pollWait = 200 * time.Millisecond

// consumer reads all partitions from the start, in one session after another.
type consumer struct {
	load *Load
	next []int64 // offset to read, by partition
}

// consumers are the tasks of all consumers.
func (l *Load) consumers() []func(context.Context) error {
	var tasks []func(context.Context) error
	for range l.cfg.Consumers {
		c := &consumer{load: l, next: make([]int64, l.cfg.Partitions)}
		tasks = append(tasks, c.run)
	}
	return tasks
}

func (c *consumer) run(ctx context.Context) error {
	for {
		if over, err := c.session(ctx); over || err != nil {
			return err
		}
	}
}

// session reads with one client until its life is over, or there is nothing
// more to come.
func (c *consumer) session(ctx context.Context) (over bool, err error) {
	offsets := map[int32]kgo.Offset{}
	for partition, next := range c.next {
		offsets[int32(partition)] = kgo.NewOffset().At(next)
	}
	client, err := kgo.NewClient(append(
		c.load.connection(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.load.cfg.Topic: offsets}),
		kgo.FetchMaxWait(pollWait),
		// Retention may be faster than a consumer.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)...)
	if err != nil {
		return true, err
	}
	defer client.Close()
	id, until := c.load.client(), time.Now().Add(c.load.cfg.ConsumerLife)
	for c.load.cfg.ConsumerLife <= 0 || time.Now().Before(until) {
		if ctx.Err() != nil || c.done() {
			return true, nil
		}
		c.poll(ctx, client, id)
	}
	return false, nil
}

// done says that all that will ever be acknowledged has been read.
func (c *consumer) done() bool {
	select {
	case <-c.load.produced:
	default:
		return false
	}
	for partition := range c.next {
		if c.next[partition] < c.load.ends[partition].Load() {
			return false
		}
	}
	return true
}

func (c *consumer) poll(ctx context.Context, client *kgo.Client, id int32) {
	wait, cancel := context.WithTimeout(ctx, pollWait)
	defer cancel()
	began := c.load.history.Now()
	fetches := client.PollFetches(wait)
	ended := c.load.history.Now()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 && (p.Err == nil || errors.Is(p.Err, context.DeadlineExceeded) || errors.Is(p.Err, context.Canceled)) {
			return
		}
		op := history.Op{
			Client: id, Kind: history.Poll, Outcome: history.OK, Topic: c.load.cfg.Topic, Partition: p.Partition,
			Start: began, End: ended, Offset: history.Unknown, HighWatermark: p.HighWatermark,
			LeaderEpoch: history.Unknown, Node: history.Unknown,
		}
		if p.Err != nil {
			op.Outcome, op.Error = history.Fail, p.Err.Error()
		}
		if p.Partition < 0 || int(p.Partition) >= len(c.next) { // an error of no partition
			c.load.history.Add(op)
			return
		}
		op.Offset = c.next[p.Partition]
		for _, r := range p.Records {
			op.Records = append(op.Records, history.Record{Offset: r.Offset, Value: decode(r.Key, r.Value), LeaderEpoch: r.LeaderEpoch})
			c.next[p.Partition] = r.Offset + 1
		}
		c.load.history.Add(op)
	})
}
