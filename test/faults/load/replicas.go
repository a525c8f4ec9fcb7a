package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/test/faults/history"
)

const (
	fetchBytes = 4 << 20
	fetchWait  = 200 * time.Millisecond
	// fetchTimeout bounds one request for records.
	fetchTimeout = 10 * time.Second
)

// ReadReplicas reads every partition of a topic from every broker that holds a
// replica of it, as stored, up to the high watermark of the leader. A replica
// that does not get there before ctx ends is returned as far as it got, without
// an error: it lags. One that cannot be read is an error, and the others are
// returned all the same. Of cfg it needs the brokers, the topic and the
// partitions.
func ReadReplicas(ctx context.Context, cfg Config) ([]history.Replica, error) {
	peers, closeAll, err := newPeers(&cfg)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	ends, err := awaitLeaders(ctx, peers, &cfg)
	if err != nil {
		return nil, err
	}
	topic, err := anyMetadata(ctx, peers, cfg.Topic)
	if err != nil {
		return nil, err
	}
	var readers []*replicaReader
	var tasks []func(context.Context) error
	for _, p := range topic.Partitions {
		for _, node := range p.Replicas {
			peer, ok := peers[node]
			if !ok {
				return nil, fmt.Errorf("%s-%d has a replica on broker %d, whose address is not known", cfg.Topic, p.Partition, node)
			}
			r := &replicaReader{peer: peer, topicID: topic.TopicID, end: ends[p.Partition]}
			r.replica = history.Replica{Node: node, Topic: cfg.Topic, Partition: p.Partition}
			readers = append(readers, r)
			tasks = append(tasks, r.run)
		}
	}
	err = start(ctx, func(error) {}, tasks)()
	var final []history.Replica
	for _, r := range readers {
		if r.answered {
			final = append(final, r.replica)
		}
	}
	return final, err
}

// awaitLeaders waits until every partition has a leader that knows its high
// watermark, and returns those.
func awaitLeaders(ctx context.Context, peers map[int32]*peer, cfg *Config) (ends map[int32]int64, err error) {
	ends = map[int32]int64{}
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		for _, p := range peers {
			answers, failed := p.latest(ctx, cfg.Topic, cfg.Partitions)
			if failed != nil {
				err = failed
			}
			for _, a := range answers {
				ends[a.Partition] = max(ends[a.Partition], a.Offset)
			}
		}
		if len(ends) == int(cfg.Partitions) {
			return ends, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d partitions of %s have a leader: %w (%w)", len(ends), cfg.Partitions, cfg.Topic, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func anyMetadata(ctx context.Context, peers map[int32]*peer, name string) (*kmsg.MetadataResponseTopic, error) {
	var errs []error
	for _, p := range peers {
		topic, err := p.metadata(ctx, name)
		if err == nil {
			return topic, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no broker describes %s: %w", name, errors.Join(errs...))
}

// replicaReader reads one replica.
type replicaReader struct {
	peer     *peer
	topicID  [16]byte
	end      int64 // to be reached
	replica  history.Replica
	next     int64
	answered bool // once at least
}

func (r *replicaReader) run(ctx context.Context) error {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		err := r.fetch(ctx)
		if err == nil && r.next >= max(r.end, r.replica.HighWatermark) {
			return nil
		}
		if err == nil && ctx.Err() == nil && r.next < r.replica.HighWatermark {
			continue // there is more at once
		}
		select {
		case <-ctx.Done():
			if err == nil || r.answered && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return nil // it lags
			}
			return fmt.Errorf("replica %d of %s-%d at offset %d: %w", r.peer.node, r.replica.Topic, r.replica.Partition, r.next, err)
		case <-tick.C:
		}
	}
}

// fetch asks once. A fetch of version 11 or above may be served by any replica
// (KIP-392).
func (r *replicaReader) fetch(ctx context.Context) error {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(fetchWait.Milliseconds())
	req.MinBytes = 1
	req.MaxBytes = fetchBytes
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition = r.replica.Partition
	part.FetchOffset = r.next
	part.PartitionMaxBytes = fetchBytes
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = r.replica.Topic, r.topicID
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := ask[*kmsg.FetchResponse](ctx, r.peer, req, fetchTimeout)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return errors.New("the answer is not about the one partition that was asked for")
	}
	return r.take(&resp.Topics[0].Partitions[0])
}

func (r *replicaReader) take(answer *kmsg.FetchResponseTopicPartition) error {
	err := kerr.ErrorForCode(answer.ErrorCode)
	if errors.Is(err, kerr.OffsetOutOfRange) && answer.LogStartOffset > r.next {
		r.next = answer.LogStartOffset // what was there has been deleted
		return nil
	}
	if err != nil {
		return err
	}
	r.answered = true
	r.replica.LogStart, r.replica.HighWatermark = answer.LogStartOffset, answer.HighWatermark
	for rest := answer.RecordBatches; len(rest) > 0; {
		var batch record.Batch
		batch, rest, err = record.Next(rest)
		if errors.Is(err, record.ErrShort) {
			return nil // a fetch may end within a batch
		}
		if err == nil {
			err = r.batch(batch)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// batch takes over one batch, whose bytes are checked once more: the broker
// need not have done so.
func (r *replicaReader) batch(b record.Batch) error {
	if b.NextOffset() <= r.next || b.BaseOffset() >= r.replica.HighWatermark {
		return nil
	}
	if err := record.Validate(b, 0); err != nil {
		return fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
	}
	r.replica.Batches = append(r.replica.Batches, history.Batch{
		Base: b.BaseOffset(), Last: b.NextOffset() - 1, LeaderEpoch: b.LeaderEpoch(), CRC: b.CRC(),
	})
	from := r.next
	r.next = b.NextOffset()
	r.replica.Records = slices.Grow(r.replica.Records, int(b.Records()))
	return b.Each(func(rec record.Record) error {
		if rec.Offset >= from {
			r.replica.Records = append(r.replica.Records, history.Record{
				Offset: rec.Offset, Value: decode(rec.Key, rec.Value), LeaderEpoch: b.LeaderEpoch(),
			})
		}
		return nil
	})
}
