package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

func createRequest(name string, partitions int32, replicas int16) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, replicas
	req.Topics = append(req.Topics, topic)
	req.TimeoutMillis = 2000
	return req
}

func TestCreateTopics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		for _, version := range versions(t, 19, 0) {
			name := fmt.Sprintf("topic-%d", version)
			req := createRequest(name, 2, 3)
			value := "1000"
			req.Topics[0].Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: cluster.ConfigRetentionMillis, Value: &value}}
			resp := ask[*kmsg.CreateTopicsResponse](b, req, version)
			answer := only(t, resp.Topics)
			wantCode(t, name, answer.ErrorCode, codeNone)
			topic, ok := b.Image().Topic(name)
			if !ok || len(topic.Partitions) != 2 || topic.Configs[cluster.ConfigRetentionMillis] != "1000" {
				t.Fatalf("%s is %+v in the image", name, topic)
			}
			if _, ok := b.parts.Get(topic.TopicPartition(0)); !ok {
				t.Errorf("%s has no replica here although the answer is there", name)
			}
			if version >= 5 {
				if answer.NumPartitions != 2 || answer.ReplicationFactor != 3 {
					t.Errorf("%s: told %d partitions with %d replicas, want 2 with 3", name, answer.NumPartitions, answer.ReplicationFactor)
				}
				for _, c := range answer.Configs {
					if set := c.Source == int8(kmsg.ConfigSourceDynamicTopicConfig); set != (c.Name == cluster.ConfigRetentionMillis) {
						t.Errorf("%s: %s=%s has source %d", name, c.Name, text(c.Value), c.Source)
					}
				}
			}
			if version >= 7 && answer.TopicID != topic.ID {
				t.Errorf("%s: topic id %x, want %x", name, answer.TopicID, topic.ID)
			}
		}
	})
}

func TestCreateTopicsDefaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) { o.DefaultPartitions = 4 })
		ask[*kmsg.CreateTopicsResponse](b, createRequest("three", -1, -1), 7)
		b.fence(3)
		ask[*kmsg.CreateTopicsResponse](b, createRequest("two", -1, -1), 7)
		for name, replicas := range map[string]int{"three": 3, "two": 2} {
			topic, ok := b.Image().Topic(name)
			if !ok || len(topic.Partitions) != 4 || topic.ReplicationFactor() != replicas {
				t.Errorf("%s: %+v, want 4 partitions with %d replicas", name, topic, replicas)
			}
		}
	})
}

