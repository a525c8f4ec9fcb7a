package replication

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
)

// fakeTable is a broker's replicas in memory, with the rules of package
// partition that replication depends on and switches for what can go wrong.
type fakeTable struct {
	self cluster.BrokerID
	// wake and flush are the manager's.
	wake  func(cluster.TopicPartition)
	flush func()
	dirty chan struct{} // something is to be synced; capacity 1

	mu      sync.Mutex
	fsync   time.Duration                       // guarded by mu; how long a round takes
	disk    *fakeDisk                           // guarded by mu; what it waits for besides, nil: nothing
	logs    map[cluster.TopicPartition]*fakeLog // guarded by mu
	index   uint64                              // guarded by mu
	ready   bool                                // guarded by mu; registered: may accept sessions
	changed chan struct{}                       // guarded by mu
	heard   map[cluster.BrokerID]int            // guarded by mu
	rounds  int                                 // guarded by mu
	stuck   bool                                // guarded by mu; the disk hangs
	room    chan struct{}                       // guarded by mu; appends wait for it, nil: none do

	reserving atomic.Int64 // appends that wait for room
}

func newFakeTable(self cluster.BrokerID) *fakeTable {
	return &fakeTable{
		self: self, wake: func(cluster.TopicPartition) {}, flush: func() {},
		dirty: make(chan struct{}, 1), fsync: 200 * time.Microsecond,
		logs: map[cluster.TopicPartition]*fakeLog{}, changed: make(chan struct{}), heard: map[cluster.BrokerID]int{},
	}
}

// run is the disk: it makes durable whatever was appended when a round begins.
func (t *fakeTable) run(ctx context.Context) {
	for {
		select {
		case <-t.dirty:
		case <-ctx.Done():
			return
		}
		t.mu.Lock()
		stuck, fsync := t.stuck, t.fsync
		ends := map[*fakeLog]fakeEnd{}
		for _, l := range t.logs {
			ends[l] = fakeEnd{end: l.end(), generation: l.generation}
		}
		if t.disk != nil {
			fsync += t.disk.wait(t.dirtyBytes())
		}
		t.mu.Unlock()
		if stuck {
			continue
		}
		timer := time.NewTimer(fsync)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		t.synced(ends)
	}
}

// dirtyBytes is what the next round writes. t.mu is held.
func (t *fakeTable) dirtyBytes() (n int) {
	for _, l := range t.logs {
		for i := len(l.batches) - 1; i >= 0 && l.batches[i].BaseOffset() >= l.durable; i-- {
			n += len(l.batches[i])
		}
	}
	return n
}

// fakeDisk is shared by several tables: one round waits for those before it.
type fakeDisk struct {
	bytesPerSecond int

	mu   sync.Mutex
	busy time.Time // guarded by mu; until then
}

// wait is how long it takes until so many bytes are written.
func (d *fakeDisk) wait(n int) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.busy.Before(now) {
		d.busy = now
	}
	d.busy = d.busy.Add(time.Duration(float64(n) / float64(d.bytesPerSecond) * float64(time.Second)))
	return d.busy.Sub(now)
}

type fakeEnd struct {
	end        int64
	generation int
}

func (t *fakeTable) synced(ends map[*fakeLog]fakeEnd) {
	var calls []func()
	t.mu.Lock()
	t.rounds++
	for l, e := range ends {
		if e.generation != l.generation || e.end <= l.durable {
			continue
		}
		l.durable = e.end
		if f := l.follow; f.id != 0 && f.acking {
			durable, appended := l.durable, l.end()
			calls = append(calls, func() { f.sink.Ack(l.tp, f.id, durable, appended) })
		}
		if l.leading && l.advance() {
			calls = append(calls, func() { t.wake(l.tp) })
		}
	}
	t.mu.Unlock()
	for _, call := range calls {
		call()
	}
	t.flush()
}

