package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/status"
	"github.com/chronik-project/chronik/internal/wire"
)

// DescribeQuorum: v0-2
//
// Behavior:
//   - Partition 0 of __cluster_metadata is the metadata log, as in Kafka.
//   - Any other topic is a partition that this broker leads, which Kafka does not
//     answer: the in-sync replicas are the voters, the others the observers. What
//     the protocol has no field for travels as JSON in tagged fields (package
//     status); the links that leave this broker do in every response.
//   - Ends and times that the leader does not know are -1.
//
// Version notes:
//   - v1: times of the last fetch, here the last word, and of being caught up
//   - v2: directory ids, error messages, addresses of the nodes

// quorumTimeout bounds a question to another broker.
const quorumTimeout = 5 * time.Second

func (t *Table) describeQuorum(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.DescribeQuorumRequest)
	return wire.Func(func(ctx context.Context) (kmsg.Response, error) {
		q := &quorumAnswer{
			table: t, now: time.Now(), img: t.o.Metadata.Image(),
			resp: respond[*kmsg.DescribeQuorumResponse](req), seen: map[cluster.BrokerID]bool{},
		}
		for i := range body.Topics {
			asked := &body.Topics[i]
			answer := kmsg.DescribeQuorumResponseTopic{Topic: asked.Topic}
			for j := range asked.Partitions {
				answer.Partitions = append(answer.Partitions, q.partition(ctx, asked.Topic, asked.Partitions[j].Partition))
			}
			q.resp.Topics = append(q.resp.Topics, answer)
		}
		setTag(&q.resp.UnknownTags, status.TagLinks, emptyNotNull(t.o.Links()))
		setTag(&q.resp.UnknownTags, status.TagBroker, status.Broker{HTTP: t.o.HTTP})
		return q.resp, nil
	}), nil
}

// quorumAnswer is a response in the making.
type quorumAnswer struct {
	table *Table
	now   time.Time
	img   *cluster.Image
	resp  *kmsg.DescribeQuorumResponse
	seen  map[cluster.BrokerID]bool // brokers whose address is in the response
}

type (
	quorumPartition = kmsg.DescribeQuorumResponseTopicPartition
	quorumReplica   = kmsg.DescribeQuorumResponseTopicPartitionReplicaState
)

func (q *quorumAnswer) partition(ctx context.Context, topic string, index int32) quorumPartition {
	answer := kmsg.NewDescribeQuorumResponseTopicPartition()
	answer.Partition = index
	answer.LeaderID, answer.LeaderEpoch, answer.HighWatermark = -1, -1, -1
	var err error
	if topic == metadataTopic {
		err = q.metadataLog(ctx, &answer)
	} else {
		err = q.led(topic, &answer)
	}
	answer.ErrorCode, answer.ErrorMessage = int16(codeOf(err)), message(err)
	return answer
}

// metadataLog describes the log that package meta keeps.
func (q *quorumAnswer) metadataLog(ctx context.Context, answer *quorumPartition) error {
	if answer.Partition != 0 {
		return topicError(metadataTopic, answer.Partition, cluster.ErrUnknownTopic)
	}
	ctx, cancel := context.WithTimeout(ctx, quorumTimeout)
	defer cancel()
	quorum, err := q.table.o.Quorum(ctx)
	if err != nil {
		return fmt.Errorf("describe the metadata log: %w", err)
	}
	answer.LeaderID, answer.LeaderEpoch = int32(quorum.Leader), int32(quorum.Term)
	answer.HighWatermark = quorum.CommitIndex
	for _, m := range quorum.Voters {
		answer.CurrentVoters = append(answer.CurrentVoters, q.member(m))
	}
	for _, m := range quorum.Observers {
		answer.Observers = append(answer.Observers, q.member(m))
	}
	return nil
}

func (q *quorumAnswer) member(m QuorumMember) quorumReplica {
	r := q.replica(m.ID)
	r.LogEndOffset = m.LastIndex
	r.LastFetchTimestamp, r.LastCaughtUpTimestamp = millis(m.LastContact), millis(m.LastCaughtUp)
	return r
}

