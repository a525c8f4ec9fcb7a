package replication

import (
	"context"
	"fmt"
	"slices"
	"sync"
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
	fsync time.Duration // how long a round takes

	mu      sync.Mutex
	logs    map[cluster.TopicPartition]*fakeLog // guarded by mu
	index   uint64                              // guarded by mu
	ready   bool                                // guarded by mu; registered: may accept sessions
	changed chan struct{}                       // guarded by mu
	heard   map[cluster.BrokerID]int            // guarded by mu
	rounds  int                                 // guarded by mu
	stuck   bool                                // guarded by mu; the disk hangs
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
		stuck := t.stuck
		ends := map[*fakeLog]fakeEnd{}
		for _, l := range t.logs {
			ends[l] = fakeEnd{end: l.end(), generation: l.generation}
		}
		t.mu.Unlock()
		if stuck {
			continue
		}
		timer := time.NewTimer(t.fsync)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		t.synced(ends)
	}
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
	timer := time.NewTimer(t.fsync)
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

func (t *fakeTable) AppendFrom(_ context.Context, req partition.FollowRequest) error {
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

// fakeLog is one replica. All of it is guarded by fakeTable.mu.
type fakeLog struct {
	t          *fakeTable
	tp         cluster.TopicPartition
	start      int64
	batches    []record.Batch
	durable    int64
	hw         int64
	generation int
	seen       cluster.Epoch
	broken     error // what AppendFrom fails with
	diverged   int   // appends that did not fit
	opened     int   // sessions accepted
	readMax    int   // the most that one read may return, 0: unlimited
	reads      int

	leading   bool
	epoch     cluster.Epoch
	partEpoch cluster.PartitionEpoch
	meta      uint64
	followers []cluster.BrokerID
	counted   map[cluster.BrokerID]*fakeFollower

	follow fakeSession
}

type fakeSession struct {
	id     uint64
	epoch  cluster.Epoch
	sink   partition.AckSink
	acking bool
}

type fakeFollower struct {
	session           uint64
	durable, appended int64
	live              bool
	lanes             []bool // every FollowerLive
	state, reason     string
	states            []string
	stale             int // acks that did not count
}

func (l *fakeLog) become(p *cluster.Partition, self cluster.BrokerID, registered bool) {
	if p.Leader == self && registered && p.LeaderEpoch >= l.seen {
		if !l.leading || l.epoch != p.LeaderEpoch {
			l.counted = map[cluster.BrokerID]*fakeFollower{}
			l.meta = l.t.index
		}
		l.leading, l.epoch, l.seen = true, p.LeaderEpoch, p.LeaderEpoch
		l.follow = fakeSession{}
	} else if p.LeaderEpoch > l.seen {
		l.leading, l.seen = false, p.LeaderEpoch
		l.follow = fakeSession{}
	}
	l.partEpoch = p.PartitionEpoch
	l.followers = nil
	for _, id := range p.Replicas {
		if id != self {
			l.followers = append(l.followers, id)
		}
	}
}

func (l *fakeLog) end() int64 {
	if n := len(l.batches); n > 0 {
		return l.batches[n-1].NextOffset()
	}
	return l.start
}

func (l *fakeLog) last() (cluster.Epoch, uint32) {
	if n := len(l.batches); n > 0 {
		return cluster.Epoch(l.batches[n-1].LeaderEpoch()), l.batches[n-1].CRC()
	}
	return cluster.NoEpoch, 0
}

func (l *fakeLog) vector() (v []partition.EpochStart) {
	for _, b := range l.batches {
		e := cluster.Epoch(b.LeaderEpoch())
		if len(v) == 0 || v[len(v)-1].Epoch != e {
			v = append(v, partition.EpochStart{Epoch: e, Start: b.BaseOffset()})
		}
	}
	return v
}

func (l *fakeLog) cut(c partition.Cut) {
	if c.Reset {
		l.batches, l.start = nil, c.To
	}
	for len(l.batches) > 0 && l.end() > c.To {
		l.batches = l.batches[:len(l.batches)-1]
	}
	l.generation++
	l.durable = l.end()
	l.hw = min(l.hw, l.end())
}

// write appends as the leader, or as an old leader did.
func (l *fakeLog) write(epoch cluster.Epoch, size int) {
	b := record.NewBuilder(l.end()).Append(nil, make([]byte, size), nil, 0).Bytes()
	copy(b[len(b)-8:], fmt.Sprintf("%08d", l.end()))
	b.Stamp(l.end(), int32(epoch))
	l.batches = append(l.batches, b)
}

// advance moves the high watermark to what every follower has.
func (l *fakeLog) advance() bool {
	to := l.durable
	for _, id := range l.followers {
		f := l.counted[id]
		if f == nil || f.session == 0 {
			return false
		}
		to = min(to, f.durable)
	}
	moved := to > l.hw
	l.hw = max(l.hw, to)
	return moved
}

func (l *fakeLog) follower(id cluster.BrokerID) *fakeFollower {
	f, ok := l.counted[id]
	if !ok {
		f = &fakeFollower{durable: -1}
		l.counted[id] = f
	}
	return f
}

func (l *fakeLog) Lead() (partition.LeadInfo, bool) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	return partition.LeadInfo{
		TP: l.tp, Epoch: l.epoch, PartitionEpoch: l.partEpoch, MetaIndex: l.meta,
		LogStart: l.start, LogEnd: l.end(), HighWatermark: l.hw, Followers: slices.Clone(l.followers),
	}, l.leading
}

