package load

import (
	"context"
	"encoding/json"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/status"
	"github.com/chronik-project/chronik/test/faults/history"
)

// sampler asks one broker, again and again, how the partitions stand. A broker
// that does not answer is not there; that is no sample.
type sampler struct {
	load *Load
	peer *peer
	// One session for each kind of question: a broker may answer them from
	// different places.
	metadata, offsets, quorum int32
}

// samplers are the tasks of all samplers.
func (l *Load) samplers() []func(context.Context) error {
	var tasks []func(context.Context) error
	if l.cfg.SampleEvery < 0 {
		return nil
	}
	for node := range l.cfg.Brokers {
		s := &sampler{load: l, metadata: l.client(), offsets: l.client(), quorum: l.client()}
		tasks = append(tasks, func(ctx context.Context) error { return s.run(ctx, node) })
	}
	return tasks
}

func (s *sampler) run(ctx context.Context, node int32) error {
	peer, err := newPeer(&s.load.cfg, node)
	if err != nil {
		return err
	}
	defer peer.kafka.Close()
	s.peer = peer
	tick := time.NewTicker(s.load.cfg.SampleEvery)
	defer tick.Stop()
	for {
		s.sampleMetadata(ctx)
		s.sampleOffsets(ctx)
		s.sampleQuorum(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *sampler) add(client int32, began time.Duration, partition, epoch int32, highWatermark int64, sample history.Sample) {
	s.load.history.Add(history.Op{
		Client: client, Kind: history.State, Outcome: history.OK, Topic: s.load.cfg.Topic, Partition: partition,
		Start: began, End: s.load.history.Now(), Offset: history.Unknown,
		LeaderEpoch: epoch, Node: s.peer.node, HighWatermark: highWatermark, State: &sample,
	})
}

// sampleMetadata asks what the broker believes of leaders and replicas.
func (s *sampler) sampleMetadata(ctx context.Context) {
	began := s.load.history.Now()
	topic, err := s.peer.metadata(ctx, s.load.cfg.Topic)
	if err != nil {
		return
	}
	for _, p := range topic.Partitions {
		s.add(s.metadata, began, p.Partition, p.LeaderEpoch, history.Unknown, history.Sample{
			Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR, LogStart: history.Unknown,
		})
	}
}

// sampleOffsets asks for the high watermark, which only a leader names.
func (s *sampler) sampleOffsets(ctx context.Context) {
	began := s.load.history.Now()
	answers, err := s.peer.latest(ctx, s.load.cfg.Topic, s.load.cfg.Partitions)
	if err != nil {
		return
	}
	for _, p := range answers {
		s.add(s.offsets, began, p.Partition, p.LeaderEpoch, p.Offset, history.Sample{Leader: s.peer.node, LogStart: history.Unknown})
	}
}

// sampleQuorum asks a leader for its in-sync set and its log start. The high
// watermark in the answer is left out: a new leader names one here before it
// knows how far its predecessor had come.
func (s *sampler) sampleQuorum(ctx context.Context) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = s.load.cfg.Topic
	for partition := range s.load.cfg.Partitions {
		p := kmsg.NewDescribeQuorumRequestTopicPartition()
		p.Partition = partition
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	began := s.load.history.Now()
	resp, err := ask[*kmsg.DescribeQuorumResponse](ctx, s.peer, req, askTimeout)
	if err != nil {
		return
	}
	for _, t := range resp.Topics {
		for i := range t.Partitions {
			if p := &t.Partitions[i]; p.ErrorCode == 0 && p.LeaderID == s.peer.node {
				s.add(s.quorum, began, p.Partition, p.LeaderEpoch, history.Unknown, quorumSample(p))
			}
		}
	}
}

// unchanged is the version of an in-sync set that did not change in its epoch.
const unchanged = "as elected"

func quorumSample(p *kmsg.DescribeQuorumResponseTopicPartition) history.Sample {
	sample := history.Sample{Leader: p.LeaderID, LogStart: history.Unknown, ISR: []int32{}}
	for _, v := range p.CurrentVoters {
		sample.ISR = append(sample.ISR, v.ReplicaID)
	}
	p.UnknownTags.Each(func(tag uint32, value []byte) {
		var told status.Partition
		if tag != status.TagPartition || json.Unmarshal(value, &told) != nil {
			return
		}
		sample.LogStart, sample.MinISR = told.LogStartOffset, int32(told.MinInsyncReplicas)
		if sample.ISRVersion = told.LastISRChange; sample.ISRVersion == "" {
			sample.ISRVersion = unchanged
		}
	})
	return sample
}
