package api

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

func TestDeleteTopics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		for _, version := range versions(t, 20, 0) {
			name := fmt.Sprintf("topic-%d", version)
			b.topic(name, nil, []cluster.BrokerID{1})
			unknown := "nowhere"
			req := kmsg.NewPtrDeleteTopicsRequest()
			if version >= 6 {
				req.Topics = []kmsg.DeleteTopicsRequestTopic{
					{Topic: &name}, {Topic: &unknown}, {TopicID: cluster.UUID{9}}, {Topic: &name, TopicID: topicID(name)},
				}
			} else {
				req.TopicNames = []string{name, unknown}
			}
			resp := ask[*kmsg.DeleteTopicsResponse](b, req, version)
			want := []code{codeNone, codeUnknownTopicOrPartition, codeUnknownTopicID, codeInvalidRequest}
			for i, answer := range resp.Topics {
				wantCode(t, fmt.Sprintf("v%d topic %d", version, i), answer.ErrorCode, want[i])
			}
			if got := resp.Topics[0]; text(got.Topic) != name || version >= 6 && got.TopicID != topicID(name) {
				t.Errorf("v%d: deleted %q %x", version, text(got.Topic), got.TopicID)
			}
			if _, ok := b.Image().Topic(name); ok {
				t.Errorf("v%d: the topic is still there", version)
			}
			if n := len(b.parts.Replicas()); n != 0 {
				t.Errorf("v%d: %d replicas are still here", version, n)
			}
		}
	})
}

func TestDeleteTopicByID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: topicID("orders")}}
		answer := only(t, ask[*kmsg.DeleteTopicsResponse](b, req, 6).Topics)
		wantCode(t, "by id", answer.ErrorCode, codeNone)
		if text(answer.Topic) != "orders" {
			t.Errorf("deleted %q, want orders", text(answer.Topic))
		}
	})
}

func TestDeleteTopicsTellsTheControllersRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.adminer = func(context.Context) error { return ErrNoController }
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TopicNames = []string{"orders"}
		wantCode(t, "no controller", ask[*kmsg.DeleteTopicsResponse](b, req, 5).Topics[0].ErrorCode, codeNotController)
	})
}
