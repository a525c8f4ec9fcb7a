package replication

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// benchPair is a leader and a follower on loopback TCP, with logs in memory and
// disks that take no time: what is left is the link.
type benchPair struct {
	leader, follower *fakeTable
	m                *Manager
	moved            chan struct{} // the leader's high watermark did
}

func newBenchPair(b *testing.B, partitions int) *benchPair {
	b.Helper()
	img := cluster.NewImage()
	index := uint64(0)
	do := func(cmd cluster.Command) {
		index++
		next, res := cluster.Apply(img, index, cmd)
		if res.Err != nil {
			b.Fatal(res.Err)
		}
		img = next
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	b.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	p := &benchPair{moved: make(chan struct{}, 1)}
	var managers []*Manager
	for id := cluster.BrokerID(1); id <= 2; id++ {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		endpoint, _ := cluster.ParseEndpoint(listener.Addr().String())
		do(cluster.RegisterBroker{Broker: cluster.Broker{ID: id, Incarnation: cluster.UUID{byte(id)}, Directory: cluster.UUID{byte(id)}, Peer: endpoint, Client: endpoint}})
		do(cluster.UnfenceBroker{ID: id, Epoch: cluster.BrokerEpoch(index)})
		table := newFakeTable(id)
		table.fsync = 0
		mux := peer.NewMux(peer.Options{Self: id, Incarnation: cluster.UUID{byte(id)}})
		m := newManager(Options{Self: id, Network: peer.NewOSNetwork(), Hello: mux.Hello}, table)
		m.dial = m.dialPeer
		table.wake, table.flush = m.Wake, m.FlushAcks
		mux.Handle(peer.KindLive, m.ServeLive)
		mux.Handle(peer.KindBulk, m.ServeBulk)
		wg.Go(func() { _ = mux.Serve(ctx, listener) })
		wg.Go(func() { _ = m.Run(ctx) })
		wg.Go(func() { table.run(ctx) })
		managers = append(managers, m)
		if id == 1 {
			p.leader, p.m = table, m
		} else {
			p.follower = table
		}
	}
	p.leader.wake = func(tp cluster.TopicPartition) {
		p.m.Wake(tp)
		signal(p.moved)
	}
	assignment := make([][]cluster.BrokerID, partitions)
	for i := range assignment {
		assignment[i] = []cluster.BrokerID{1, 2}
	}
	do(cluster.CreateTopic{ID: topicID, Name: "bench", Assignment: assignment})
	p.follower.apply(img, true)
	managers[1].Apply(img)
	p.leader.apply(img, true)
	managers[0].Apply(img)
	for i := range partitions {
		p.produce(int32(i), 100)
		p.await(b, int32(i), 1)
	}
	return p
}

func (p *benchPair) produce(part int32, size int) {
	p.leader.mu.Lock()
	l := p.leader.logs[tp(part)]
	l.write(l.epoch, size)
	if len(l.batches) > 50_000 { // keep memory flat; the tail is all that is read
		keep := l.batches[len(l.batches)-20_000:]
		l.start = keep[0].BaseOffset()
		l.batches = append(l.batches[:0:0], keep...)
	}
	l.durable = l.end() // the leader's disk takes no time either
	p.leader.mu.Unlock()
	p.leader.wake(tp(part))
}

func (p *benchPair) await(b *testing.B, part int32, hw int64) {
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		p.leader.mu.Lock()
		got := p.leader.logs[tp(part)].hw
		p.leader.mu.Unlock()
		if got >= hw {
			return
		}
		select {
		case <-p.moved:
		case <-deadline.C:
			b.Fatalf("high watermark %d, want %d", got, hw)
		}
	}
}

// BenchmarkCommit is the time from an append to its commit, without disks.
func BenchmarkCommit(b *testing.B) {
	for _, inflight := range []int64{1, 16, 256} {
		b.Run(fmt.Sprintf("inflight=%d", inflight), func(b *testing.B) {
			p := newBenchPair(b, 1)
			b.SetBytes(1 << 10)
			b.ReportAllocs()
			n := int64(1)
			for b.Loop() {
				p.produce(0, 1<<10)
				n++
				p.await(b, 0, n-inflight+1)
			}
			p.await(b, 0, n)
		})
	}
}

// BenchmarkCommitManyPartitions spreads the appends over 48 partitions.
func BenchmarkCommitManyPartitions(b *testing.B) {
	const partitions, inflight = 48, 5 // 240 in all
	p := newBenchPair(b, partitions)
	b.SetBytes(1 << 10)
	b.ReportAllocs()
	n := [partitions]int64{}
	for i := 0; b.Loop(); i++ {
		part := int32(i % partitions)
		p.produce(part, 1<<10)
		n[part]++
		p.await(b, part, 1+n[part]-inflight)
	}
}
