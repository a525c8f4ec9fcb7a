package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

func metadataRequest(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	for i := range names {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &names[i]})
	}
	return req
}

func TestMetadataTellsTheImage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) { o.Controller = func() cluster.BrokerID { return 2 } })
		b.topic("orders", nil, []cluster.BrokerID{1, 2, 3}, []cluster.BrokerID{3, 1, 2})
		b.topic("alone", nil, []cluster.BrokerID{3})
		b.fence(3) // the only replica of alone, the leader of orders-1
		for _, version := range versions(t, 3, 0) {
			resp := ask[*kmsg.MetadataResponse](b, metadataRequest("orders", "alone"), version)
			what := fmt.Sprintf("v%d", version)
			if version >= 1 && resp.ControllerID != 2 {
				t.Errorf("%s: controller %d, want 2", what, resp.ControllerID)
			}
			if version >= 2 && text(resp.ClusterID) != "test-cluster" {
				t.Errorf("%s: cluster id %q", what, text(resp.ClusterID))
			}
			if len(resp.Brokers) != 2 || resp.Brokers[1].NodeID != 2 || resp.Brokers[1].Host != "host-2" || resp.Brokers[1].Port != 9092 {
				t.Errorf("%s: brokers %+v, want 1 and 2 but not 3, which is fenced", what, resp.Brokers)
			}
			orders := resp.Topics[0]
			wantCode(t, what+" orders", orders.ErrorCode, codeNone)
			if version >= 10 && orders.TopicID != topicID("orders") {
				t.Errorf("%s: topic id %x", what, orders.TopicID)
			}
			p := orders.Partitions[1]
			wantCode(t, what+" orders-1", p.ErrorCode, codeNone)
			if p.Leader != 1 || !slices.Equal(p.Replicas, []int32{3, 1, 2}) || !slices.Equal(p.ISR, []int32{1, 2}) {
				t.Errorf("%s: orders-1 %+v, want leader 1, replicas 3 1 2, in sync 1 2", what, p)
			}
			if version >= 5 && !slices.Equal(p.OfflineReplicas, []int32{3}) {
				t.Errorf("%s: offline replicas %v, want 3", what, p.OfflineReplicas)
			}
			if version >= 7 && p.LeaderEpoch != 1 {
				t.Errorf("%s: leader epoch %d, want 1 after one change of leader", what, p.LeaderEpoch)
			}
			p = resp.Topics[1].Partitions[0]
			wantCode(t, what+" alone-0", p.ErrorCode, codeLeaderNotAvailable)
			if p.Leader != -1 {
				t.Errorf("%s: alone-0 is led by %d, want nobody", what, p.Leader)
			}
		}
	})
}

// TestMetadataOfALeaderWithoutLease: a broker sends nobody to itself while it does
// not serve, and says nothing against others.
func TestMetadataOfALeaderWithoutLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2, 3}, []cluster.BrokerID{2, 3, 1})
		leads := func(what string, partition int, leader, epoch int32, want code) {
			t.Helper()
			p := ask[*kmsg.MetadataResponse](b, metadataRequest("orders"), 12).Topics[0].Partitions[partition]
			wantCode(t, what, p.ErrorCode, want)
			if p.Leader != leader || p.LeaderEpoch != epoch {
				t.Errorf("%s: broker %d leads epoch %d, want %d and %d", what, p.Leader, p.LeaderEpoch, leader, epoch)
			}
		}
		b.parts.ControllerHeard()
		leads("orders-0", 0, 1, 0, codeNone)
		time.Sleep(testLease + time.Second)
		leads("orders-0 without a lease", 0, -1, 0, codeLeaderNotAvailable)
		leads("orders-1, which another leads", 1, 2, 0, codeNone)
		b.parts.ControllerHeard()
		time.Sleep(time.Second)
		leads("orders-0 with a new lease", 0, 1, 0, codeNone)
		// Its successor was heard from before the metadata log told.
		tp := b.replica("orders", 0).TP()
		if _, err := b.parts.OpenFollow(partition.OpenRequest{Leader: 3, TP: tp, Epoch: 1, Session: 1}); err != nil {
			t.Fatal(err)
		}
		leads("orders-0 of a successor", 0, -1, 0, codeLeaderNotAvailable)
	})
}

