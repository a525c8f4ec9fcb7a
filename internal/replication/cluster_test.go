package replication

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/peer"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// realCluster is brokers on real partitions, segments and write-ahead logs, on
// disks in memory that can lose power, linked over a network in memory, with
// the least of a controller: it applies what leaders propose. It runs in a
// synctest bubble.
type realCluster struct {
	t        *testing.T
	net      *peer.MemNetwork
	commands chan realProposal
	stopped  chan struct{}

	mu      sync.Mutex
	image   *cluster.Image                   // guarded by mu
	index   uint64                           // guarded by mu
	running map[cluster.BrokerID]*realBroker // guarded by mu

	disks map[cluster.BrokerID]*vfs.Mem
	acked map[int64]uint32 // of partition 0: base offset → CRC of what was acknowledged
}

type realBroker struct {
	*Manager
	id     cluster.BrokerID
	table  *partition.Table
	wal    *wal.Log
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// apply keeps the images of one broker in order.
	apply sync.Mutex
}

type realProposal struct {
	from      cluster.BrokerID
	proposals []partition.Proposal
}

func inRealCluster(t *testing.T, n int, configs map[string]string, f func(c *realCluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &realCluster{
			t: t, net: peer.NewMemNetwork(), commands: make(chan realProposal, 1000), stopped: make(chan struct{}),
			image: cluster.NewImage(), running: map[cluster.BrokerID]*realBroker{}, disks: map[cluster.BrokerID]*vfs.Mem{},
			acked: map[int64]uint32{},
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(c.stopped)
			c.control(ctx)
		}()
		defer func() {
			cancel()
			<-c.stopped
			for id := range c.disks {
				c.stop(id)
			}
			c.net.Close()
		}()
		c.do(cluster.InitCluster{ClusterID: "test"})
		var all []cluster.BrokerID
		for i := range n {
			id := cluster.BrokerID(i + 1)
			c.disks[id] = vfs.NewMem()
			c.start(id)
			all = append(all, id)
		}
		c.do(cluster.CreateTopic{ID: topicID, Name: "orders", Assignment: [][]cluster.BrokerID{all}, Configs: configs})
		f(c)
	})
}

// do applies a command and shows the result to every running broker.
func (c *realCluster) do(cmd cluster.Command) cluster.Result {
	c.t.Helper()
	c.mu.Lock()
	c.index++
	img, res := cluster.Apply(c.image, c.index, cmd)
	c.image = img
	var all []*realBroker
	for _, b := range c.running {
		all = append(all, b)
	}
	c.mu.Unlock()
	if res.Err != nil {
		c.t.Errorf("%T: %v", cmd, res.Err)
	}
	for _, b := range all {
		b.learn(img)
	}
	return res
}

func (b *realBroker) learn(img *cluster.Image) {
	b.apply.Lock()
	defer b.apply.Unlock()
	b.table.Apply(img)
	b.Apply(img)
}