// apply is metadata: who leads what.
func (t *fakeTable) apply(img *cluster.Image, registered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.index, t.ready = img.Index(), registered
	for _, topic := range img.Topics() {
		for i, p := range topic.Partitions {
			tp := cluster.TopicPartition{TopicID: topic.ID, Partition: int32(i)}
			if p.HasReplica(t.self) {
				t.log(tp).become(p, t.self, registered)
			}
		}
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

// log: t.mu is held.
func (t *fakeTable) log(tp cluster.TopicPartition) *fakeLog {
	l, ok := t.logs[tp]
	if !ok {
		l = &fakeLog{t: t, tp: tp, seen: cluster.NoEpoch, counted: map[cluster.BrokerID]*fakeFollower{}}
		t.logs[tp] = l
	}
	return l
}

func (t *fakeTable) Replica(tp cluster.TopicPartition) (ledReplica, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.logs[tp]
	return l, ok
}

func (t *fakeTable) Applied() (uint64, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.index, t.changed
}

func (t *fakeTable) PeerHeard(peer cluster.BrokerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard[peer]++
}

func fakeError(l *fakeLog, err error) error {
	return &partition.Error{Topic: "fake", TP: l.tp, Op: "test", Epoch: l.seen, Err: err}
}

func (t *fakeTable) OpenFollow(req partition.OpenRequest) (partition.FollowerPosition, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.logs[req.TP]
	if !t.ready || !ok && req.MetaIndex > t.index {
		return partition.FollowerPosition{}, &partition.Error{TP: req.TP, Err: partition.ErrNotReady}
	}
	if !ok {
		return partition.FollowerPosition{}, &partition.Error{TP: req.TP, Err: partition.ErrRemoved}
	}
	switch {
	case req.Epoch < l.seen || l.leading && l.epoch >= req.Epoch:
		return partition.FollowerPosition{}, fakeError(l, partition.ErrFencedEpoch)
	case l.follow.epoch == req.Epoch && l.follow.id > req.Session:
		return partition.FollowerPosition{}, fakeError(l, partition.ErrStaleSession)
	}
	l.leading = false
	l.seen = req.Epoch
	l.follow = fakeSession{id: req.Session, epoch: req.Epoch, sink: req.Sink}
	l.opened++
	return partition.FollowerPosition{
		BrokerEpoch: cluster.BrokerEpoch(t.self) * 100, LogStart: l.start, LogEnd: l.end(), DurableEnd: l.durable, Epochs: l.vector(),
	}, nil
}

func (t *fakeTable) CloseFollow(tp cluster.TopicPartition, session uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l, ok := t.logs[tp]; ok && l.follow.id == session {
		l.follow = fakeSession{}
	}
}

func (t *fakeTable) TruncateFollow(ctx context.Context, tp cluster.TopicPartition, session uint64, cut partition.Cut) (int64, error) {
	timer := time.NewTimer(time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.logs[tp]
	switch {
	case l.follow.id != session:
		return 0, fakeError(l, partition.ErrStaleSession)
	case cut.To < l.hw && !cut.Reset:
		return 0, fakeError(l, partition.ErrTruncateCommitted)
	}
	l.cut(cut)
	return l.durable, nil
}

func (t *fakeTable) AppendFrom(ctx context.Context, req partition.FollowRequest) error {
	if err := t.reserve(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.logs[req.TP]
	if !ok {
		return &partition.Error{TP: req.TP, Err: partition.ErrRemoved}
	}
	epoch, crc := l.last()
	switch {
	case l.follow.id != req.Session:
		return fakeError(l, partition.ErrStaleSession)
	case l.broken != nil:
		return fakeError(l, l.broken)
	case req.Base != l.end(), len(l.batches) > 0 && (epoch != req.PrevEpoch || crc != req.PrevCRC):
		l.diverged++
		return fakeError(l, partition.ErrDiverged)
	}
	for rest := req.Batches; len(rest) > 0; {
		b, tail, err := record.Next(rest)
		if err != nil {
			return fakeError(l, partition.ErrDiverged)
		}
		l.batches, rest = append(l.batches, b), tail
	}
	l.follow.acking = true
	l.hw = max(l.hw, min(req.HighWatermark, l.end()))
	signal(t.dirty)
	return nil
}

// reserve waits while the write buffer is full.
func (t *fakeTable) reserve(ctx context.Context) error {
	t.mu.Lock()
	room := t.room
	t.mu.Unlock()
	if room == nil {
		return nil
	}
	t.reserving.Add(1)
	defer t.reserving.Add(-1)
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return partition.ErrBusy
	}
}

func (t *fakeTable) FollowHighWatermark(tp cluster.TopicPartition, session uint64, hw int64) {
	t.mu.Lock()
	l, ok := t.logs[tp]
	if !ok || l.follow.id != session {
		t.mu.Unlock()
		return
	}
	first := !l.follow.acking
	l.follow.acking = true
	l.hw = max(l.hw, min(hw, l.end()))
	s, durable, appended := l.follow.sink, l.durable, l.end()
	t.mu.Unlock()
	if first {
		s.Ack(tp, session, durable, appended)
	}
}
