package admin

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/status"
)

// leaderView is what a leader says about one partition.
type leaderView = kmsg.DescribeQuorumResponseTopicPartition

// leaderViews is the answers of all leaders.
type leaderViews struct {
	mu          sync.Mutex
	answers     map[topicPartition]leaderView // guarded by mu
	moved       map[topicPartition]error      // guarded by mu; why its leader has no view of it
	unreachable map[int32]bool                // guarded by mu; leaders that gave no answer
	problems    []Problem                     // guarded by mu
}

// leaderViews sends one DescribeQuorum to each leader, all at once, and waits
// for every answer. Partitions whose leader does not know the question are
// absent without a problem: stock Kafka answers it for its metadata log alone.
func (c *Client) leaderViews(ctx context.Context, chosen []selected) *leaderViews {
	byLeader := make(partitionsByBroker)
	for _, s := range chosen {
		if s.Leader >= 0 {
			byLeader.add(s.Leader, s.Topic, s.Partition)
		}
	}
	views := &leaderViews{
		answers:     make(map[topicPartition]leaderView),
		moved:       make(map[topicPartition]error),
		unreachable: make(map[int32]bool),
	}
	var wg sync.WaitGroup
	for leader, topics := range byLeader {
		wg.Go(func() {
			resp, err := c.describeQuorum(ctx, leader, topics)
			views.mu.Lock()
			defer views.mu.Unlock()
			if err != nil {
				views.unreachable[leader] = true
				views.problems = append(views.problems, Problem{brokerSubject(leader), err})
				return
			}
			views.collect(resp)
		})
	}
	wg.Wait()
	slices.SortFunc(views.problems, func(a, b Problem) int { return strings.Compare(a.Subject, b.Subject) })
	return views
}

// collect sorts the partitions of one answer. The caller holds mu.
func (v *leaderViews) collect(resp *kmsg.DescribeQuorumResponse) {
	_, chronik := tagged[[]status.Link](resp.UnknownTags, status.TagLinks)
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			tp := topicPartition{topic.Topic, p.Partition}
			switch {
			case p.ErrorCode == 0:
				v.answers[tp] = p
			case chronik || !foreignRefusal(p.ErrorCode):
				v.moved[tp] = codeError(tp.String(), p.ErrorCode, p.ErrorMessage)
			}
		}
	}
}

// foreignRefusal reports whether a broker that is not chronik answers with
// this code when it is asked about a topic of users.
func foreignRefusal(code int16) bool {
	switch code {
	case kerr.UnknownTopicOrPartition.Code, kerr.InvalidRequest.Code, kerr.UnsupportedVersion.Code,
		kerr.ClusterAuthorizationFailed.Code, kerr.TopicAuthorizationFailed.Code:
		return true
	default:
		return false
	}
}

// movedProblems lists the partitions that have no settled leader.
func (v *leaderViews) movedProblems() []Problem {
	v.mu.Lock()
	defer v.mu.Unlock()
	var problems []Problem
	for tp, err := range v.moved {
		problems = append(problems, Problem{tp.String(), err})
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Subject, b.Subject) })
	return problems
}

// describeQuorum asks one broker. A broker that does not know the request, or
// refuses it for user topics, is an empty answer and no error: the fallback
// says what it can.
func (c *Client) describeQuorum(ctx context.Context, broker int32, topics map[string][]int32) (*kmsg.DescribeQuorumResponse, error) {
	known, err := c.supports(ctx, broker, int16(kmsg.DescribeQuorum))
	if err != nil {
		return nil, err
	}
	if !known {
		return kmsg.NewPtrDescribeQuorumResponse(), nil
	}
	resp, err := c.ask(ctx, broker, func() kmsg.Request { return quorumRequest(topics) })
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.DescribeQuorumResponse), nil
}

