package bench

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// PartitionState is who leads a partition and who is in sync.
type PartitionState struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"` // -1: none
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
}

// topicState is every partition of a topic, in order.
type topicState []PartitionState

// led reports whether every partition has a leader.
func (s topicState) led() bool {
	return len(s) > 0 && !slices.ContainsFunc(s, func(p PartitionState) bool { return p.Leader < 0 })
}

// full reports whether every replica is in sync.
func (s topicState) full() bool {
	return len(s) > 0 && !slices.ContainsFunc(s, func(p PartitionState) bool { return len(p.ISR) < len(p.Replicas) })
}

// smallest returns the size of the smallest in-sync set.
func (s topicState) smallest() int {
	n := 0
	for i, p := range s {
		if i == 0 || len(p.ISR) < n {
			n = len(p.ISR)
		}
	}
	return n
}

// inSync asks for the state of the topic.
func (t *target) inSync(ctx context.Context) (topicState, error) {
	metadata, err := t.admin.Metadata(ctx, t.topic)
	if err != nil {
		return nil, err
	}
	detail := metadata.Topics[t.topic]
	if detail.Err != nil {
		return nil, detail.Err
	}
	var state topicState
	for _, p := range detail.Partitions.Sorted() {
		state = append(state, partitionState(p))
	}
	return state, nil
}

func partitionState(p kadm.PartitionDetail) PartitionState {
	state := PartitionState{Partition: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR}
	slices.Sort(state.ISR) // brokers report it in any order
	if state.ISR == nil {
		state.ISR = []int32{}
	}
	if state.Replicas == nil {
		state.Replicas = []int32{}
	}
	return state
}

// sampleInterval is how often the in-sync sets are looked at under load.
const sampleInterval = time.Second

// sampler watches the in-sync sets while load runs: what was measured with a
// follower out is another thing than what was measured with all of them in.
type sampler struct {
	mu       sync.Mutex
	samples  int        // guarded by mu
	full     int        // guarded by mu; samples in which every replica was in sync
	smallest int        // guarded by mu; the smallest in-sync set ever seen
	last     topicState // guarded by mu
	events   []happened // guarded by mu; at most maxEvents
}

// watch samples until ctx ends. A sample that fails is left out.
func (s *sampler) watch(ctx context.Context, t *target) {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		if state, err := t.sample(ctx); err == nil {
			s.add(state, time.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sample asks for the state of the topic, and not for long: a broker that is
// frozen would hide what happens meanwhile.
func (t *target) sample(ctx context.Context) (topicState, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*sampleInterval)
	defer cancel()
	return t.inSync(ctx)
}

func (s *sampler) add(state topicState, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.samples == 0 || state.smallest() < s.smallest {
		s.smallest = state.smallest()
	}
	for _, e := range changes(s.last, state) {
		if len(s.events) < maxEvents {
			s.events = append(s.events, happened{Event: e, at: now})
		}
	}
	s.last = state
	s.samples++
	if state.full() {
		s.full++
	}
}

// result returns the share of samples with full in-sync sets and the smallest
// set seen; nil when there is no sample.
func (s *sampler) result() (fullShare *float64, smallest *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.samples == 0 {
		return nil, nil
	}
	share, n := float64(s.full)/float64(s.samples), s.smallest
	return &share, &n
}

// happened returns the changes that were seen.
func (s *sampler) happened() []happened {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events
}

// observer watches what happens beside the load, here and in the cluster.
type observer struct {
	isr     sampler
	stop    func() // stops the watching and waits for its end
	gcCount int64
	gcPause time.Duration
}

// observe begins to watch. end ends it.
func (t *target) observe(ctx context.Context) *observer {
	o := &observer{}
	o.gcCount, o.gcPause = gcClock()
	o.stop = background(ctx, func(ctx context.Context) { o.isr.watch(ctx, t) })
	return o
}

func (o *observer) end() {
	o.stop()
	count, pause := gcClock()
	o.gcCount, o.gcPause = count-o.gcCount, pause-o.gcPause
}
