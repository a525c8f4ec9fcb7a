package cluster

import (
	"errors"
	"slices"
	"testing"
)

// uuid is a recognisable identifier for tests.
func uuid(n byte) UUID { return UUID{0: 1, 15: n} }

// history applies commands one after the other at indexes 1, 2, 3 and so on.
type history struct {
	t   *testing.T
	img *Image
}

func newHistory(t *testing.T) *history {
	t.Helper()
	return &history{t: t, img: NewImage()}
}

func (h *history) apply(cmd Command) Result {
	h.t.Helper()
	img, res := Apply(h.img, h.img.Index()+1, cmd)
	h.img = img
	return res
}

func (h *history) must(cmd Command) Result {
	h.t.Helper()
	res := h.apply(cmd)
	if err := errors.Join(append(res.Errs, res.Err)...); err != nil {
		h.t.Fatalf("%T: %v", cmd, err)
	}
	return res
}

// start registers and unfences brokers 1..n.
func (h *history) start(n int) {
	h.t.Helper()
	for id := BrokerID(1); id <= BrokerID(n); id++ {
		h.register(id, byte(id), byte(id))
		h.unfence(id)
	}
}

func (h *history) register(id BrokerID, incarnation, directory byte) BrokerEpoch {
	h.t.Helper()
	return h.must(RegisterBroker{Broker: Broker{ID: id, Incarnation: uuid(incarnation), Directory: uuid(directory)}}).BrokerEpoch
}

func (h *history) epoch(id BrokerID) BrokerEpoch {
	h.t.Helper()
	b, ok := h.img.Broker(id)
	if !ok {
		h.t.Fatalf("broker %d is not registered", id)
	}
	return b.Epoch
}

func (h *history) fence(id BrokerID) {
	h.t.Helper()
	h.must(FenceBroker{ID: id, Epoch: h.epoch(id)})
}

func (h *history) unfence(id BrokerID) {
	h.t.Helper()
	h.must(UnfenceBroker{ID: id, Epoch: h.epoch(id)})
}

func (h *history) drain(id BrokerID) {
	h.t.Helper()
	h.must(DrainBroker{ID: id, Epoch: h.epoch(id)})
}

// topic creates topic "t" with one partition.
func (h *history) topic(configs map[string]string, replicas ...BrokerID) {
	h.t.Helper()
	h.must(CreateTopic{ID: uuid(100), Name: "t", Assignment: [][]BrokerID{replicas}, Configs: configs})
}

var testTP = TopicPartition{TopicID: uuid(100)}

func (h *history) partition() *Partition {
	h.t.Helper()
	_, p, ok := h.img.Partition(testTP)
	if !ok {
		h.t.Fatal("the test's partition is missing")
	}
	return p
}

