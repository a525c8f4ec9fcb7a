package bench

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// viewInterval is how often each broker is asked, and so how exact the times
	// are that it knew something.
	viewInterval = 10 * time.Millisecond
	viewTimeout  = 500 * time.Millisecond
)

// view is what one broker says of a leader that fails.
type view struct {
	broker int32
	victim int32

	mu      sync.Mutex
	missing map[int32]time.Time // guarded by mu; by partition: first said to have no leader, or the victim not in sync
	moved   map[int32]moved     // guarded by mu; by partition: first said to have another leader
}

// moved is a leader that a broker has heard of.
type moved struct {
	at     time.Time
	leader int32
}

func newView(broker, victim int32) *view {
	return &view{broker: broker, victim: victim, missing: map[int32]time.Time{}, moved: map[int32]moved{}}
}

// watch asks the broker until ctx ends. A question without an answer is left out.
func (v *view) watch(ctx context.Context, t *target) {
	tick := time.NewTicker(viewInterval)
	defer tick.Stop()
	for {
		if resp, err := askMetadata(ctx, t.client.Broker(int(v.broker)), t.topic); err == nil && len(resp.Topics) == 1 {
			v.see(resp.Topics[0].Partitions, time.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func askMetadata(ctx context.Context, broker *kgo.Broker, topic string) (*kmsg.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, viewTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	named := kmsg.NewMetadataRequestTopic()
	named.Topic = &topic
	req.Topics = append(req.Topics, named)
	return req.RequestWith(ctx, broker)
}

func (v *view) see(partitions []kmsg.MetadataResponseTopicPartition, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range partitions {
		_, was := v.missing[p.Partition]
		if !was && (p.Leader != v.victim || !slices.Contains(p.ISR, v.victim)) {
			v.missing[p.Partition] = now
		}
		if _, was := v.moved[p.Partition]; !was && p.Leader >= 0 && p.Leader != v.victim {
			v.moved[p.Partition] = moved{at: now, leader: p.Leader}
		}
	}
}

// others lists the brokers but one.
func (t *target) others(ctx context.Context, but int32) []int32 {
	metadata, err := t.admin.BrokerMetadata(ctx)
	if err != nil {
		t.warn("the brokers could not be listed: who knew of the new leader and when is not known: %v", err)
		return nil
	}
	return slices.DeleteFunc(metadata.Brokers.NodeIDs(), func(id int32) bool { return id == but })
}
