package partition

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/trace"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// world is a cluster's metadata and some brokers' tables, connected by hand:
// a test decides when an image, a frame or an ack arrives.
type world struct {
	t       *testing.T
	img     *cluster.Image
	index   uint64
	brokers map[cluster.BrokerID]*node
	tp      cluster.TopicPartition
	session uint64
}

// node is one broker: a disk and, while it runs, a table on a write-ahead log.
type node struct {
	id          cluster.BrokerID
	disk        *vfs.Mem
	fault       *vfs.Fault // what the broker sees of its disk
	incarnation cluster.UUID
	wal         *wal.Log
	table       *Table
	acks        acks
	proposals   []Proposal
	woken       atomic.Int64 // times that the links were nudged
	report      RecoveryReport
	stop        func()
}

// acks collects what followers confirm, by session.
type acks map[uint64]int64

func (a acks) Ack(_ cluster.TopicPartition, session uint64, durableEnd, _ int64) {
	a[session] = durableEnd
}

// newWorld registers n brokers with one topic of one partition on all of them.
func newWorld(t *testing.T, n int, configs map[string]string) *world {
	w := &world{t: t, img: cluster.NewImage(), brokers: map[cluster.BrokerID]*node{}}
	w.commit(cluster.InitCluster{ClusterID: "test"})
	var all []cluster.BrokerID
	for i := 1; i <= n; i++ {
		id := cluster.BrokerID(i)
		all = append(all, id)
		w.brokers[id] = &node{id: id, disk: vfs.NewMem()}
		w.start(id)
		w.register(id)
	}
	w.tp = cluster.TopicPartition{TopicID: cluster.UUID{9}}
	w.commit(cluster.CreateTopic{ID: w.tp.TopicID, Name: "t", Assignment: [][]cluster.BrokerID{all}, Configs: configs})
	t.Cleanup(func() {
		for id := range w.brokers {
			w.crash(id)
		}
	})
	return w
}

// commit appends a command to the metadata and shows it to every broker.
func (w *world) commit(cmd cluster.Command) cluster.Result {
	w.t.Helper()
	w.index++
	img, res := cluster.Apply(w.img, w.index, cmd)
	if res.Err != nil {
		w.t.Fatalf("%T: %v", cmd, res.Err)
	}
	w.img = img
	for _, b := range w.brokers {
		if b.table != nil {
			b.table.Apply(img)
		}
	}
	return res
}

// start runs a broker on its disk under a new incarnation.
func (w *world) start(id cluster.BrokerID) {
	w.t.Helper()
	b := w.brokers[id]
	b.incarnation = cluster.UUID{byte(id), byte(w.index), byte(w.index >> 8), 1}
	b.acks = acks{}
	b.fault = vfs.NewFault(b.disk)
	log, err := wal.Open(wal.Options{FS: b.fault, Dir: "data/wal", FileBytes: 1 << 20, FirstFileBytes: 64 << 10})
	if err != nil {
		w.t.Fatal(err)
	}
	b.wal = log
	b.table = NewTable(Options{
		Self: id, Incarnation: b.incarnation, FS: b.fault, Dir: "data", WAL: log,
		Wake:    func(cluster.TopicPartition) { b.woken.Add(1) },
		Propose: func(p []Proposal) { b.proposals = append(b.proposals, p...) },
		Logger:  slog.New(slog.DiscardHandler),
	})
	if b.report, err = b.table.Recover(); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = log.Run(ctx)
	}()
	b.stop = func() { cancel(); <-done }
}

// register announces the current incarnation and lifts its fence.
func (w *world) register(id cluster.BrokerID) {
	w.t.Helper()
	b := w.brokers[id]
	res := w.commit(cluster.RegisterBroker{
		Broker: cluster.Broker{ID: id, Incarnation: b.incarnation, Directory: cluster.UUID{byte(id)}}, FailedReplicas: b.report.Failed,
	})
	w.commit(cluster.UnfenceBroker{ID: id, Epoch: res.BrokerEpoch})
}

// crash ends a broker; its disk keeps what it was told to keep.
func (w *world) crash(id cluster.BrokerID) {
	b := w.brokers[id]
	if b.table == nil {
		return
	}
	disk := b.disk.Crash(vfs.Loss{})
	b.stop()
	b.disk, b.table, b.wal = disk, nil, nil
}

func (w *world) replica(id cluster.BrokerID) *Replica {
	w.t.Helper()
	r, ok := w.brokers[id].table.Get(w.tp)
	if !ok {
		w.t.Fatalf("broker %d has no replica", id)
	}
	return r
}

