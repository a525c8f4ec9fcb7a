package api

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/trace"
	"github.com/chronik-project/chronik/internal/wire"
)

// Produce: v3-12, listed from v0.
//
// Behavior:
//   - Everything up to the append happens on the connection's reader, so
//     pipelined requests are appended in order and at once; only the
//     acknowledgement waits, in the reply.
//   - acks=0 is answered with nothing, or by closing the connection when
//     anything failed. acks=1 waits for this broker's log, acks=all for the high
//     watermark.
//   - timeout_ms is bounded; when it runs out the record stays (K25).
//   - Transactional batches are refused: there is no transaction coordinator.
//   - v0-2 carry message formats that no log of ours holds; each partition
//     answers UNSUPPORTED_VERSION.
//
// Version notes:
//   - v5: log start offset
//   - v7: zstd
//   - v8: error message; no record is singled out, since batches stay packed
//   - v9: flexible
//   - v10: current leader and node endpoints (KIP-951)
//   - v12: TV2 transactions, not served

const (
	firstProduceVersion     = 3
	firstZstdProduceVersion = 7
	firstLeaderHintProduce  = 10
	codecZstd               = 4
)

func (t *Table) produce(ctx context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.ProduceRequest)
	call := &produced{
		table: t, version: req.Version, topics: body.Topics, received: req.Received,
		deadline: req.Received.Add(t.timeout(body.TimeoutMillis)),
	}
	ctx, cancel := context.WithDeadline(ctx, call.deadline)
	defer cancel()
	call.appendAll(ctx, body)
	if body.Acks != int16(partition.AcksNone) {
		return call, nil
	}
	for i := range call.outcomes {
		if err := call.outcomes[i].err; err != nil {
			return nil, fmt.Errorf("acks=0, the only way to say so is to close: %w", err)
		}
	}
	return wire.Now(nil), nil
}

// produced is a produce request whose batches are appended, or were refused. It
// is the reply that waits for their acknowledgements.
type produced struct {
	table    *Table
	version  int16
	received time.Time
	deadline time.Time
	topics   []kmsg.ProduceRequestTopic
	outcomes []appended // of all partitions, in the order of the request
}

// appended is what became of one batch: exactly one of its fields is set.
type appended struct {
	pending *partition.Pending
	err     error
}

func (p *produced) appendAll(ctx context.Context, body *kmsg.ProduceRequest) {
	count := 0
	for i := range p.topics {
		count += len(p.topics[i].Partitions)
	}
	p.outcomes = make([]appended, 0, count)
	img := p.table.o.Metadata.Image()
	refused := p.refuseAll(body)
	for i := range p.topics {
		name := p.topics[i].Topic
		topic := topicByName(img, name)
		for j := range p.topics[i].Partitions {
			part := &p.topics[i].Partitions[j]
			if refused != nil {
				p.outcomes = append(p.outcomes, appended{err: topicError(name, part.Partition, refused)})
				continue
			}
			pending, err := p.append(ctx, topic, name, part, partition.Acks(body.Acks))
			p.outcomes = append(p.outcomes, appended{pending: pending, err: err})
		}
	}
}

// refuseAll is the error that a whole request deserves.
func (p *produced) refuseAll(body *kmsg.ProduceRequest) error {
	switch {
	case p.version < firstProduceVersion:
		return fmt.Errorf("produce v%d: v%d is the oldest: %w", p.version, firstProduceVersion, errUnsupportedVersion)
	case body.Acks < -1 || body.Acks > 1:
		return fmt.Errorf("acks=%d: %w", body.Acks, errRequiredAcks)
	case body.TransactionID != nil && *body.TransactionID != "":
		return fmt.Errorf("transactional id %q: %w", *body.TransactionID, errTransactions)
	default:
		return nil
	}
}

func (p *produced) append(ctx context.Context, topic *cluster.Topic, name string, part *kmsg.ProduceRequestTopicPartition, acks partition.Acks) (*partition.Pending, error) {
	replica, err := p.table.locate(topic, name, part.Partition)
	if err != nil {
		return nil, err
	}
	batch, err := parseBatch(part.Records, p.table.messageLimit(topic), p.version)
	if err != nil {
		return nil, topicError(name, part.Partition, err)
	}
	return replica.Append(ctx, partition.AppendRequest{
		Batch: batch, Acks: acks, Deadline: p.deadline, Epoch: cluster.NoEpoch,
	})
}

