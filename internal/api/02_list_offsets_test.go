package api

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

// listOffset asks for one offset of orders-0.
func listOffset(b *bed, version int16, timestamp int64, change ...func(*kmsg.ListOffsetsRequest)) kmsg.ListOffsetsResponseTopicPartition {
	b.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = timestamp
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "orders", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
	for _, f := range change {
		f(req)
	}
	resp := ask[*kmsg.ListOffsetsResponse](b, req, version)
	return only(b.t, only(b.t, resp.Topics).Partitions)
}

func TestListOffsets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		timestamp int64
		offset    int64
		at        int64
		epoch     int32
		want      code
	}{
		{name: "latest", timestamp: -1, offset: 5, at: -1, epoch: 0},
		{name: "earliest", timestamp: -2, offset: 0, at: -1, epoch: 0},
		{name: "largest timestamp", timestamp: -3, offset: 2, at: 1002, epoch: 0},
		{name: "earliest local", timestamp: -4, offset: 0, at: -1, epoch: 0},
		{name: "latest tiered", timestamp: -5, offset: -1, at: -1, epoch: -1},
		{name: "no such meaning", timestamp: -6, offset: -1, at: -1, epoch: -1, want: codeUnsupportedVersion},
		{name: "by time, before all", timestamp: 0, offset: 0, at: 1000, epoch: 0},
		{name: "by time", timestamp: 1001, offset: 1, at: 1001, epoch: 0},
		{name: "by time, after all", timestamp: 5000, offset: -1, at: -1, epoch: -1},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.produce("orders", 0, batch(3)) // 1000 to 1002
		b.produce("orders", 0, batch(2)) // 1000 and 1001
		for _, version := range versions(t, 2, 0) {
			for _, tt := range tests {
				p := listOffset(b, version, tt.timestamp)
				what := fmt.Sprintf("v%d %s", version, tt.name)
				wantCode(t, what, p.ErrorCode, tt.want)
				if p.Offset != tt.offset || p.Timestamp != tt.at {
					t.Errorf("%s: offset %d at %d, want %d at %d", what, p.Offset, p.Timestamp, tt.offset, tt.at)
				}
				if version >= 4 && p.LeaderEpoch != tt.epoch {
					t.Errorf("%s: epoch %d, want %d", what, p.LeaderEpoch, tt.epoch)
				}
			}
		}
	})
}

func TestListOffsetsFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*kmsg.ListOffsetsRequest)
		want   code
	}{
		{name: "unknown topic", want: codeUnknownTopicOrPartition, change: func(r *kmsg.ListOffsetsRequest) { r.Topics[0].Topic = "nowhere" }},
		{name: "unknown partition", want: codeUnknownTopicOrPartition, change: func(r *kmsg.ListOffsetsRequest) { r.Topics[0].Partitions[0].Partition = 9 }},
		{name: "not the leader", want: codeNotLeaderOrFollower, change: func(r *kmsg.ListOffsetsRequest) { r.Topics[0].Topic = "followed" }},
		{name: "older epoch", want: codeFencedLeaderEpoch, change: func(r *kmsg.ListOffsetsRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 0 }},
		{name: "newer epoch", want: codeUnknownLeaderEpoch, change: func(r *kmsg.ListOffsetsRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 9 }},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2})
		b.topic("followed", nil, []cluster.BrokerID{2, 1})
		b.lead("orders", 0, 2)
		b.lead("orders", 0, 1)
		for _, tt := range tests {
			p := listOffset(b, 8, -1, tt.change)
			wantCode(t, tt.name, p.ErrorCode, tt.want)
			if p.Offset != -1 {
				t.Errorf("%s: offset %d, want -1", tt.name, p.Offset)
			}
		}
	})
}

// A new leader may know less of the high watermark than clients were told by
// the old one: until it knows better, the end of the log must not seem to move
// backwards (K15).
func TestANewLeaderDoesNotGuessTheHighWatermark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2})
		b.produce("orders", 0, batch(3))
		b.lead("orders", 0, 2)
		b.lead("orders", 0, 1)
		for _, version := range versions(t, 2, 0) {
			want := codeOffsetNotAvailable
			if version < firstOffsetNotAvailable {
				want = codeLeaderNotAvailable
			}
			for _, timestamp := range []int64{-1, -3, 1000} {
				wantCode(t, fmt.Sprintf("v%d %d", version, timestamp), listOffset(b, version, timestamp).ErrorCode, want)
			}
			wantCode(t, fmt.Sprintf("v%d earliest", version), listOffset(b, version, -2).ErrorCode, codeNone)
		}
		b.acked("orders", 0, 2, 3)
		p := listOffset(b, 8, -1)
		wantCode(t, "once the follower has it all", p.ErrorCode, codeNone)
		if p.Offset != 3 {
			t.Errorf("offset %d, want 3", p.Offset)
		}
	})
}
