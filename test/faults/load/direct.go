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

// direct is a producer of one partition that sends every record once, in a
// request of its own, to the broker that it believes to lead, and waits for the
// answer.
type direct struct {
	load      *Load
	client    int32
	partition int32
	sequence  uint64

	peers   map[int32]*peer
	nodes   []int32 // in a fixed order
	asked   int     // metadata requests, so that each broker is asked in turn
	leader  int32   // history.Unknown before it is known
	topicID [16]byte
}

func (d *direct) run(ctx context.Context) error {
	peers, closeAll, err := newPeers(&d.load.cfg)
	if err != nil {
		return err
	}
	defer closeAll()
	d.peers = peers
	for node := range peers {
		d.nodes = append(d.nodes, node)
	}
	slices.Sort(d.nodes)
	tick := time.NewTicker(max(paceEvery, time.Duration(float64(d.load.cfg.Partitions)/d.load.cfg.Rate*float64(time.Second))))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.load.stop:
			return nil
		case <-tick.C:
		}
		if d.leader == history.Unknown {
			d.locate(ctx)
		}
		if d.leader != history.Unknown {
			d.send(ctx)
		}
	}
}

// locate asks the next broker in turn who leads. One that does not know, or is
// not there, is no reason to stop.
func (d *direct) locate(ctx context.Context) {
	node := d.nodes[d.asked%len(d.nodes)]
	d.asked++
	topic, err := d.peers[node].metadata(ctx, d.load.cfg.Topic)
	if err != nil {
		return
	}
	d.topicID = topic.TopicID
	for _, p := range topic.Partitions {
		if _, known := d.peers[p.Leader]; known && p.Partition == d.partition {
			d.leader = p.Leader
		}
	}
}

func (d *direct) send(ctx context.Context) {
	l := d.load
	value := history.ValueOf(d.client, d.sequence)
	d.sequence++
	op := history.Op{
		Client: d.client, Kind: history.Send, Topic: l.cfg.Topic, Partition: d.partition,
		Value: value, Guarantee: history.Ordered, Attempts: 1, Start: l.history.Now(),
		Offset: history.Unknown, LeaderEpoch: history.Unknown, Node: d.leader,
	}
	offset, err := d.produce(ctx, value)
	op.End = l.history.Now()
	op.Outcome = classify(err, true)
	if err == nil {
		op.Offset = offset
	} else {
		op.Error = err.Error()
		d.leader = history.Unknown
	}
	l.answered(op)
}

func (d *direct) produce(ctx context.Context, value uint64) (offset int64, err error) {
	cfg := &d.load.cfg
	key, body := encode(value, cfg.ValueBytes)
	req := kmsg.NewPtrProduceRequest()
	req.Acks = -1
	req.TimeoutMillis = int32(cfg.AckTimeout.Milliseconds())
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition = d.partition
	part.Records = record.NewBuilder(0).Append(key, body, nil, time.Now().UnixMilli()).Bytes()
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID = cfg.Topic, d.topicID
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	// Not ctx: the end of the load must not take back what was sent.
	resp, err := ask[*kmsg.ProduceResponse](context.WithoutCancel(ctx), d.peers[d.leader], req, cfg.AckTimeout+answerOverhead)
	if err != nil {
		return 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, errors.New("the answer is not about the one partition that was written to")
	}
	answer := &resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return 0, err
	}
	if answer.BaseOffset < 0 {
		return 0, fmt.Errorf("acknowledged at offset %d", answer.BaseOffset)
	}
	return answer.BaseOffset, nil
}
