package bench

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Followers answer with the leader's batches, or with all but the first.
func TestReplicasAreCompared(t *testing.T) {
	t.Parallel()
	for name, skipped := range map[string]int{"equal": 0, "one lacks a batch": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			cfg := Target{Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, Partitions: 1, Replicas: 3}.withDefaults()
			target, err := openTarget(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = target.close(context.Background()) })
			for range 3 {
				rec := &kgo.Record{Topic: target.topic, Partition: 0, Value: []byte("value")}
				if err := target.client.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			state, err := target.inSync(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			batches := leaderBatches(t, target, state[0].Leader)
			cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if node := cluster.CurrentNode(); node != state[0].Leader {
					skip := skipped
					if node != state[0].Replicas[len(state[0].Replicas)-1] && node != state[0].Replicas[0] {
						skip = 0 // one follower is as it should be
					}
					return followerAnswer(req.(*kmsg.FetchRequest), batches[skip:]), nil, true
				}
				return nil, nil, false
			})
			check := target.compareReplicas(t.Context())
			if want := skipped == 0; check.OK != want || (len(check.Diverged) == 0) != want || check.Replicas != 3 || len(check.Unread) > 0 {
				t.Errorf("got %+v", check)
			}
		})
	}
}

// leaderBatches are the leader's, one a record.
func leaderBatches(t *testing.T, target *target, leader int32) [][]byte {
	t.Helper()
	var batches [][]byte
	for offset := range int64(3) {
		req := kmsg.NewPtrFetchRequest()
		req.SessionEpoch, req.MaxBytes, req.ReplicaID = -1, 1, -1
		metadata, err := askMetadata(t.Context(), target.client.Broker(int(leader)), target.topic)
		if err != nil {
			t.Fatal(err)
		}
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic, topic.TopicID = target.topic, metadata.Topics[0].TopicID
		part := kmsg.NewFetchRequestTopicPartition()
		part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = offset, 1, -1
		topic.Partitions = append(topic.Partitions, part)
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(t.Context(), target.client.Broker(int(leader)))
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, resp.Topics[0].Partitions[0].RecordBatches)
	}
	return batches
}

func followerAnswer(req *kmsg.FetchRequest, batches [][]byte) *kmsg.FetchResponse {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	topic := kmsg.NewFetchResponseTopic()
	topic.Topic, topic.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
	part := kmsg.NewFetchResponseTopicPartition()
	for _, b := range batches {
		part.RecordBatches = append(part.RecordBatches, b...)
	}
	topic.Partitions = append(topic.Partitions, part)
	resp.Topics = append(resp.Topics, topic)
	return resp
}
