package testcluster

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestQuorumIsDescribedByEveryBroker asks each broker for the metadata log's
// members: all of them are known, whoever is asked.
func TestQuorumIsDescribedByEveryBroker(t *testing.T) {
	t.Parallel()
	inWorld(t, pickSeed(t), 4, func(w *world) {
		w.progress(5*time.Second, 20)
		w.pass(2 * time.Second)
		client := w.client(kgo.RequestRetries(0))
		defer client.Close()
		for _, id := range w.c.Brokers() {
			req := kmsg.NewPtrDescribeQuorumRequest()
			asked := kmsg.NewDescribeQuorumRequestTopic()
			asked.Topic = "__cluster_metadata"
			asked.Partitions = []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}}
			req.Topics = append(req.Topics, asked)
			resp, err := req.RequestWith(w.t.Context(), client.Broker(int(id)))
			if err != nil {
				w.t.Fatal(err)
			}
			p := resp.Topics[0].Partitions[0]
			if p.ErrorCode != 0 || len(p.CurrentVoters) != 3 || len(p.Observers) != 1 {
				w.t.Errorf("broker %d: %+v", id, p)
			}
			for _, m := range append(p.CurrentVoters, p.Observers...) {
				if m.LogEndOffset <= 0 || m.LogEndOffset > p.HighWatermark+10 || m.LastCaughtUpTimestamp <= 0 {
					w.t.Errorf("broker %d: %+v, high watermark %d", id, m, p.HighWatermark)
				}
			}
		}
	})
}