// control applies what leaders propose, and lets every broker hear of the
// controller.
func (c *realCluster) control(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case p := <-c.commands:
			for _, one := range p.proposals {
				c.alter(p.from, one)
			}
		case <-tick.C:
			c.mu.Lock()
			for _, b := range c.running {
				b.table.ControllerHeard()
			}
			c.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

func (c *realCluster) alter(from cluster.BrokerID, p partition.Proposal) {
	c.mu.Lock()
	b, ok := c.running[from]
	registered, _ := c.image.Broker(from)
	c.mu.Unlock()
	if !ok {
		return
	}
	res := c.do(cluster.AlterISR{Broker: from, BrokerEpoch: registered.Epoch, Changes: []cluster.ISRChange{{
		TP: p.TP, LeaderEpoch: p.Epoch, PartitionEpoch: p.PartitionEpoch, ISR: p.ISR, Reason: p.Reason,
	}}})
	outcome := isr.OutcomeAccepted
	switch {
	case errors.Is(res.Errs[0], cluster.ErrIneligibleReplica):
		outcome = isr.OutcomeRejected
	case res.Errs[0] != nil:
		outcome = isr.OutcomeStale
	}
	b.table.ProposalResolved(p, outcome)
}

// start runs a broker on its disk as a new incarnation, and registers it.
func (c *realCluster) start(id cluster.BrokerID) {
	c.t.Helper()
	c.mu.Lock()
	incarnation := cluster.UUID{byte(id), byte(c.index), byte(c.index >> 8), 1}
	c.mu.Unlock()
	log, err := wal.Open(wal.Options{FS: c.disks[id], Dir: "data/wal", FileBytes: 4 << 20, FirstFileBytes: 256 << 10})
	if err != nil {
		c.t.Fatal(err)
	}
	b := &realBroker{id: id, wal: log}
	b.table = partition.NewTable(partition.Options{
		Self: id, Incarnation: incarnation, FS: c.disks[id], Dir: "data", WAL: log,
		Wake:    func(tp cluster.TopicPartition) { b.Wake(tp) },
		Propose: func(p []partition.Proposal) { c.commands <- realProposal{from: id, proposals: p} },
	})
	report, err := b.table.Recover()
	if err != nil {
		c.t.Fatal(err)
	}
	host := c.net.Host(hostName(id))
	mux := peer.NewMux(peer.Options{Self: id, Incarnation: incarnation})
	b.Manager = New(Options{
		Self: id, Table: b.table, Network: host, Hello: mux.Hello,
		LastFsync: func() time.Duration { return 100 * time.Microsecond },
	})
	log.AfterRound(b.FlushAcks)
	mux.Handle(peer.KindLive, b.ServeLive)
	mux.Handle(peer.KindBulk, b.ServeBulk)
	listener, err := host.Listen(addr(id).String())
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	for _, run := range []func(context.Context) error{
		func(ctx context.Context) error { return mux.Serve(ctx, listener) },
		b.Run, b.table.Run, b.table.RunStorage,
	} {
		b.wg.Go(func() { _ = run(ctx) })
	}
	walCtx, stopWAL := context.WithCancel(context.Background())
	walDone := make(chan struct{})
	go func() {
		defer close(walDone)
		_ = log.Run(walCtx)
	}()
	b.cancel = func() {
		cancel()
		b.wg.Wait()
		stopWAL()
		<-walDone
	}
	c.mu.Lock()
	c.running[id] = b
	img := c.image
	for _, other := range c.running {
		other.PeerHello(id)
	}
	c.mu.Unlock()
	b.learn(img)
	res := c.do(cluster.RegisterBroker{
		Broker:         cluster.Broker{ID: id, Incarnation: incarnation, Directory: cluster.UUID{byte(id)}, Peer: addr(id), Client: addr(id)},
		FailedReplicas: report.Failed,
	})
	c.do(cluster.UnfenceBroker{ID: id, Epoch: res.BrokerEpoch})
}

func (c *realCluster) stop(id cluster.BrokerID) {
	c.mu.Lock()
	b := c.running[id]
	delete(c.running, id)
	c.mu.Unlock()
	if b != nil {
		b.cancel()
	}
}

// powerLoss ends a broker and leaves on its disk what was synced.
func (c *realCluster) powerLoss(id cluster.BrokerID) {
	disk := c.disks[id].Crash(vfs.Loss{})
	c.net.Crash(hostName(id))
	c.stop(id)
	c.disks[id] = disk
}

// fence is what the controller does to a broker that is gone.
func (c *realCluster) fence(id cluster.BrokerID) {
	c.mu.Lock()
	b, _ := c.image.Broker(id)
	c.mu.Unlock()
	c.do(cluster.FenceBroker{ID: id, Epoch: b.Epoch, Reason: "test"})
}

// state is what the metadata says of the partition.
func (c *realCluster) state() *cluster.Partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, p, _ := c.image.Partition(tp(0))
	return p
}

func (c *realCluster) replica(id cluster.BrokerID) *partition.Replica {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.running[id]
	if !ok {
		c.t.Fatalf("broker %d does not run", id)
	}
	r, ok := b.table.Get(tp(0))
	if !ok {
		c.t.Fatalf("broker %d has no replica", id)
	}
	return r
}