// isr proposes an in-sync set as the current leader, with everything it should know.
func (h *history) isr(ids ...BrokerID) AlterISR {
	h.t.Helper()
	p := h.partition()
	change := ISRChange{TP: testTP, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
	for _, id := range ids {
		change.ISR = append(change.ISR, ISRMember{ID: id, Epoch: h.epoch(id)})
	}
	return AlterISR{Broker: p.Leader, BrokerEpoch: h.epoch(p.Leader), Changes: []ISRChange{change}}
}

func (h *history) want(leader BrokerID, leaderEpoch Epoch, isr, elr []BrokerID) {
	h.t.Helper()
	p := h.partition()
	if p.Leader != leader || p.LeaderEpoch != leaderEpoch || !slices.Equal(p.ISR, isr) || !slices.Equal(p.ELR, elr) {
		h.t.Fatalf("leader %d epoch %d isr %v elr %v, want leader %d epoch %d isr %v elr %v",
			p.Leader, p.LeaderEpoch, p.ISR, p.ELR, leader, leaderEpoch, isr, elr)
	}
}

type ids = []BrokerID

func TestBrokerLifecycle(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	first := h.register(1, 1, 1)
	if first != BrokerEpoch(h.img.Index()) {
		t.Fatalf("broker epoch %d, want the index %d", first, h.img.Index())
	}
	if b, _ := h.img.Broker(1); !b.Fenced {
		t.Fatal("a broker must start fenced")
	}
	h.unfence(1)
	h.drain(1)
	again := h.must(RegisterBroker{Broker: Broker{ID: 1, Incarnation: uuid(1), Directory: uuid(1), Rack: "r2"}})
	if b, _ := h.img.Broker(1); again.BrokerEpoch != first || b.Fenced || !b.Draining || b.Rack != "r2" {
		t.Fatalf("repeat: epoch %d, broker %+v: want the same epoch and state, the new rack", again.BrokerEpoch, *b)
	}
	second := h.register(1, 2, 1)
	if b, _ := h.img.Broker(1); second <= first || !b.Fenced || b.Draining {
		t.Fatalf("new incarnation: epoch %d after %d, broker %+v: want fenced, not draining", second, first, *b)
	}
	for _, cmd := range []Command{
		FenceBroker{ID: 1, Epoch: first},
		UnfenceBroker{ID: 1, Epoch: first},
		DrainBroker{ID: 1, Epoch: first},
		FailReplicas{ID: 1, Epoch: first},
		AllocateProducerIDs{Broker: 1, BrokerEpoch: first, Count: 1},
	} {
		if res := h.apply(cmd); !errors.Is(res.Err, ErrStaleBrokerEpoch) {
			t.Errorf("%T under the old epoch: error %v, want %v", cmd, res.Err, ErrStaleBrokerEpoch)
		}
	}
}

func TestProducerIDsAreGivenOnce(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.start(2)
	a := h.must(AllocateProducerIDs{Broker: 1, BrokerEpoch: h.epoch(1), Count: 1000})
	b := h.must(AllocateProducerIDs{Broker: 2, BrokerEpoch: h.epoch(2), Count: 10})
	if a.FirstProducerID != 0 || b.FirstProducerID != 1000 || h.img.NextProducerID() != 1010 {
		t.Fatalf("blocks at %d and %d, next %d, want 0, 1000, 1010", a.FirstProducerID, b.FirstProducerID, h.img.NextProducerID())
	}
	for _, count := range []int32{-1, 0, maxProducerIDBlock + 1} {
		if res := h.apply(AllocateProducerIDs{Broker: 1, BrokerEpoch: h.epoch(1), Count: count}); !errors.Is(res.Err, ErrInvalidRequest) {
			t.Errorf("count %d: error %v, want %v", count, res.Err, ErrInvalidRequest)
		}
	}
}

func TestTopicCommands(t *testing.T) {
	t.Parallel()
	one := [][]BrokerID{{1, 2}}
	tests := []struct {
		name string
		cmd  Command
		want error
	}{
		{name: "create", cmd: CreateTopic{ID: uuid(7), Name: "new", Assignment: one}},
		{name: "create again under the same id", cmd: CreateTopic{ID: uuid(100), Name: "t", Assignment: one}},
		{name: "create a taken name", cmd: CreateTopic{ID: uuid(7), Name: "t", Assignment: one}, want: ErrTopicExists},
		{name: "create a taken id", cmd: CreateTopic{ID: uuid(100), Name: "u", Assignment: one}, want: ErrInvalidRequest},
		{name: "create without id", cmd: CreateTopic{Name: "u", Assignment: one}, want: ErrInvalidRequest},
		{name: "create with a bad name", cmd: CreateTopic{ID: uuid(7), Name: "a/b", Assignment: one}, want: ErrInvalidTopic},
		{name: "create with a bad config", cmd: CreateTopic{ID: uuid(7), Name: "u", Assignment: one, Configs: map[string]string{"x": "y"}}, want: ErrInvalidConfig},
		{name: "create without partitions", cmd: CreateTopic{ID: uuid(7), Name: "u"}, want: ErrInvalidPartitions},
		{name: "create with too many partitions", cmd: CreateTopic{ID: uuid(7), Name: "u", Assignment: make([][]BrokerID, MaxPartitions+1)}, want: ErrInvalidPartitions},
		{name: "create without replicas", cmd: CreateTopic{ID: uuid(7), Name: "u", Assignment: [][]BrokerID{{}}}, want: ErrInvalidReplicaAssignment},
		{name: "create on an unknown broker", cmd: CreateTopic{ID: uuid(7), Name: "u", Assignment: [][]BrokerID{{1, 9}}}, want: ErrInvalidReplicaAssignment},
		{name: "create with a replica twice", cmd: CreateTopic{ID: uuid(7), Name: "u", Assignment: [][]BrokerID{{1, 1}}}, want: ErrInvalidReplicaAssignment},
		{name: "create with uneven replicas", cmd: CreateTopic{ID: uuid(7), Name: "u", Assignment: [][]BrokerID{{1, 2}, {1}}}, want: ErrInvalidReplicaAssignment},
		{name: "create where nobody is alive", cmd: CreateTopic{ID: uuid(7), Name: "u", Assignment: [][]BrokerID{{3}}}, want: ErrInvalidReplicaAssignment},
		{name: "delete by id", cmd: DeleteTopic{ID: uuid(100)}},
		{name: "delete by name", cmd: DeleteTopic{Name: "t"}},
		{name: "delete an unknown id", cmd: DeleteTopic{ID: uuid(9)}, want: ErrUnknownTopic},
		{name: "delete an unknown name", cmd: DeleteTopic{Name: "x"}, want: ErrUnknownTopic},
		{name: "delete an id that another name has", cmd: DeleteTopic{ID: uuid(100), Name: "x"}, want: ErrUnknownTopic},
		{name: "configure", cmd: SetTopicConfigs{Name: "t", Set: map[string]string{ConfigRetentionMillis: "-1"}}},
		{name: "configure an unknown topic", cmd: SetTopicConfigs{Name: "x"}, want: ErrUnknownTopic},
		{name: "configure badly", cmd: SetTopicConfigs{Name: "t", Set: map[string]string{ConfigFlush: "maybe"}}, want: ErrInvalidConfig},
		{name: "cluster id again", cmd: InitCluster{ClusterID: "c"}},
		{name: "another cluster id", cmd: InitCluster{ClusterID: "d"}, want: ErrClusterInitialized},
		{name: "empty cluster id", cmd: InitCluster{}, want: ErrInvalidRequest},
		{name: "broker without incarnation", cmd: RegisterBroker{Broker: Broker{ID: 5}}, want: ErrInvalidRequest},
		{name: "broker with a negative id", cmd: RegisterBroker{Broker: Broker{ID: -1, Incarnation: uuid(5)}}, want: ErrInvalidRequest},
		{name: "nothing", cmd: nil, want: ErrInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			h.start(3)
			h.fence(3)
			h.must(InitCluster{ClusterID: "c"})
			h.topic(nil, 1, 2)
			before := h.img
			if res := h.apply(tt.cmd); !errors.Is(res.Err, tt.want) {
				t.Fatalf("error %v, want %v", res.Err, tt.want)
			}
			if h.img.Index() != before.Index()+1 {
				t.Fatalf("index %d, want %d: refused commands count too", h.img.Index(), before.Index()+1)
			}
			if d := Diff(before, h.img); tt.want != nil && (len(d.Changed)+len(d.Deleted)+len(d.Brokers)) > 0 {
				t.Fatalf("a refused command changed %+v", d)
			}
		})
	}
}

