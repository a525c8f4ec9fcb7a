package testcluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// watchEvery is how often brokers are asked what they believe.
const watchEvery = 100 * time.Millisecond

// watch asks leaders for the latest offsets, and every broker for its metadata.
type watch struct {
	w       *world
	clients []*kgo.Client
	cancel  context.CancelFunc
	ended   sync.WaitGroup
}

func newWatch(w *world) *watch {
	wa := &watch{w: w}
	ctx, cancel := context.WithCancel(context.Background())
	wa.cancel = cancel
	leaders := w.client(kgo.RequestRetries(0))
	wa.clients = append(wa.clients, leaders)
	wa.ended.Go(func() { every(ctx, func(ctx context.Context) { wa.latest(ctx, leaders) }) })
	for _, id := range w.c.Brokers() {
		client := w.client(kgo.RequestRetries(0))
		wa.clients = append(wa.clients, client)
		wa.ended.Go(func() { every(ctx, func(ctx context.Context) { wa.view(ctx, client, int32(id)) }) })
	}
	return wa
}

// every asks again and again until ctx ends; one question takes a second at
// most.
func every(ctx context.Context, ask func(context.Context)) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		question, cancel := context.WithTimeout(ctx, time.Second)
		ask(question)
		cancel()
	}
}

// latest asks the leaders for the latest offset of each partition.
func (wa *watch) latest(ctx context.Context, client *kgo.Client) {
	for p := range int32(partitions) {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID = -1
		asked := kmsg.NewListOffsetsRequestTopicPartition()
		asked.Partition, asked.Timestamp, asked.CurrentLeaderEpoch = p, -1, -1
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{asked}}}
		resp, err := req.RequestWith(ctx, client)
		if err != nil || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			continue // nobody leads, or nobody answers
		}
		if got := resp.Topics[0].Partitions[0]; got.ErrorCode == 0 {
			wa.w.h.Latest(p, got.LeaderEpoch, got.Offset)
		}
	}
}

// view asks one broker for its metadata.
func (wa *watch) view(ctx context.Context, client *kgo.Client, broker int32) {
	run := wa.w.run(broker)
	req := kmsg.NewPtrMetadataRequest()
	name := topic
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	resp, err := req.RequestWith(ctx, client.Broker(int(broker)))
	if err != nil || run != wa.w.run(broker) || len(resp.Topics) != 1 {
		return // it is down, or was restarted meanwhile
	}
	for _, p := range resp.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil && !errors.Is(err, kerr.LeaderNotAvailable) {
			wa.w.h.Complain("H8: broker %d, partition %d: %v", broker, p.Partition, err)
			continue
		}
		wa.w.h.Viewed(p.Partition, View{
			Broker: broker, Run: run, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: p.Replicas, ISR: p.ISR,
		})
	}
}

func (wa *watch) stop() {
	wa.cancel()
	wa.ended.Wait()
}

func (wa *watch) close() {
	wa.stop()
	for _, client := range wa.clients {
		client.Close()
	}
}
