package replication

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// brokers is a few brokers with their links on a network in memory. It runs in
// a synctest bubble: time passes only while everything waits.
type brokers struct {
	t       *testing.T
	net     *peer.MemNetwork
	image   *cluster.Image
	index   uint64
	tune    func(*Options)
	running map[cluster.BrokerID]*broker
	tables  map[cluster.BrokerID]*fakeTable // survive a restart
}

// broker is one process.
type broker struct {
	*Manager
	id     cluster.BrokerID
	table  *fakeTable
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// topicID is the one topic of most tests.
var topicID = cluster.UUID{0: 7, 15: 7}

func tp(partition int32) cluster.TopicPartition {
	return cluster.TopicPartition{TopicID: topicID, Partition: partition}
}

// inBubble runs a test on n registered brokers, of which none has started.
func inBubble(t *testing.T, n int, f func(c *brokers)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &brokers{
			t: t, net: peer.NewMemNetwork(), image: cluster.NewImage(), tune: func(*Options) {},
			running: map[cluster.BrokerID]*broker{}, tables: map[cluster.BrokerID]*fakeTable{},
		}
		defer func() {
			for id := range c.running {
				c.stop(id)
			}
			c.net.Close()
		}()
		for i := range n {
			c.register(cluster.BrokerID(i + 1))
		}
		f(c)
	})
}

// do changes the metadata. Brokers learn of it with publish.
func (c *brokers) do(cmd cluster.Command) {
	c.t.Helper()
	c.index++
	img, res := cluster.Apply(c.image, c.index, cmd)
	if res.Err != nil {
		c.t.Fatalf("%T: %v", cmd, res.Err)
	}
	c.image = img
}

func addr(id cluster.BrokerID) cluster.Endpoint {
	return cluster.Endpoint{Host: hostName(id), Port: 9192}
}

func hostName(id cluster.BrokerID) string { return fmt.Sprintf("b%d", id) }

func (c *brokers) register(id cluster.BrokerID) {
	c.do(cluster.RegisterBroker{Broker: cluster.Broker{
		ID: id, Incarnation: cluster.UUID{1, byte(id), byte(c.index)}, Directory: cluster.UUID{2, byte(id)}, Peer: addr(id), Client: addr(id),
	}})
	b, _ := c.image.Broker(id)
	c.do(cluster.UnfenceBroker{ID: id, Epoch: b.Epoch})
}

// topic creates the topic with that many partitions, led by broker 1.
func (c *brokers) topic(partitions int, replicas ...cluster.BrokerID) {
	assignment := make([][]cluster.BrokerID, partitions)
	for i := range assignment {
		assignment[i] = replicas
	}
	c.do(cluster.CreateTopic{ID: topicID, Name: "orders", Assignment: assignment})
}

// elect moves every partition's leadership.
func (c *brokers) elect(id cluster.BrokerID) {
	topic, _ := c.image.TopicByID(topicID)
	var moves []cluster.LeaderChange
	for i, p := range topic.Partitions {
		moves = append(moves, cluster.LeaderChange{TP: tp(int32(i)), PartitionEpoch: p.PartitionEpoch, Leader: id})
	}
	c.do(cluster.ElectLeaders{Changes: moves})
}

// start runs a broker. It knows no metadata until it is told.
func (c *brokers) start(id cluster.BrokerID) *broker {
	if _, ok := c.tables[id]; !ok {
		c.tables[id] = newFakeTable(id)
	}
	table := c.tables[id]
	host := c.net.Host(hostName(id))
	b, _ := c.image.Broker(id)
	mux := peer.NewMux(peer.Options{Self: id, Incarnation: b.Incarnation})
	o := Options{Self: id, Network: host, Hello: mux.Hello}
	c.tune(&o)
	m := newManager(o, table)
	m.dial = m.dialPeer
	table.wake, table.flush = m.Wake, m.FlushAcks
	mux.Handle(peer.KindLive, m.ServeLive)
	mux.Handle(peer.KindBulk, m.ServeBulk)
	listener, err := host.Listen(addr(id).String())
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	br := &broker{Manager: m, id: id, table: table, cancel: cancel}
	br.wg.Go(func() { _ = mux.Serve(ctx, listener) })
	br.wg.Go(func() { _ = m.Run(ctx) })
	br.wg.Go(func() { table.run(ctx) })
	c.running[id] = br
	return br
}

func (c *brokers) stop(id cluster.BrokerID) {
	b := c.running[id]
	delete(c.running, id)
	b.cancel()
	b.wg.Wait()
}

// publish makes brokers act on the newest metadata; all that run, if none is named.
func (c *brokers) publish(ids ...cluster.BrokerID) {
	if len(ids) == 0 {
		for id := range c.running {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		b := c.running[id]
		b.table.apply(c.image, true)
		b.Apply(c.image)
	}
}

// produce appends n records of that size to a partition of its leader.
func (b *broker) produce(p int32, n, size int) {
	for range n {
		b.table.mu.Lock()
		l := b.table.logs[tp(p)]
		l.write(l.epoch, size)
		b.table.mu.Unlock()
		b.table.wake(tp(p))
		signal(b.table.dirty)
	}
}

// wait lets virtual time pass until ok, at most d.
func (c *brokers) wait(d time.Duration, what string, ok func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	for {
		synctest.Wait()
		if ok() {
			return time.Since(began)
		}
		if time.Since(began) > d {
			c.t.Fatalf("after %v: still not: %s", d, what)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// look reads a replica's state.
func (c *brokers) look(id cluster.BrokerID, p int32, f func(l *fakeLog)) {
	t := c.tables[id]
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t.log(tp(p)))
}

// committed waits until every replica of a partition holds n records, durable
// and known to be committed, on all the brokers.
func (c *brokers) committed(d time.Duration, p int32, n int64, ids ...cluster.BrokerID) time.Duration {
	c.t.Helper()
	return c.wait(d, fmt.Sprintf("%d records of partition %d committed on %v", n, p, ids), func() bool {
		for _, id := range ids {
			done := false
			c.look(id, p, func(l *fakeLog) { done = l.end() == n && l.durable == n && l.hw == n })
			if !done {
				return false
			}
		}
		return true
	})
}

// same compares the bytes of a partition's replicas.
func (c *brokers) same(p int32, ids ...cluster.BrokerID) {
	c.t.Helper()
	var want []byte
	for i, id := range ids {
		var got []byte
		c.look(id, p, func(l *fakeLog) {
			for _, b := range l.batches {
				got = append(got, b...)
			}
		})
		if i == 0 {
			want = got
		} else if string(got) != string(want) {
			c.t.Errorf("partition %d: %d bytes on broker %d, %d on broker %d, or they differ", p, len(got), id, len(want), ids[0])
		}
	}
}