func TestCreateTopicsRefusals(t *testing.T) {
	t.Parallel()
	config := func(name string, value *string) func(*kmsg.CreateTopicsRequest) {
		return func(r *kmsg.CreateTopicsRequest) {
			r.Topics[0].Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: name, Value: value}}
		}
	}
	assign := func(partitions int32, assignments ...kmsg.CreateTopicsRequestTopicReplicaAssignment) func(*kmsg.CreateTopicsRequest) {
		return func(r *kmsg.CreateTopicsRequest) {
			r.Topics[0].NumPartitions, r.Topics[0].ReplicationFactor = partitions, -1
			r.Topics[0].ReplicaAssignment = assignments
		}
	}
	to := func(partition int32, replicas ...int32) kmsg.CreateTopicsRequestTopicReplicaAssignment {
		return kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: partition, Replicas: replicas}
	}
	nonsense := "nonsense"
	tests := []struct {
		name       string
		topic      string
		partitions int32
		replicas   int16
		change     func(*kmsg.CreateTopicsRequest)
		fails      error
		want       code
		says       string
	}{
		{name: "exists", topic: "orders", partitions: 1, replicas: 1, want: codeTopicAlreadyExists},
		{name: "invalid name", topic: "a b", partitions: 1, replicas: 1, want: codeInvalidTopic, says: "a b"},
		{name: "reserved name", topic: metadataTopic, partitions: 1, replicas: 1, want: codeInvalidTopic, says: "reserved"},
		{name: "no partitions", topic: "new", replicas: 1, want: codeInvalidPartitions, says: "0 partitions"},
		{name: "too many partitions", topic: "new", partitions: 10_001, replicas: 1, want: codeInvalidPartitions},
		{name: "more replicas than brokers", topic: "new", partitions: 1, replicas: 4, want: codeInvalidReplicationFactor, says: "3 brokers"},
		{name: "no replicas", topic: "new", partitions: 1, want: codeInvalidReplicationFactor},
		{name: "unknown configuration", topic: "new", partitions: 1, replicas: 1, change: config("no.such", &nonsense), want: codeInvalidConfig, says: "no.such"},
		{name: "bad value", topic: "new", partitions: 1, replicas: 1, change: config(cluster.ConfigRetentionBytes, &nonsense), want: codeInvalidConfig},
		{name: "null value", topic: "new", partitions: 1, replicas: 1, change: config(cluster.ConfigRetentionBytes, nil), want: codeInvalidConfig},
		{name: "assignment and partitions", topic: "new", change: assign(1, to(0, 1)), want: codeInvalidRequest},
		{name: "assignment with a hole", topic: "new", change: assign(-1, to(1, 1)), want: codeInvalidReplicaAssignment},
		{name: "partition assigned twice", topic: "new", change: assign(-1, to(0, 1), to(0, 2)), want: codeInvalidReplicaAssignment},
		{name: "assigned to an unknown broker", topic: "new", change: assign(-1, to(0, 9)), want: codeInvalidReplicaAssignment, says: "broker 9"},
		{name: "assigned to nobody", topic: "new", change: assign(-1, to(0)), want: codeInvalidReplicaAssignment},
		{name: "no controller", topic: "new", partitions: 1, replicas: 1, fails: ErrNoController, want: codeNotController},
		{name: "unknown failure", topic: "new", partitions: 1, replicas: 1, fails: errors.New("broken"), want: codeUnknownServerError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.topic("orders", nil, []cluster.BrokerID{1})
				b.adminer = func(context.Context) error { return tt.fails }
				req := createRequest(tt.topic, tt.partitions, tt.replicas)
				if tt.change != nil {
					tt.change(req)
				}
				answer := only(t, ask[*kmsg.CreateTopicsResponse](b, req, 7).Topics)
				wantCode(t, tt.name, answer.ErrorCode, tt.want)
				if got := text(answer.ErrorMessage); got == "" || !strings.Contains(got, tt.says) {
					t.Errorf("message %q, want %q in it", got, tt.says)
				}
				if _, ok := b.Image().Topic("new"); ok {
					t.Error("the topic was created")
				}
			})
		})
	}
}

func TestATopicNamedTwiceIsNotCreated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		req := createRequest("twice", 1, 1)
		req.Topics = append(req.Topics, req.Topics[0], createRequest("once", 1, 1).Topics[0])
		resp := ask[*kmsg.CreateTopicsResponse](b, req, 7)
		for i, want := range []code{codeInvalidRequest, codeInvalidRequest, codeNone} {
			wantCode(t, resp.Topics[i].Topic, resp.Topics[i].ErrorCode, want)
		}
	})
}

func TestValidateOnlyCreatesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		req := createRequest("new", 3, 2)
		req.ValidateOnly = true
		answer := only(t, ask[*kmsg.CreateTopicsResponse](b, req, 7).Topics)
		wantCode(t, "valid", answer.ErrorCode, codeNone)
		if answer.NumPartitions != 3 || answer.ReplicationFactor != 2 || answer.TopicID != cluster.ZeroUUID {
			t.Errorf("preview %+v, want 3 partitions, 2 replicas and no id", answer)
		}
		if _, ok := b.Image().Topic("new"); ok {
			t.Error("the topic was created")
		}
	})
}

func TestCreateTopicsEndsWithItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.adminer = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		answer := only(t, ask[*kmsg.CreateTopicsResponse](b, createRequest("new", 1, 1), 7).Topics)
		wantCode(t, "no answer from the controller", answer.ErrorCode, codeRequestTimedOut)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("answered after %v, want the request's 2 s", took)
		}
	})
}

// Whoever is told that a topic exists may produce to it at once.
func TestCreateTopicsWaitsForTheReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.late = 300 * time.Millisecond
		began := time.Now()
		answer := only(t, ask[*kmsg.CreateTopicsResponse](b, createRequest("new", 1, 1), 7).Topics)
		wantCode(t, "create", answer.ErrorCode, codeNone)
		if took := time.Since(began); took != b.late {
			t.Errorf("answered after %v, want the %v that the replicas take", took, b.late)
		}
		b.produce("new", 0, batch(1))
	})
}
