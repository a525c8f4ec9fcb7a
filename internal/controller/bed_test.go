package controller

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/peer"
)

// bed is a cluster whose metadata log is in memory: brokers with everything that
// takes part in controlling it, and nothing else. It lives in a synctest bubble.
type bed struct {
	t       *testing.T
	net     *peer.MemNetwork
	peers   []meta.Peer
	store   *meta.Memory // the first member
	brokers map[cluster.BrokerID]*broker
	edit    func(*Options)
}

// broker is one process.
type broker struct {
	bed         *bed
	id          cluster.BrokerID
	incarnation cluster.UUID
	directory   cluster.UUID
	store       *meta.Memory
	control     *Controller
	client      *Client
	stop        context.CancelFunc
	work        sync.WaitGroup

	mu    sync.Mutex
	beat  Heartbeat // guarded by mu; what the next heartbeats say
	mute  bool      // guarded by mu; sends none
	fatal error     // guarded by mu; why it gave up
}

func newBed(t *testing.T, n int, edit func(*Options)) *bed {
	t.Helper()
	b := &bed{t: t, net: peer.NewMemNetwork(), store: meta.NewMemory(1), brokers: map[cluster.BrokerID]*broker{}, edit: edit}
	for id := range n {
		b.peers = append(b.peers, meta.Peer{ID: cluster.BrokerID(id + 1), Addr: fmt.Sprintf("b%d:9192", id+1)})
	}
	return b
}

// start runs a new process of each broker.
func (b *bed) start(ids ...cluster.BrokerID) {
	b.t.Helper()
	for _, id := range ids {
		b.startOne(id, cluster.UUID{0: 7, 1: byte(id)})
	}
}

func (b *bed) startOne(id cluster.BrokerID, directory cluster.UUID) *broker {
	b.t.Helper()
	one := &broker{bed: b, id: id, directory: directory, store: b.store}
	if id != 1 {
		one.store = b.store.Member(id)
	}
	one.incarnation = cluster.UUID{0: 9, 1: byte(id), 2: byte(time.Now().UnixMilli()), 3: byte(time.Now().UnixMilli() >> 8), 4: byte(time.Now().UnixMilli() >> 16)}
	host := b.net.Host(fmt.Sprintf("b%d", id))
	mux := peer.NewMux(peer.Options{Self: id, Incarnation: one.incarnation})
	o := Options{Self: id, Store: one.store, Network: host, Logger: slog.New(slog.NewTextHandler(testWriter{b.t}, nil)).With(slog.Int("at", int(id)))}
	if b.edit != nil {
		b.edit(&o)
	}
	one.control = New(o)
	mux.Handle(peer.KindController, one.control.HandleConn)
	one.client = NewClient(ClientOptions{
		Self: id, Peers: b.peers, Network: host, Hello: mux.Hello, Leader: one.store.Leader, Local: one.control,
	})
	l, err := host.Listen(fmt.Sprintf("b%d:9192", id))
	if err != nil {
		b.t.Fatal(err)
	}
	var ctx context.Context
	ctx, one.stop = context.WithCancel(b.t.Context())
	one.work.Go(func() {
		if err := mux.Serve(ctx, l); err != nil && ctx.Err() == nil {
			b.t.Logf("serve %d: %v", id, err) // a crash of its host closed the listener
		}
	})
	one.work.Go(func() {
		if err := one.control.Run(ctx); err != nil {
			b.t.Errorf("controller %d: %v", id, err)
		}
	})
	one.work.Go(func() { one.live(ctx) })
	b.brokers[id] = one
	return one
}

