package api

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

func TestOffsetForLeaderEpoch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		topic   string
		current int32
		epoch   int32
		want    code
		wantIs  int32 // the epoch in the answer
		end     int64
	}{
		{name: "an epoch that ended", topic: "orders", current: -1, epoch: 0, wantIs: 0, end: 2},
		{name: "an epoch that wrote nothing here", topic: "orders", current: -1, epoch: 1, wantIs: 0, end: 2},
		{name: "the current epoch", topic: "orders", current: 2, epoch: 2, wantIs: 2, end: 5},
		{name: "an epoch to come", topic: "orders", current: -1, epoch: 7, wantIs: -1, end: -1},
		{name: "none", topic: "orders", current: -1, epoch: -1, wantIs: -1, end: -1},
		{name: "client in an older epoch", topic: "orders", current: 1, epoch: 0, want: codeFencedLeaderEpoch, wantIs: -1, end: -1},
		{name: "client in a newer epoch", topic: "orders", current: 5, epoch: 0, want: codeUnknownLeaderEpoch, wantIs: -1, end: -1},
		{name: "not the leader", topic: "followed", current: -1, epoch: 0, want: codeNotLeaderOrFollower, wantIs: -1, end: -1},
		{name: "unknown topic", topic: "nowhere", current: -1, epoch: 0, want: codeUnknownTopicOrPartition, wantIs: -1, end: -1},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2})
		b.topic("followed", nil, []cluster.BrokerID{2, 1})
		b.produce("orders", 0, batch(2))
		b.lead("orders", 0, 2)
		b.lead("orders", 0, 1)
		b.produce("orders", 0, batch(3))
		for _, version := range versions(t, 23, 0) {
			for _, tt := range tests {
				req := kmsg.NewPtrOffsetForLeaderEpochRequest()
				p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
				p.CurrentLeaderEpoch, p.LeaderEpoch = tt.current, tt.epoch
				req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: tt.topic, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
				resp := ask[*kmsg.OffsetForLeaderEpochResponse](b, req, version)
				got := only(t, only(t, resp.Topics).Partitions)
				what := fmt.Sprintf("v%d %s", version, tt.name)
				wantCode(t, what, got.ErrorCode, tt.want)
				if got.LeaderEpoch != tt.wantIs || got.EndOffset != tt.end {
					t.Errorf("%s: epoch %d ends at %d, want epoch %d, %d", what, got.LeaderEpoch, got.EndOffset, tt.wantIs, tt.end)
				}
			}
		}
	})
}