// parseBatch takes the one batch that a client may send per partition, checked
// as far as it can be without looking into the records.
func parseBatch(records []byte, limit int, version int16) (record.Batch, error) {
	if len(records) == 0 {
		return nil, fmt.Errorf("no record batch: %w", record.ErrInvalid)
	}
	batch, rest, err := record.Next(records)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes after the first batch, exactly one batch is allowed: %w", len(rest), record.ErrInvalid)
	}
	if err := record.Validate(batch, limit); err != nil {
		return nil, err
	}
	switch {
	case batch.IsControl():
		return nil, fmt.Errorf("control batch from a client: %w", record.ErrInvalid)
	case batch.IsTransactional():
		return nil, fmt.Errorf("transactional batch: %w", errTransactions)
	case batch.Compression() == codecZstd && version < firstZstdProduceVersion:
		return nil, fmt.Errorf("zstd needs produce v%d, not v%d: %w", firstZstdProduceVersion, version, errCompressionType)
	}
	return batch, nil
}

// Wait waits for all acknowledgements. Each is final by the deadline, so the
// wait is bounded.
func (p *produced) Wait(ctx context.Context) (kmsg.Response, error) {
	for i := range p.outcomes {
		o := &p.outcomes[i]
		if o.err != nil {
			continue
		}
		select {
		case <-o.pending.Done():
			o.err = o.pending.Err()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return p.response(), nil
}

// Ready reports whether all acknowledgements are there.
func (p *produced) Ready() bool {
	for i := range p.outcomes {
		if p.outcomes[i].err != nil {
			continue
		}
		select {
		case <-p.outcomes[i].pending.Done():
		default:
			return false
		}
	}
	return true
}

// Sent leaves a trace of every batch that was acknowledged.
func (p *produced) Sent(at time.Time) {
	for i := range p.outcomes {
		if o := &p.outcomes[i]; o.err == nil {
			if b := o.pending.Trace(); b != nil {
				b.Received, b.Written = trace.At(p.received), trace.At(at)
				p.table.o.Traces.Add(b)
			}
		}
	}
}

func (p *produced) response() kmsg.Response {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = p.version
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(p.topics))
	leaders := hints{self: p.table.o.Self, img: p.table.o.Metadata.Image()}
	outcomes := p.outcomes
	for i := range p.topics {
		asked := &p.topics[i]
		answer := &resp.Topics[i]
		answer.Topic = asked.Topic
		answer.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(asked.Partitions))
		for j := range asked.Partitions {
			part := outcomes[j].response(asked.Partitions[j].Partition)
			if part.ErrorCode != 0 && p.version >= firstLeaderHintProduce {
				h := leaders.add(topicByName(leaders.img, asked.Topic), part.Partition, outcomes[j].err)
				part.CurrentLeader.LeaderID, part.CurrentLeader.LeaderEpoch = int32(h.leader), int32(h.epoch)
			}
			answer.Partitions[j] = part
		}
		outcomes = outcomes[len(asked.Partitions):]
	}
	for _, b := range leaders.nodes {
		resp.Brokers = append(resp.Brokers, kmsg.ProduceResponseBroker{
			NodeID: int32(b.ID), Host: b.Client.Host, Port: b.Client.Port, Rack: rack(b),
		})
	}
	return resp
}

// response is one partition's part of the response. It cannot say success
// without an offset: whatever is wrong in between, a client is never told that
// a record is safe which has no place in the log.
func (o appended) response(index int32) kmsg.ProduceResponseTopicPartition {
	part := kmsg.NewProduceResponseTopicPartition()
	part.Partition, part.BaseOffset = index, -1
	err := o.err
	if err == nil && (o.pending == nil || o.pending.BaseOffset() < 0) {
		err = errSuccessWithoutOffset
	}
	if err != nil {
		part.ErrorCode, part.ErrorMessage = int16(codeOf(err)), message(err)
		return part
	}
	part.BaseOffset = o.pending.BaseOffset()
	part.LogAppendTime = o.pending.LogAppendTimeMillis()
	part.LogStartOffset = o.pending.LogStartOffset()
	return part
}