func TestMetadataSelectsTopics(t *testing.T) {
	t.Parallel()
	none := []kmsg.MetadataRequestTopic{}
	byID := func(id cluster.UUID) []kmsg.MetadataRequestTopic {
		return []kmsg.MetadataRequestTopic{{TopicID: id}}
	}
	tests := []struct {
		name    string
		version int16
		topics  []kmsg.MetadataRequestTopic
		want    []string
		code    code
	}{
		{name: "v0 empty is all", version: 0, topics: none, want: []string{"a", "b"}},
		{name: "v1 empty is none", version: 1, topics: none, want: nil},
		{name: "v1 null is all", version: 1, topics: nil, want: []string{"a", "b"}},
		{name: "v13 null is all", version: 13, topics: nil, want: []string{"a", "b"}},
		{name: "by name", version: 9, topics: metadataRequest("b").Topics, want: []string{"b"}},
		{name: "unknown name", version: 9, topics: metadataRequest("c").Topics, want: []string{"c"}, code: codeUnknownTopicOrPartition},
		{name: "invalid name", version: 9, topics: metadataRequest("c/d").Topics, want: []string{"c/d"}, code: codeInvalidTopic},
		{name: "by id", version: 12, topics: byID(topicID("b")), want: []string{"b"}},
		{name: "unknown id", version: 12, topics: byID(cluster.UUID{9}), want: []string{""}, code: codeUnknownTopicID},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("b", nil, []cluster.BrokerID{1})
		b.topic("a", nil, []cluster.BrokerID{1})
		for _, tt := range tests {
			req := kmsg.NewPtrMetadataRequest()
			req.Topics = tt.topics
			resp := ask[*kmsg.MetadataResponse](b, req, tt.version)
			var got []string
			for _, topic := range resp.Topics {
				got = append(got, text(topic.Topic))
				wantCode(t, tt.name, topic.ErrorCode, tt.code)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s: topics %q, want %q", tt.name, got, tt.want)
			}
		}
	})
}

func TestMetadataCreatesTopicsWhenBothSidesAllowIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		server  bool
		client  bool
		version int16
		topic   string
		fails   error
		want    code
		created bool
	}{
		{name: "both allow", server: true, client: true, version: 12, topic: "new", want: codeNone, created: true},
		{name: "client without a choice", server: true, version: 3, topic: "new", want: codeNone, created: true},
		{name: "client forbids", server: true, version: 12, topic: "new", want: codeUnknownTopicOrPartition},
		{name: "server forbids", client: true, version: 12, topic: "new", want: codeUnknownTopicOrPartition},
		{name: "invalid name", server: true, client: true, version: 12, topic: "a b", want: codeInvalidTopic},
		{name: "reserved name", server: true, client: true, version: 12, topic: metadataTopic, want: codeUnknownTopicOrPartition},
		{name: "no controller", server: true, client: true, version: 12, topic: "new", fails: ErrNoController, want: codeNotController},
		{name: "unknown outcome", server: true, client: true, version: 12, topic: "new", fails: context.DeadlineExceeded, want: codeRequestTimedOut},
		{name: "unknown failure", server: true, client: true, version: 12, topic: "new", fails: errors.New("broken"), want: codeUnknownServerError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, func(o *Options) { o.AutoCreateTopics, o.DefaultPartitions = tt.server, 2 })
				b.adminer = func(context.Context) error { return tt.fails }
				req := metadataRequest(tt.topic)
				req.AllowAutoTopicCreation = tt.client
				resp := ask[*kmsg.MetadataResponse](b, req, tt.version)
				wantCode(t, tt.topic, resp.Topics[0].ErrorCode, tt.want)
				topic, created := b.Image().Topic(tt.topic)
				if created != tt.created {
					t.Errorf("created: %v, want %v", created, tt.created)
				}
				if created && (len(topic.Partitions) != 2 || topic.ReplicationFactor() != 3) {
					t.Errorf("%d partitions with %d replicas, want 2 with 3", len(topic.Partitions), topic.ReplicationFactor())
				}
			})
		})
	}
}

// Creating a topic needs consensus, and consensus may need this connection: the
// reader must be free while it goes on, and the wait must end.
func TestMetadataDoesNotWaitForConsensusOnTheReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) { o.AutoCreateTopics = true })
		b.adminer = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		req := metadataRequest("new")
		req.AllowAutoTopicCreation = true
		began := time.Now()
		reply, err := b.begin(req, 12)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Handle took %v", took)
		}
		resp := b.finish(reply, req).(*kmsg.MetadataResponse)
		wantCode(t, "new", resp.Topics[0].ErrorCode, codeRequestTimedOut)
		if took := time.Since(began); took != autoCreateTimeout {
			t.Errorf("answered after %v, want %v", took, autoCreateTimeout)
		}
	})
}