func (l *fakeLog) Position(epoch cluster.Epoch) (int64, int64, bool) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	return l.end(), l.hw, l.leading && l.epoch == epoch
}

func (l *fakeLog) ReadForFollower(epoch cluster.Epoch, offset int64, maxBytes int) (partition.Chunk, error) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	l.reads++
	switch {
	case !l.leading || l.epoch != epoch:
		return partition.Chunk{}, fakeError(l, partition.ErrNotLeader)
	case offset < l.start || offset > l.end():
		return partition.Chunk{}, fakeError(l, partition.ErrOffsetOutOfRange)
	}
	if l.readMax > 0 {
		maxBytes = min(maxBytes, l.readMax)
	}
	c := partition.Chunk{Base: offset, Next: offset, PrevEpoch: cluster.NoEpoch, HighWatermark: l.hw, LogStart: l.start}
	i, found := slices.BinarySearchFunc(l.batches, offset, func(b record.Batch, o int64) int { return int(b.BaseOffset() - o) })
	if i > 0 {
		c.PrevEpoch, c.PrevCRC = cluster.Epoch(l.batches[i-1].LeaderEpoch()), l.batches[i-1].CRC()
	}
	if !found {
		return c, nil
	}
	for ; i < len(l.batches) && (len(c.Batches) == 0 || maxBytes >= len(l.batches[i])); i++ {
		c.Batches = append(c.Batches, l.batches[i])
		maxBytes -= len(l.batches[i])
		c.Next = l.batches[i].NextOffset()
	}
	return c, nil
}

func (l *fakeLog) CutFor(epoch cluster.Epoch, pos partition.FollowerPosition) (partition.Cut, error) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	if !l.leading || l.epoch != epoch {
		return partition.Cut{}, fakeError(l, partition.ErrNotLeader)
	}
	if pos.LogEnd < l.start {
		return partition.Cut{To: l.start, Reset: true, Needed: true}, nil
	}
	common := l.start
	theirEnd := pos.LogEnd
	for _, e := range slices.Backward(pos.Epochs) {
		if end, ok := l.epochEnd(e.Epoch); ok {
			common = min(theirEnd, end)
			break
		}
		theirEnd = e.Start
	}
	if len(pos.Epochs) == 0 {
		common = pos.LogEnd
	}
	return partition.Cut{To: common, Needed: common != pos.LogEnd}, nil
}

func (l *fakeLog) epochEnd(epoch cluster.Epoch) (end int64, ok bool) {
	for _, b := range l.batches {
		if b.LeaderEpoch() == int32(epoch) {
			end, ok = b.NextOffset(), true
		}
	}
	return end, ok
}

func (l *fakeLog) FollowerOpened(peer cluster.BrokerID, epoch cluster.Epoch, session uint64, _ cluster.BrokerEpoch, durableEnd, appendedEnd int64) error {
	l.t.mu.Lock()
	if !l.leading || l.epoch != epoch {
		defer l.t.mu.Unlock()
		return fakeError(l, partition.ErrStaleSession)
	}
	f := l.follower(peer)
	f.session, f.durable, f.appended, f.state, f.reason = session, durableEnd, appendedEnd, "", ""
	moved := l.advance()
	l.t.mu.Unlock()
	if moved {
		l.t.wake(l.tp)
	}
	return nil
}

func (l *fakeLog) FollowerAck(peer cluster.BrokerID, epoch cluster.Epoch, session uint64, durableEnd, appendedEnd int64) error {
	l.t.mu.Lock()
	f := l.follower(peer)
	if !l.leading || l.epoch != epoch || f.session != session {
		f.stale++
		defer l.t.mu.Unlock()
		return fakeError(l, partition.ErrStaleSession)
	}
	f.durable, f.appended = durableEnd, appendedEnd
	moved := l.advance()
	l.t.mu.Unlock()
	if moved {
		l.t.wake(l.tp)
	}
	return nil
}

func (l *fakeLog) FollowerClosed(peer cluster.BrokerID, session uint64, reason string) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	if f := l.follower(peer); f.session == session || f.session == 0 {
		f.session, f.reason = 0, reason
	}
}

func (l *fakeLog) FollowerLive(peer cluster.BrokerID, session uint64, live bool) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	if f := l.follower(peer); f.session == session {
		f.live = live
		f.lanes = append(f.lanes, live)
	}
}

func (l *fakeLog) FollowerState(peer cluster.BrokerID, state, reason string) {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	f := l.follower(peer)
	f.state, f.reason = state, reason
	f.states = append(f.states, state)
}

func (l *fakeLog) Info() partition.Info {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	var info partition.Info
	for _, id := range l.followers {
		f := l.follower(id)
		i := partition.FollowerInfo{ID: id, LagRecords: -1, LagBytes: -1, Lag: -1, AckWaitShare: -1}
		if f.durable >= 0 {
			i.LagRecords, i.Lag = l.end()-f.durable, 0
			i.InISR = f.durable >= l.hw
		}
		info.Followers = append(info.Followers, i)
	}
	return info
}