// leader is the broker that the metadata names.
func (w *world) leader() cluster.BrokerID {
	_, p, _ := w.img.Partition(w.tp)
	return p.Leader
}

// batch builds a batch of n records.
func batch(n int, value string) record.Batch {
	b := record.NewBuilder(0)
	for i := range n {
		b.Append(nil, fmt.Appendf(nil, "%s-%d", value, i), nil, 1_000+int64(i))
	}
	return b.Bytes()
}

// produce appends at the leader.
func (w *world) produce(id cluster.BrokerID, acks Acks, b record.Batch) (*Pending, error) {
	return w.replica(id).Append(context.Background(), AppendRequest{
		Batch: b, Acks: acks, Deadline: time.Now().Add(30 * time.Second), Epoch: cluster.NoEpoch,
	})
}

func (w *world) mustProduce(id cluster.BrokerID, acks Acks, b record.Batch) *Pending {
	w.t.Helper()
	p, err := w.produce(id, acks, b)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// follow opens a session from the leader to a follower and counts it, cutting
// what diverges.
func (w *world) follow(leader, follower cluster.BrokerID) uint64 {
	w.t.Helper()
	w.session++
	session := w.session
	l := w.replica(leader)
	info, ok := l.Lead()
	if !ok {
		w.t.Fatalf("broker %d does not lead", leader)
	}
	f := w.brokers[follower]
	pos, err := f.table.OpenFollow(OpenRequest{
		Leader: leader, TP: w.tp, Epoch: info.Epoch, PartitionEpoch: info.PartitionEpoch, MetaIndex: info.MetaIndex,
		Session: session, LogStart: info.LogStart, LogEnd: info.LogEnd, Sink: f.acks,
	})
	if err != nil {
		w.t.Fatalf("open %d -> %d: %v", leader, follower, err)
	}
	cut, err := l.CutFor(info.Epoch, pos)
	if err != nil {
		w.t.Fatal(err)
	}
	durable, end := pos.DurableEnd, pos.LogEnd
	if cut.Needed {
		if durable, err = f.table.TruncateFollow(context.Background(), w.tp, session, cut); err != nil {
			w.t.Fatal(err)
		}
		end = durable
	}
	if err := l.FollowerOpened(follower, info.Epoch, session, pos.BrokerEpoch, durable, end); err != nil {
		w.t.Fatal(err)
	}
	f.table.FollowHighWatermark(w.tp, session, info.HighWatermark)
	l.FollowerLive(follower, session, true)
	return session
}

// ship moves everything the follower lacks, waits for its disk, and delivers
// the ack. A follower that accepts no data in the session ends it.
func (w *world) ship(leader, follower cluster.BrokerID, session uint64) error {
	l, f := w.replica(leader), w.brokers[follower]
	info, _ := l.Lead()
	for {
		end := w.replica(follower).Info().LogEndOffset
		c, err := l.ReadForFollower(info.Epoch, end, 1<<20)
		if err != nil {
			return err
		}
		if c.Base == c.Next {
			break
		}
		err = f.table.AppendFrom(context.Background(), FollowRequest{
			TP: w.tp, Session: session, Base: c.Base, PrevEpoch: c.PrevEpoch, PrevCRC: c.PrevCRC,
			Batches: bytes.Join(c.Batches, nil), HighWatermark: c.HighWatermark, LogStart: c.LogStart,
		})
		if err != nil {
			return err
		}
	}
	synctest.Wait() // the follower's sync round
	if err := w.deliver(leader, follower, session); err != nil {
		return err
	}
	_, hw, _ := l.Position(info.Epoch)
	f.table.FollowHighWatermark(w.tp, session, hw)
	return nil
}

// deliver hands the follower's newest ack of a session to the leader.
func (w *world) deliver(leader, follower cluster.BrokerID, session uint64) error {
	l := w.replica(leader)
	info, _ := l.Lead()
	end, ok := w.brokers[follower].acks[session]
	if !ok {
		return nil
	}
	return l.FollowerAck(follower, info.Epoch, session, end, end, trace.Ack{})
}

// contents reads the whole log of a replica up to its high watermark, one
// string per record.
func (w *world) contents(id cluster.BrokerID) []string {
	w.t.Helper()
	var all []string
	r := w.replica(id)
	err := r.scan(r.log.StartOffset(), func(b record.Batch) {
		if err := b.Each(func(rec record.Record) error {
			all = append(all, fmt.Sprintf("%d=%s", rec.Offset, rec.Value))
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// runFor runs a loop for a while and waits for its end.
func runFor(t *testing.T, run func(context.Context) error, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := run(ctx); err != nil {
		t.Error(err)
	}
}