func TestApplyRefusesOldIndexes(t *testing.T) {
	t.Parallel()
	img, _ := Apply(NewImage(), 5, InitCluster{ClusterID: "c"})
	for _, index := range []uint64{0, 4, 5} {
		again, res := Apply(img, index, InitCluster{ClusterID: "c"})
		if again != img || !errors.Is(res.Err, ErrInvalidRequest) {
			t.Errorf("index %d: error %v, want %v and the same image", index, res.Err, ErrInvalidRequest)
		}
	}
}

func TestTopicRecreatedHasAnotherID(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.start(1)
	h.topic(nil, 1)
	before := h.img
	h.must(DeleteTopic{Name: "t"})
	h.must(CreateTopic{ID: uuid(101), Name: "t", Assignment: [][]BrokerID{{1}}})
	d := Diff(before, h.img)
	if len(d.Changed) != 1 || d.Changed[0].ID != uuid(101) || len(d.Deleted) != 1 || d.Deleted[0].ID != uuid(100) {
		t.Fatalf("diff %+v, want the new topic changed and the old one deleted", d)
	}
	if _, ok := h.img.TopicByID(uuid(100)); ok {
		t.Fatal("the deleted topic is still found by its id")
	}
}

// TestTopicIDsAreUsedOnce: a late copy of the command that created a topic must not
// bring it back after it was deleted.
func TestTopicIDsAreUsedOnce(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.start(1)
	create := CreateTopic{ID: uuid(101), Name: "s", Assignment: [][]BrokerID{{1}}}
	h.must(create)
	h.must(DeleteTopic{ID: create.ID})
	if res := h.apply(create); res.Err != nil || res.TopicID != create.ID {
		t.Errorf("the copy: %+v", res)
	}
	if _, ok := h.img.Topic("s"); ok || !h.img.Deleted(create.ID) {
		t.Error("the topic is back")
	}
	h.must(CreateTopic{ID: uuid(102), Name: "s", Assignment: create.Assignment})
	if res := h.apply(create); res.Err != nil {
		t.Errorf("the copy, while another has the name: %v", res.Err)
	}
	for i := range maxDeleted + 10 {
		id := UUID{1, byte(i), byte(i >> 8), 9}
		h.must(CreateTopic{ID: id, Name: "many", Assignment: create.Assignment})
		h.must(DeleteTopic{ID: id})
	}
	if n := len(h.img.deleted); n != maxDeleted || h.img.Deleted(create.ID) || !h.img.Deleted(UUID{1, 0, 2, 9}) {
		t.Errorf("%d ids are remembered, or not the last ones", n)
	}
}