func quorumRequest(topics map[string][]int32) kmsg.Request {
	req := kmsg.NewPtrDescribeQuorumRequest()
	for name, partitions := range topics {
		topic := kmsg.NewDescribeQuorumRequestTopic()
		topic.Topic = name
		for _, p := range partitions {
			partition := kmsg.NewDescribeQuorumRequestTopicPartition()
			partition.Partition = p
			topic.Partitions = append(topic.Partitions, partition)
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// supports reports whether a broker knows a request.
func (c *Client) supports(ctx context.Context, broker int32, key int16) (bool, error) {
	resp, err := c.ask(ctx, broker, func() kmsg.Request {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "chronik", "admin" // the protocol wants both non-empty
		return req
	})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(resp.(*kmsg.ApiVersionsResponse).ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool {
		return k.ApiKey == key
	}), nil
}

// applyView fills a row from its leader's answer. The leader that answers may
// be newer than the metadata; it is the one that knows.
func applyView(row *ISRPartition, view leaderView, now time.Time) {
	row.Source = SourceLeader
	if view.LeaderID >= 0 {
		row.Leader = view.LeaderID
	}
	if view.LeaderEpoch >= 0 {
		row.LeaderEpoch = &view.LeaderEpoch
	}
	row.HighWatermark = offset(view.HighWatermark)
	if own, ok := tagged[status.Partition](view.UnknownTags, status.TagPartition); ok {
		row.MinInsyncReplicas = &own.MinInsyncReplicas
		row.DurableEndOffset = offset(own.DurableEndOffset)
		row.Flush = textOrNil(own.Flush)
		row.PendingAcks = &own.PendingAcks
		row.LastISRChange = textOrNil(own.LastISRChange)
	}
	states := slices.Concat(view.CurrentVoters, view.Observers)
	for _, state := range states {
		if state.ReplicaID == row.Leader {
			row.LogEndOffset = offset(state.LogEndOffset)
		}
	}
	row.Followers = row.Followers[:0]
	for _, id := range row.Replicas {
		if id == row.Leader {
			continue
		}
		f := Follower{Broker: id, State: StateUnknown, InISR: slices.Contains(row.ISR, id)}
		for _, state := range states {
			if state.ReplicaID == id {
				applyState(&f, state, row.LogEndOffset, now)
			}
		}
		row.Followers = append(row.Followers, f)
	}
}

// applyState fills a follower from the leader's state of it: chronik's own
// report when there is one, else what the fields of Kafka say.
func applyState(f *Follower, state kmsg.DescribeQuorumResponseTopicPartitionReplicaState, leaderEnd *int64, now time.Time) {
	f.LogEndOffset = offset(state.LogEndOffset)
	if own, ok := tagged[status.Follower](state.UnknownTags, status.TagFollower); ok {
		f.State = own.State
		f.DurableEndOffset = own.DurableEndOffset
		f.LagRecords, f.LagBytes, f.LagMillis = own.LagRecords, own.LagBytes, own.LagMillis
		f.LastCaughtUpMS = own.LastCaughtUpMS
		f.AckWaitShare = own.AckWaitShare
		f.Flaps = &own.Flaps
		f.Reason = textOrNil(own.Reason)
		return
	}
	if f.LogEndOffset != nil && leaderEnd != nil {
		lag := max(*leaderEnd-*f.LogEndOffset, 0)
		f.LagRecords = &lag
	}
	if state.LastCaughtUpTimestamp > 0 {
		// The leader's clock may be ahead of ours: a time in the future is a
		// time we do not know.
		if ago := now.UnixMilli() - state.LastCaughtUpTimestamp; ago >= 0 {
			f.LastCaughtUpMS = &ago
		}
	}
}

// tagged decodes the JSON under a tag. A tag that does not parse is from a
// version we do not understand: unknown, not an error.
func tagged[T any](tags kmsg.Tags, tag uint32) (T, bool) {
	var v T
	found := false
	tags.Each(func(key uint32, value []byte) {
		if key == tag {
			found = json.Unmarshal(value, &v) == nil
		}
	})
	return v, found
}

// offset returns nil for the -1 that means not known.
func offset(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
