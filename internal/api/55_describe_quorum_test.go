package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/status"
)

func describeQuorum(b *bed, version int16, topic string, index int32) (quorumPartition, *kmsg.DescribeQuorumResponse) {
	b.t.Helper()
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: topic, Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: index}}}}
	resp := ask[*kmsg.DescribeQuorumResponse](b, req, version)
	wantCode(b.t, "describe quorum", resp.ErrorCode, codeNone)
	return only(b.t, only(b.t, resp.Topics).Partitions), resp
}

// fromTag reads the JSON under a tag.
func fromTag[T any](t *testing.T, tags kmsg.Tags, tag uint32) T {
	t.Helper()
	var v T
	found := false
	tags.Each(func(key uint32, value []byte) {
		if key == tag {
			found = true
			if err := json.Unmarshal(value, &v); err != nil {
				t.Errorf("tag %d: %v", tag, err)
			}
		}
	})
	if !found {
		t.Errorf("no tag %d", tag)
	}
	return v
}

func TestDescribeQuorumOfAPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2, 3})
		b.produce("orders", 0, batch(3))
		b.acked("orders", 0, 2, 3)
		b.acked("orders", 0, 3, 1)
		b.fence(3) // leaves the in-sync set
		<-time.After(time.Second)
		for _, version := range versions(t, 55, 0) {
			p, resp := describeQuorum(b, version, "orders", 0)
			what := fmt.Sprintf("v%d", version)
			wantCode(t, what, p.ErrorCode, codeNone)
			if p.LeaderID != 1 || p.LeaderEpoch != 0 || p.HighWatermark != 3 {
				t.Errorf("%s: leader %d epoch %d, high watermark %d; want 1, 0, 3", what, p.LeaderID, p.LeaderEpoch, p.HighWatermark)
			}
			if len(p.CurrentVoters) != 2 || p.CurrentVoters[0].ReplicaID != 1 || p.CurrentVoters[1].ReplicaID != 2 {
				t.Fatalf("%s: voters %+v, want 1 and 2", what, p.CurrentVoters)
			}
			if len(p.Observers) != 1 || p.Observers[0].ReplicaID != 3 || p.Observers[0].LogEndOffset != 1 {
				t.Fatalf("%s: observers %+v, want 3 with its log up to 1", what, p.Observers)
			}
			for _, replica := range p.CurrentVoters {
				if replica.LogEndOffset != 3 {
					t.Errorf("%s: replica %d ends at %d, want 3", what, replica.ReplicaID, replica.LogEndOffset)
				}
			}
			own := fromTag[status.Partition](t, p.UnknownTags, status.TagPartition)
			if own.DurableEndOffset != 3 || own.MinInsyncReplicas != 2 || own.Flush != "fsync" {
				t.Errorf("%s: %+v", what, own)
			}
			behind := fromTag[status.Follower](t, p.Observers[0].UnknownTags, status.TagFollower)
			if behind.LagRecords == nil || *behind.LagRecords != 2 || behind.State == "" || behind.State == status.StateInSync {
				t.Errorf("%s: follower 3 %+v, want a lag of 2 and not in sync", what, behind)
			}
			if links := fromTag[[]status.Link](t, resp.UnknownTags, status.TagLinks); links == nil {
				t.Errorf("%s: links are null, want an empty list", what)
			}
			if self := fromTag[status.Broker](t, resp.UnknownTags, status.TagBroker); self.HTTP != "127.0.0.1:9292" {
				t.Errorf("%s: the broker says of itself %+v", what, self)
			}
			if version >= 2 {
				if p.CurrentVoters[1].ReplicaDirectoryID != (cluster.UUID{2, 1}) || len(resp.Nodes) != 3 {
					t.Errorf("%s: directory %x, %d nodes", what, p.CurrentVoters[1].ReplicaDirectoryID, len(resp.Nodes))
				}
			}
		}
	})
}

// What a leader has not heard is unknown: never zero, never "caught up".
func TestDescribeQuorumDoesNotInvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2})
		p, _ := describeQuorum(b, 2, "orders", 0)
		silent := p.CurrentVoters[1]
		if silent.LogEndOffset != -1 || silent.LastFetchTimestamp != -1 {
			t.Errorf("log end %d, heard at %d; want -1 for both", silent.LogEndOffset, silent.LastFetchTimestamp)
		}
		f := fromTag[status.Follower](t, silent.UnknownTags, status.TagFollower)
		if f.State == status.StateInSync || f.DurableEndOffset != nil || f.LagRecords != nil || f.LagMillis != nil || f.AckWaitShare != nil {
			t.Errorf("%+v, want unknowns", f)
		}
	})
}

func TestDescribeQuorumFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) {
			o.Quorum = func(context.Context) (Quorum, error) { return Quorum{}, errors.New("broken") }
		})
		b.topic("followed", nil, []cluster.BrokerID{2, 1})
		b.topic("remote", nil, []cluster.BrokerID{2})
		for _, tt := range []struct {
			topic string
			index int32
			want  code
		}{
			{"nowhere", 0, codeUnknownTopicOrPartition},
			{"followed", 7, codeUnknownTopicOrPartition},
			{"followed", 0, codeNotLeaderOrFollower},
			{"remote", 0, codeNotLeaderOrFollower},
			{metadataTopic, 1, codeUnknownTopicOrPartition},
			{metadataTopic, 0, codeUnknownServerError},
		} {
			p, _ := describeQuorum(b, 2, tt.topic, tt.index)
			wantCode(t, fmt.Sprintf("%s-%d", tt.topic, tt.index), p.ErrorCode, tt.want)
			if p.ErrorMessage == nil || p.HighWatermark != -1 {
				t.Errorf("%s-%d: message %q, high watermark %d", tt.topic, tt.index, text(p.ErrorMessage), p.HighWatermark)
			}
		}
	})
}

func TestDescribeQuorumOfTheMetadataLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		heard := time.Now()
		link := status.Link{From: 1, To: 2, State: "ok"}
		b := newBed(t, func(o *Options) {
			o.Links = func() []status.Link { return []status.Link{link} }
			o.Quorum = func(context.Context) (Quorum, error) {
				return Quorum{
					Leader: 2, Term: 7, CommitIndex: 40,
					Voters:    []QuorumMember{{ID: 2, LastIndex: 41, LastContact: heard, LastCaughtUp: heard}, {ID: 1, LastIndex: -1}},
					Observers: []QuorumMember{{ID: 3, LastIndex: 39}},
				}, nil
			}
		})
		p, resp := describeQuorum(b, 2, metadataTopic, 0)
		wantCode(t, "metadata log", p.ErrorCode, codeNone)
		if p.LeaderID != 2 || p.LeaderEpoch != 7 || p.HighWatermark != 40 || len(p.CurrentVoters) != 2 || len(p.Observers) != 1 {
			t.Errorf("%+v", p)
		}
		if v := p.CurrentVoters[0]; v.LogEndOffset != 41 || v.LastFetchTimestamp != heard.UnixMilli() {
			t.Errorf("voter 2: %+v", v)
		}
		if v := p.CurrentVoters[1]; v.LogEndOffset != -1 || v.LastFetchTimestamp != -1 {
			t.Errorf("voter 1: %+v, want unknowns", v)
		}
		if links := fromTag[[]status.Link](t, resp.UnknownTags, status.TagLinks); len(links) != 1 || links[0].To != 2 {
			t.Errorf("links %+v", links)
		}
	})
}
