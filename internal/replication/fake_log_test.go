package replication

import (
	"fmt"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/trace"
)

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
	outside   cluster.BrokerID // the follower that the high watermark does not wait for
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

// advance moves the high watermark to what every follower has that it waits for.
func (l *fakeLog) advance() bool {
	to := l.durable
	for _, id := range l.followers {
		if id == l.outside {
			continue
		}
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

func (l *fakeLog) FollowerAck(peer cluster.BrokerID, epoch cluster.Epoch, session uint64, durableEnd, appendedEnd int64, _ trace.Ack) error {
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
