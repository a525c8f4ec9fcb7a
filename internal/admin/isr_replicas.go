package admin

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The two ids under which a client asks for offsets. A consumer is told the
// high watermark, and by the leader alone; under the debugging id every
// replica tells the end of its own log.
const (
	consumerReplica  int32 = -1
	debuggingReplica int32 = -2
	latestOffset     int64 = -1
)

// replicaAnswers is what brokers were asked one by one.
type replicaAnswers struct {
	mu             sync.Mutex
	highWatermarks map[topicPartition]int64           // guarded by mu
	logEnds        map[topicPartition]map[int32]int64 // guarded by mu
	logBytes       map[topicPartition]map[int32]int64 // guarded by mu
}

// askReplicas fills the rows that no leader reported on, and notes what the
// reader of the report should know about them.
func (c *Client) askReplicas(ctx context.Context, report *ISRReport, silent []int) {
	answers := c.replicaAnswers(ctx, report.Partitions, silent)
	answers.mu.Lock()
	defer answers.mu.Unlock()
	foreign := 0 // partitions whose leader does not report followers
	for _, i := range silent {
		row := &report.Partitions[i]
		if answers.fill(row) {
			row.Source = SourceReplicas
		}
		if row.Leader >= 0 {
			foreign++
		}
	}
	if foreign > 0 {
		report.Notes = append(report.Notes, "these brokers do not report the view of a leader (not chronik?): "+
			"lag is from each replica's log end, bytes from log directory sizes, times are unknown")
	}
}

// replicaAnswers asks followers before leaders: a leader's later, larger end
// can overstate a lag but never hide one.
func (c *Client) replicaAnswers(ctx context.Context, rows []ISRPartition, rest []int) *replicaAnswers {
	a := &replicaAnswers{
		highWatermarks: make(map[topicPartition]int64),
		logEnds:        make(map[topicPartition]map[int32]int64),
		logBytes:       make(map[topicPartition]map[int32]int64),
	}
	leads, follows, hosts := make(partitionsByBroker), make(partitionsByBroker), make(partitionsByBroker)
	for _, i := range rest {
		row := rows[i]
		for _, id := range row.Replicas {
			hosts.add(id, row.Topic, row.Partition)
			if id == row.Leader {
				leads.add(id, row.Topic, row.Partition)
			} else {
				follows.add(id, row.Topic, row.Partition)
			}
		}
	}
	var wg sync.WaitGroup
	for broker, topics := range hosts {
		wg.Go(func() { c.askLogDirs(ctx, a, broker, topics) })
	}
	for broker, topics := range follows {
		wg.Go(func() { c.askOffsets(ctx, a, broker, topics, debuggingReplica) })
	}
	wg.Wait()
	for broker, topics := range leads {
		wg.Go(func() {
			c.askOffsets(ctx, a, broker, topics, debuggingReplica)
			c.askOffsets(ctx, a, broker, topics, consumerReplica)
		})
	}
	wg.Wait()
	return a
}

// askOffsets leaves out what the broker does not answer: it stays unknown.
func (c *Client) askOffsets(ctx context.Context, a *replicaAnswers, broker int32, topics map[string][]int32, as int32) {
	resp, err := c.ask(ctx, broker, func() kmsg.Request { return offsetsRequest(topics, as) })
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, topic := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 || p.Offset < 0 {
				continue
			}
			tp := topicPartition{topic.Topic, p.Partition}
			if as == consumerReplica {
				a.highWatermarks[tp] = p.Offset
			} else {
				put(a.logEnds, tp, broker, p.Offset)
			}
		}
	}
}

func offsetsRequest(topics map[string][]int32, as int32) kmsg.Request {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = as
	for name, partitions := range topics {
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = name
		for _, p := range partitions {
			partition := kmsg.NewListOffsetsRequestTopicPartition()
			partition.Partition, partition.Timestamp = p, latestOffset
			topic.Partitions = append(topic.Partitions, partition)
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// askLogDirs leaves out what the broker does not answer: it stays unknown.
func (c *Client) askLogDirs(ctx context.Context, a *replicaAnswers, broker int32, topics map[string][]int32) {
	var set kadm.TopicsSet
	for name, partitions := range topics {
		set.Add(name, partitions...)
	}
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	dirs, err := c.adm.DescribeBrokerLogDirs(ctx, broker, set)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	dirs.EachPartition(func(p kadm.DescribedLogDirPartition) {
		if !p.IsFuture {
			put(a.logBytes, topicPartition{p.Topic, p.Partition}, broker, p.Size)
		}
	})
}

func put(m map[topicPartition]map[int32]int64, tp topicPartition, broker int32, n int64) {
	if m[tp] == nil {
		m[tp] = make(map[int32]int64)
	}
	m[tp][broker] = n
}

// fill completes a row and reports whether there was anything to fill in. The
// caller holds mu.
func (a *replicaAnswers) fill(row *ISRPartition) bool {
	tp := topicPartition{row.Topic, row.Partition}
	ends, sizes := a.logEnds[tp], a.logBytes[tp]
	if hw, ok := a.highWatermarks[tp]; ok {
		row.HighWatermark = &hw
	}
	leaderEnd, haveEnd := ends[row.Leader]
	if haveEnd {
		row.LogEndOffset = &leaderEnd
	}
	leaderSize, haveSize := sizes[row.Leader]
	for i := range row.Followers {
		f := &row.Followers[i]
		if end, ok := ends[f.Broker]; ok {
			f.LogEndOffset = &end
			if haveEnd {
				lag := max(leaderEnd-end, 0)
				f.LagRecords = &lag
			}
		}
		if f.LagRecords != nil && *f.LagRecords == 0 {
			// Equal logs may still differ in size (segment by segment
			// retention), which is not a lag.
			f.LagBytes = new(int64)
		} else if size, ok := sizes[f.Broker]; ok && haveSize {
			behind := max(leaderSize-size, 0)
			f.LagBytes = &behind
		}
	}
	return haveEnd || row.HighWatermark != nil
}

// partitionsByBroker groups partitions by the broker to ask.
type partitionsByBroker map[int32]map[string][]int32

func (m partitionsByBroker) add(broker int32, topic string, partition int32) {
	if m[broker] == nil {
		m[broker] = make(map[string][]int32)
	}
	m[broker][topic] = append(m[broker][topic], partition)
}
