package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/trace"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
	"github.com/chronik-project/chronik/internal/wire"
)

// self is the broker under test.
const self cluster.BrokerID = 1

// testLease is longer than any test but those about it.
const testLease = 2 * time.Hour

// bed is a broker as package api sees it: real partitions on a write-ahead log
// in memory, and metadata that the test decides. What is missing is consensus:
// commands are applied at once. For use inside synctest.Test.
type bed struct {
	t       testing.TB
	ctx     context.Context // of everything that runs
	api     *Table
	parts   *partition.Table
	stopped chan error
	cancel  context.CancelFunc
	running int

	proposing sync.Mutex    // one command at a time
	late      time.Duration // that the partitions take to act on metadata

	mu      sync.Mutex
	img     *cluster.Image // guarded by mu
	changed chan struct{}  // guarded by mu; closed by the next image
	adminer func(context.Context) error
}

// newBed starts a broker 1 beside brokers 2 and 3, all of them alive.
func newBed(t testing.TB, configure ...func(*Options)) *bed {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	disk := vfs.NewMem()
	log, err := wal.Open(wal.Options{FS: disk, Dir: "data/wal", FileBytes: 1 << 20, FirstFileBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{
		t: t, ctx: ctx, cancel: cancel, stopped: make(chan error, 4),
		img: cluster.NewImage(), changed: make(chan struct{}),
	}
	b.parts = partition.NewTable(partition.Options{
		Self: self, Incarnation: cluster.UUID{1}, FS: disk, Dir: "data", WAL: log, Lease: testLease,
	})
	if _, err := b.parts.Recover(); err != nil {
		t.Fatal(err)
	}
	o := Options{Self: self, Partitions: b.parts, Metadata: b, Admin: b, Traces: trace.NewRing(trace.RingBatches), HTTP: "127.0.0.1:9292"}
	for _, f := range configure {
		f(&o)
	}
	b.api = New(o)
	b.run(log.Run)
	b.run(b.parts.Run)
	t.Cleanup(b.stop)
	b.apply(cluster.InitCluster{ClusterID: "test-cluster"})
	for id := cluster.BrokerID(1); id <= 3; id++ {
		res := b.apply(cluster.RegisterBroker{Broker: cluster.Broker{
			ID: id, Incarnation: cluster.UUID{byte(id)}, Directory: cluster.UUID{byte(id), 1},
			Client: cluster.Endpoint{Host: fmt.Sprintf("host-%d", id), Port: 9090 + int32(id)},
			Peer:   cluster.Endpoint{Host: fmt.Sprintf("host-%d", id), Port: 9190 + int32(id)},
		}})
		b.apply(cluster.UnfenceBroker{ID: id, Epoch: res.BrokerEpoch})
	}
	return b
}

func (b *bed) run(f func(context.Context) error) {
	b.running++
	go func() { b.stopped <- f(b.ctx) }()
}

// stop ends the broker when the test does; synctest then fails if anything of
// it is left.
func (b *bed) stop() {
	b.t.Helper()
	b.cancel()
	for range b.running {
		if err := <-b.stopped; err != nil && !errors.Is(err, context.Canceled) {
			b.t.Error(err)
		}
	}
}

// apply changes the metadata, and the partitions with it.
func (b *bed) apply(cmd cluster.Command) cluster.Result {
	b.t.Helper()
	res := b.propose(cmd)
	if err := errors.Join(append(res.Errs, res.Err)...); err != nil {
		b.t.Fatal(err)
	}
	return res
}

func (b *bed) propose(cmd cluster.Command) cluster.Result {
	b.proposing.Lock()
	defer b.proposing.Unlock()
	img := b.Image()
	img, res := cluster.Apply(img, img.Index()+1, cmd)
	if b.late > 0 {
		time.AfterFunc(b.late, func() { b.parts.Apply(img) })
	} else {
		b.parts.Apply(img)
	}
	b.mu.Lock()
	b.img = img
	close(b.changed)
	b.changed = make(chan struct{})
	b.mu.Unlock()
	return res
}

// Image implements Metadata.
func (b *bed) Image() *cluster.Image {
	img, _ := b.Watch()
	return img
}

// Watch implements Metadata.
func (b *bed) Watch() (*cluster.Image, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.img, b.changed
}

// CreateTopic implements Admin.
func (b *bed) CreateTopic(ctx context.Context, spec TopicSpec) (cluster.Result, error) {
	if b.adminer != nil {
		if err := b.adminer(ctx); err != nil {
			return cluster.Result{}, err
		}
	}
	assignment := spec.Assignment
	for i := len(assignment); i < spec.Partitions; i++ {
		replicas := []cluster.BrokerID{1, 2, 3}
		assignment = append(assignment, replicas[:spec.ReplicationFactor])
	}
	res := b.propose(cluster.CreateTopic{
		ID: topicID(spec.Name), Name: spec.Name, Assignment: assignment, Configs: spec.Configs,
	})
	return res, res.Err
}

// DeleteTopic implements Admin.
func (b *bed) DeleteTopic(ctx context.Context, id cluster.UUID, name string) (cluster.Result, error) {
	if b.adminer != nil {
		if err := b.adminer(ctx); err != nil {
			return cluster.Result{}, err
		}
	}
	res := b.propose(cluster.DeleteTopic{ID: id, Name: name})
	return res, res.Err
}

// AllocateProducerIDs implements Admin.
func (b *bed) AllocateProducerIDs(ctx context.Context, count int32) (int64, error) {
	if b.adminer != nil {
		if err := b.adminer(ctx); err != nil {
			return 0, err
		}
	}
	broker, _ := b.Image().Broker(self)
	res := b.propose(cluster.AllocateProducerIDs{Broker: self, BrokerEpoch: broker.Epoch, Count: count})
	return res.FirstProducerID, res.Err
}

// topicID is the id of the topics that tests create.
func topicID(name string) (id cluster.UUID) {
	copy(id[:], "id of "+name)
	return id
}

// topic creates a topic whose partition i has the replicas of the i-th list.
func (b *bed) topic(name string, configs map[string]string, assignment ...[]cluster.BrokerID) *cluster.Topic {
	b.t.Helper()
	b.apply(cluster.CreateTopic{ID: topicID(name), Name: name, Assignment: assignment, Configs: configs})
	topic, _ := b.Image().Topic(name)
	return topic
}

// lead makes a broker, which must be in sync, the leader of a partition.
func (b *bed) lead(topic string, index int, leader cluster.BrokerID) {
	b.t.Helper()
	t, _ := b.Image().Topic(topic)
	b.apply(cluster.ElectLeaders{Changes: []cluster.LeaderChange{{
		TP: t.TopicPartition(index), PartitionEpoch: t.Partitions[index].PartitionEpoch, Leader: leader,
	}}})
}

// fence takes a broker out of service.
func (b *bed) fence(id cluster.BrokerID) {
	b.t.Helper()
	broker, _ := b.Image().Broker(id)
	b.apply(cluster.FenceBroker{ID: id, Epoch: broker.Epoch})
}

// replica is the local replica of a partition.
func (b *bed) replica(topic string, index int) *partition.Replica {
	b.t.Helper()
	t, _ := b.Image().Topic(topic)
	r, ok := b.parts.Get(t.TopicPartition(index))
	if !ok {
		b.t.Fatalf("no replica of %s-%d here", topic, index)
	}
	return r
}

// acked plays a follower that has everything of a partition up to end on disk.
func (b *bed) acked(topic string, index int, follower cluster.BrokerID, end int64) {
	b.t.Helper()
	r := b.replica(topic, index)
	broker, _ := b.Image().Broker(follower)
	info := r.Info()
	if err := r.FollowerOpened(follower, info.Epoch, uint64(follower), broker.Epoch, end, end); err != nil {
		b.t.Fatal(err)
	}
}

// begin hands a request over and returns its reply.
func (b *bed) begin(req kmsg.Request, version int16) (wire.Reply, error) {
	b.t.Helper()
	req.SetVersion(version)
	body := kmsg.RequestForKey(req.Key())
	body.SetVersion(version)
	if err := body.ReadFrom(req.AppendTo(nil)); err != nil {
		b.t.Fatalf("%T v%d: %v", req, version, err)
	}
	return b.api.Handle(b.t.Context(), &wire.Request{
		Header: wire.Header{Key: req.Key(), Version: version, CorrelationID: 1}, Body: body, Received: time.Now(),
	})
}

// finish waits for a reply, and reads it as a client would.
func (b *bed) finish(reply wire.Reply, req kmsg.Request) kmsg.Response {
	b.t.Helper()
	resp, err := reply.Wait(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if holder, ok := reply.(wire.Holder); ok {
		defer holder.Release()
	}
	if resp == nil {
		return nil
	}
	read := req.ResponseKind()
	read.SetVersion(resp.GetVersion())
	if err := read.ReadFrom(resp.AppendTo(nil)); err != nil {
		b.t.Fatalf("%T v%d: %v", resp, resp.GetVersion(), err)
	}
	return read
}

// ask is a request and its response.
func ask[T kmsg.Response](b *bed, req kmsg.Request, version int16) T {
	b.t.Helper()
	reply, err := b.begin(req, version)
	if err != nil {
		b.t.Fatal(err)
	}
	resp := b.finish(reply, req)
	if resp.GetVersion() != version {
		b.t.Errorf("%T answers v%d in v%d", req, version, resp.GetVersion())
	}
	return resp.(T)
}

// batch is a batch of n records with timestamps 1000, 1001, ...
func batch(n int) *record.Builder {
	builder := record.NewBuilder(0)
	for i := range n {
		builder.Append([]byte("key"), []byte("value"), nil, 1000+int64(i))
	}
	return builder
}

// produceRequest sends one batch to one partition.
func produceRequest(topic string, index int32, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 1500
	req.Topics = []kmsg.ProduceRequestTopic{{
		Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: index, Records: records}},
	}}
	return req
}

// produce appends a batch with acks=1 and fails the test if that fails.
func (b *bed) produce(topic string, index int32, records *record.Builder) int64 {
	b.t.Helper()
	resp := ask[*kmsg.ProduceResponse](b, produceRequest(topic, index, 1, bytes.Clone(records.Bytes())), 9)
	part := resp.Topics[0].Partitions[0]
	if part.ErrorCode != 0 {
		b.t.Fatalf("produce to %s-%d: code %d, %s", topic, index, part.ErrorCode, text(part.ErrorMessage))
	}
	return part.BaseOffset
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// wantCode compares an error code.
func wantCode(t testing.TB, what string, got int16, want code) {
	t.Helper()
	if code(got) != want {
		t.Errorf("%s: code %d, want %d", what, got, want)
	}
}

// versions lists all versions of an API key that are served.
func versions(t *testing.T, key int16, atLeast int16) []int16 {
	t.Helper()
	for _, a := range apis() {
		if a.key == key {
			var all []int16
			for v := max(a.lowest, atLeast); v <= a.highest; v++ {
				all = append(all, v)
			}
			return all
		}
	}
	t.Fatalf("api key %d is not served", key)
	return nil
}

// only is the one element of a slice.
func only[T any](t testing.TB, all []T) T {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%d elements, want one: %+v", len(all), all)
	}
	return all[0]
}