// live registers and then sends heartbeats, as the server does.
func (one *broker) live(ctx context.Context) {
	defer one.client.Close()
	if !one.register(ctx) {
		return
	}
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		_, changed := one.store.Watch()
		one.send(ctx)
		self, _ := one.store.Image().Broker(one.id)
		if self != nil && !self.Fenced {
			changed = nil // only who waits to be unfenced is in a hurry
		}
		select {
		case <-ticker.C:
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (one *broker) register(ctx context.Context) bool {
	cmd := cluster.RegisterBroker{Broker: cluster.Broker{
		ID: one.id, Incarnation: one.incarnation, Directory: one.directory,
		Peer: cluster.Endpoint{Host: fmt.Sprintf("b%d", one.id), Port: 9192},
	}}
	_, err := one.client.Propose(ctx, cmd)
	one.mu.Lock()
	defer one.mu.Unlock()
	one.fatal = err
	return err == nil
}

func (one *broker) send(ctx context.Context) {
	one.mu.Lock()
	beat, mute := one.beat, one.mute
	one.mu.Unlock()
	if mute {
		return
	}
	beat.Broker, beat.Epoch, beat.AppliedIndex = one.id, one.epoch(), one.store.AppliedIndex()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = one.client.Heartbeat(ctx, beat) // the tests look at what the controller makes of it
}

func (one *broker) epoch() cluster.BrokerEpoch {
	if self, ok := one.store.Image().Broker(one.id); ok && self.Incarnation == one.incarnation {
		return self.Epoch
	}
	return 0
}

// says changes what the broker's heartbeats report.
func (one *broker) says(edit func(*Heartbeat)) {
	one.mu.Lock()
	defer one.mu.Unlock()
	edit(&one.beat)
}

// silence stops the heartbeats while the process and its connections live on.
func (one *broker) silence() {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.mute = true
}

// kill ends a process as kill -9 does: its connections end, its port refuses.
func (b *bed) kill(id cluster.BrokerID) {
	b.net.Crash(fmt.Sprintf("b%d", id))
	one := b.brokers[id]
	one.stop()
	one.work.Wait()
	delete(b.brokers, id)
}

func (b *bed) close() {
	for id := range b.brokers {
		b.kill(id)
	}
	b.net.Close()
}

// await waits until the image passes and returns how long that took.
func (b *bed) await(what string, pass func(*cluster.Image) bool) time.Duration {
	b.t.Helper()
	start := time.Now()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		img, changed := b.store.Watch()
		if pass(img) {
			return time.Since(start)
		}
		select {
		case <-changed:
		case <-limit.C:
			b.t.Fatalf("never saw %s", what)
		}
	}
}

// ready waits until the brokers are unfenced.
func (b *bed) ready(ids ...cluster.BrokerID) time.Duration {
	b.t.Helper()
	return b.await(fmt.Sprint(ids, " unfenced"), func(img *cluster.Image) bool {
		for _, id := range ids {
			if self, ok := img.Broker(id); !ok || self.Fenced || self.Incarnation != b.brokers[id].incarnation {
				return false
			}
		}
		return true
	})
}

func (b *bed) fenced(id cluster.BrokerID) time.Duration {
	b.t.Helper()
	return b.await(fmt.Sprintf("broker %d fenced", id), func(img *cluster.Image) bool {
		self, ok := img.Broker(id)
		return ok && self.Fenced
	})
}

// topic creates a topic with one partition on the brokers.
func (b *bed) topic(name string, replicas ...cluster.BrokerID) *cluster.Topic {
	b.t.Helper()
	_, err := b.brokers[replicas[0]].client.CreateTopic(b.t.Context(), TopicSpec{Name: name, Assignment: [][]cluster.BrokerID{replicas}})
	if err != nil {
		b.t.Fatal(err)
	}
	topic, _ := b.store.Image().Topic(name)
	return topic
}

// rejoin has the leader add a replica to the in-sync set.
func (b *bed) rejoin(name string, id cluster.BrokerID) {
	b.t.Helper()
	topic, _ := b.store.Image().Topic(name)
	p := b.partition(name)
	change := cluster.ISRChange{TP: topic.TopicPartition(0), LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
	for _, member := range append(slices.Clone(p.ISR), id) {
		change.ISR = append(change.ISR, cluster.ISRMember{ID: member, Epoch: b.brokers[member].epoch()})
	}
	lead := b.brokers[p.Leader]
	res, err := lead.client.Propose(b.t.Context(), cluster.AlterISR{Broker: lead.id, BrokerEpoch: lead.epoch(), Changes: []cluster.ISRChange{change}})
	if err != nil || res.Errs[0] != nil {
		b.t.Fatal(err, res.Errs)
	}
}

func (b *bed) partition(name string) *cluster.Partition {
	b.t.Helper()
	topic, ok := b.store.Image().Topic(name)
	if !ok {
		b.t.Fatalf("no topic %s", name)
	}
	return topic.Partitions[0]
}

// rest lets the bubble's time pass.
func rest(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// testWriter sends log lines to the test's own log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}