// led describes a partition that this broker leads.
func (q *quorumAnswer) led(name string, answer *quorumPartition) error {
	topic := topicByName(q.img, name)
	replica, err := q.table.locate(topic, name, answer.Partition)
	if err != nil {
		return err
	}
	info := replica.Info()
	answer.LeaderID, answer.LeaderEpoch = int32(info.Leader), int32(info.Epoch)
	switch {
	case info.Failed != "":
		return topicError(name, answer.Partition, fmt.Errorf("%s: %w", info.Failed, partition.ErrStorage))
	case !info.Leading:
		return topicError(name, answer.Partition, partition.ErrNotLeader)
	}
	answer.HighWatermark = info.HighWatermark
	self := q.replica(q.table.o.Self)
	self.LogEndOffset = info.LogEndOffset
	self.LastFetchTimestamp, self.LastCaughtUpTimestamp = q.now.UnixMilli(), q.now.UnixMilli()
	answer.CurrentVoters = append(answer.CurrentVoters, self)
	for i := range info.Followers {
		f := &info.Followers[i]
		r := q.replica(f.ID)
		r.LogEndOffset = f.AppendedEndOffset
		r.LastFetchTimestamp, r.LastCaughtUpTimestamp = millis(f.LastHeard), millis(f.LastCaughtUp)
		setTag(&r.UnknownTags, status.TagFollower, q.follower(f))
		if f.InISR {
			answer.CurrentVoters = append(answer.CurrentVoters, r)
		} else {
			answer.Observers = append(answer.Observers, r)
		}
	}
	setTag(&answer.UnknownTags, status.TagPartition, status.Partition{
		LogStartOffset: info.LogStartOffset, DurableEndOffset: info.DurableEndOffset,
		MinInsyncReplicas: info.MinISR, Flush: string(info.Flush),
		PendingAcks: info.PendingAcks, LastISRChange: info.LastISRChange,
	})
	return nil
}

// follower is what the leader knows of a follower. What it does not know is
// null, never zero and never "in sync".
func (q *quorumAnswer) follower(f *partition.FollowerInfo) status.Follower {
	s := status.Follower{
		State: f.State, Reason: f.Reason, Flaps: f.Flaps,
		DurableEndOffset: known(f.DurableEndOffset), LagRecords: known(f.LagRecords), LagBytes: known(f.LagBytes),
		LagMillis: known(f.Lag.Milliseconds()),
	}
	if f.Lag < 0 {
		s.LagMillis = nil // less than a millisecond below zero is rounded to zero
	}
	if !f.LastCaughtUp.IsZero() {
		ago := max(0, q.now.Sub(f.LastCaughtUp).Milliseconds())
		s.LastCaughtUpMS = &ago
	}
	if f.AckWaitShare >= 0 {
		s.AckWaitShare = &f.AckWaitShare
	}
	return s
}

// replica starts a replica's state and makes sure that its address is in the
// response.
func (q *quorumAnswer) replica(id cluster.BrokerID) quorumReplica {
	r := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	r.ReplicaID, r.LogEndOffset = int32(id), -1
	b, ok := q.img.Broker(id)
	if !ok {
		return r
	}
	r.ReplicaDirectoryID = b.Directory
	if !q.seen[id] {
		q.seen[id] = true
		q.resp.Nodes = append(q.resp.Nodes, kmsg.DescribeQuorumResponseNode{
			NodeID: int32(id),
			Listeners: []kmsg.DescribeQuorumResponseNodeListener{
				{Name: "PEER", Host: b.Peer.Host, Port: uint16(b.Peer.Port)},
			},
		})
	}
	return r
}

// setTag puts a value as JSON under a tag. The shapes of package status always
// encode, except for numbers that are no numbers: those stay untold.
func setTag(tags *kmsg.Tags, tag uint32, value any) {
	if text, err := json.Marshal(value); err == nil {
		tags.Set(tag, text)
	}
}

func emptyNotNull(links []status.Link) []status.Link {
	if links == nil {
		return []status.Link{}
	}
	return links
}

// known is null for the negative numbers that stand for "unknown".
func known(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

// millis is a time of the protocol; -1 is unknown.
func millis(at time.Time) int64 {
	if at.IsZero() {
		return -1
	}
	return at.UnixMilli()
}
