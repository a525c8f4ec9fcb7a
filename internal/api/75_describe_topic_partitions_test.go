package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

func TestDescribeTopicPartitionsShowsEligibleLeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2, 3})
		b.fence(3)
		b.fence(2) // below the minimum of two: 2 stays eligible
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "orders"}}
		topic := only(t, ask[*kmsg.DescribeTopicPartitionsResponse](b, req, 0).Topics)
		p := only(t, topic.Partitions)
		wantCode(t, "orders-0", p.ErrorCode, codeNone)
		if p.LeaderID != 1 || !slices.Equal(p.ISR, []int32{1}) || !slices.Equal(p.EligibleLeaderReplicas, []int32{2}) ||
			!slices.Equal(p.OfflineReplicas, []int32{2, 3}) || !slices.Equal(p.Replicas, []int32{1, 2, 3}) {
			t.Errorf("%+v, want leader 1, in sync 1, eligible 2, offline 2 and 3", p)
		}
		if topic.TopicID != topicID("orders") {
			t.Errorf("topic id %x", topic.TopicID)
		}
	})
}

func TestDescribeTopicPartitionsInPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		one := []cluster.BrokerID{1}
		b.topic("c", nil, one)
		b.topic("a", nil, one, one, one)
		b.topic("b", nil, one, one)
		for _, tt := range []struct {
			name  string
			limit int32
			names []string
			want  string
		}{
			{name: "all at once", limit: 100, want: "a0 a1 a2 b0 b1 c0"},
			{name: "no limit", limit: 0, want: "a0 a1 a2 b0 b1 c0"},
			{name: "two by two", limit: 2, want: "a0 a1 | a2 b0 | b1 c0"},
			{name: "three by three", limit: 3, want: "a0 a1 a2 | b0 b1 c0"},
			{name: "one by one", limit: 1, want: "a0 | a1 | a2 | b0 | b1 | c0"},
			{name: "some, sorted, once each", limit: 2, names: []string{"c", "b", "x", "b"}, want: "b0 b1 | c0 x!3"},
			{name: "an invalid name", limit: 2, names: []string{"c d"}, want: "c d!17"},
		} {
			var pages []string
			var cursor *kmsg.DescribeTopicPartitionsRequestCursor
			for range 10 {
				req := kmsg.NewPtrDescribeTopicPartitionsRequest()
				req.ResponsePartitionLimit, req.Cursor = tt.limit, cursor
				for _, name := range tt.names {
					req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
				}
				resp := ask[*kmsg.DescribeTopicPartitionsResponse](b, req, 0)
				pages = append(pages, page(resp))
				if resp.NextCursor == nil {
					break
				}
				cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
			}
			if got := strings.Join(pages, " | "); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
	})
}

// page writes a response as "topic and partition", or "topic!code".
func page(resp *kmsg.DescribeTopicPartitionsResponse) string {
	var parts []string
	for _, topic := range resp.Topics {
		if topic.ErrorCode != 0 {
			parts = append(parts, fmt.Sprintf("%s!%d", text(topic.Topic), topic.ErrorCode))
		}
		for _, p := range topic.Partitions {
			parts = append(parts, fmt.Sprintf("%s%d", text(topic.Topic), p.Partition))
		}
	}
	return strings.Join(parts, " ")
}

func TestACursorBehindTheEndIsHarmless(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("a", nil, []cluster.BrokerID{1})
		for _, cursor := range []kmsg.DescribeTopicPartitionsRequestCursor{
			{Topic: "a", Partition: 99}, {Topic: "a", Partition: -7}, {Topic: "zzz"}, {Topic: ""},
		} {
			req := kmsg.NewPtrDescribeTopicPartitionsRequest()
			req.Cursor = &cursor
			resp := ask[*kmsg.DescribeTopicPartitionsResponse](b, req, 0)
			if resp.NextCursor != nil {
				t.Errorf("cursor %+v: next cursor %+v, want none", cursor, resp.NextCursor)
			}
		}
	})
}