// produce appends a batch with acks=all at the leader and waits for the outcome.
func (c *realCluster) produce(size int) error {
	p, b, err := c.append(size)
	if err != nil {
		return err
	}
	return c.await(p, b)
}

func (c *realCluster) append(size int) (*partition.Pending, record.Batch, error) {
	leader := c.state().Leader
	c.mu.Lock()
	broker, ok := c.running[leader]
	c.mu.Unlock()
	if !ok {
		return nil, nil, fmt.Errorf("leader %d does not run", leader)
	}
	r, ok := broker.table.Get(tp(0))
	if !ok {
		return nil, nil, errors.New("no replica")
	}
	now := time.Now()
	b := record.NewBuilder(0).Append(nil, make([]byte, size), nil, now.UnixNano()).Bytes()
	p, err := r.Append(context.Background(), partition.AppendRequest{
		Batch: b, Acks: partition.AcksAll, Deadline: now.Add(30 * time.Second), Epoch: cluster.NoEpoch,
	})
	return p, b, err
}

// await waits for an acknowledgement and notes what it promised.
func (c *realCluster) await(p *partition.Pending, b record.Batch) error {
	<-p.Done()
	if p.Err() != nil {
		return p.Err()
	}
	if was, ok := c.acked[p.BaseOffset()]; ok && was != b.CRC() {
		c.t.Errorf("offset %d was acknowledged twice, for different batches", p.BaseOffset())
	}
	c.acked[p.BaseOffset()] = b.CRC()
	return nil
}

// until lets time pass until ok.
func (c *realCluster) until(d time.Duration, what string, ok func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > d {
			c.t.Fatalf("after %v: still not: %s\n%+v", d, what, c.state())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	return time.Since(began)
}

// converged waits until all brokers are in sync, then compares their logs with
// each other and with every acknowledgement.
func (c *realCluster) converged(d time.Duration, ids ...cluster.BrokerID) {
	c.t.Helper()
	c.until(d, fmt.Sprintf("%v in sync", ids), func() bool { return len(c.state().ISR) == len(ids) })
	var end int64
	c.until(d, "all logs equally long and committed", func() bool {
		end = c.replica(ids[0]).Info().LogEndOffset
		for _, id := range ids {
			if i := c.replica(id).Info(); i.HighWatermark != end || i.DurableEndOffset != end || i.LogEndOffset != end {
				return false
			}
		}
		return true
	})
	for _, id := range ids {
		got := c.crcs(id, end)
		for base, crc := range c.acked {
			if got[base] != crc {
				c.t.Errorf("broker %d: offset %d was acknowledged with crc %08x, holds %08x", id, base, crc, got[base])
			}
		}
		for base, crc := range c.crcs(ids[0], end) {
			if got[base] != crc {
				c.t.Errorf("offset %d differs between brokers %d and %d", base, ids[0], id)
			}
		}
	}
}

// crcs reads a replica's log from the start: base offset → CRC.
func (c *realCluster) crcs(id cluster.BrokerID, end int64) map[int64]uint32 {
	c.t.Helper()
	all := map[int64]uint32{}
	for offset := int64(0); offset < end; {
		res, err := c.replica(id).Read(partition.ReadRequest{
			Offset: offset, MaxBytes: 1 << 20, MinOne: true, AllowFollower: true,
			CurrentEpoch: cluster.NoEpoch, LastFetchedEpoch: cluster.NoEpoch,
		})
		if err != nil {
			c.t.Fatalf("read broker %d at %d: %v", id, offset, err)
		}
		for _, chunk := range res.Batches {
			for rest := chunk; len(rest) > 0; {
				b, tail, err := record.Next(rest)
				if err != nil {
					c.t.Fatal(err)
				}
				all[b.BaseOffset()], offset, rest = b.CRC(), b.NextOffset(), tail
			}
		}
		if len(res.Batches) == 0 {
			c.t.Fatalf("broker %d has nothing at %d, end %d", id, offset, end)
		}
	}
	return all
}
