package partition

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

// Info is a consistent view of one replica, for DescribeQuorum, DescribeLogDirs
// and metrics. Unknown numbers are negative, unknown times zero.
type Info struct {
	TP               cluster.TopicPartition
	Topic            string
	Leading          bool
	Leader           cluster.BrokerID
	Epoch            cluster.Epoch
	PartitionEpoch   cluster.PartitionEpoch
	Replicas, ISR    []cluster.BrokerID
	MinISR           int
	Flush            cluster.FlushMode
	LogStartOffset   int64
	HighWatermark    int64
	DurableEndOffset int64
	LogEndOffset     int64
	SizeBytes        int64
	PendingAcks      int
	Failed           string         // not empty: why this replica does not serve
	Suspended        bool           // the lease ran out
	LastISRChange    string         // of a leader: when, from what to what, and why
	Followers        []FollowerInfo // of a leader
	// SelfAckWaitShare and SelfAckWaitP99 are the leader's own part in recent
	// acknowledgements, as in FollowerInfo; negative: unknown.
	SelfAckWaitShare float64
	SelfAckWaitP99   time.Duration
}

// FollowerInfo is the leader's view of one follower.
type FollowerInfo struct {
	ID                cluster.BrokerID
	State             string // a word of package status
	Reason            string
	InISR             bool
	DurableEndOffset  int64
	AppendedEndOffset int64
	LagRecords        int64
	LagBytes          int64
	Lag               time.Duration // negative: unknown
	LastCaughtUp      time.Time
	LastHeard         time.Time
	AckWaitShare      float64 // share of recent acknowledgements it was last for
	AckWaitP99        time.Duration
	Flaps             int
}

// Info describes the replica.
func (r *Replica) Info() Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	info := Info{
		TP: r.tp, Topic: r.topic, Leader: cluster.NoBroker, Epoch: r.maxSeenEpoch, Failed: r.failed,
		Flush: r.meta.config.Flush, MinISR: r.meta.minISR,
		HighWatermark: r.highWatermark, DurableEndOffset: r.durableEnd,
	}
	if p := r.meta.part; p != nil {
		info.Leader, info.Epoch, info.PartitionEpoch = p.Leader, p.LeaderEpoch, p.PartitionEpoch
		info.Replicas, info.ISR = p.Replicas, p.ISR
	}
	if r.log != nil {
		info.LogStartOffset, info.LogEndOffset, info.SizeBytes = r.log.StartOffset(), r.log.EndOffset(), r.log.SizeBytes()
	}
	if r.lead != nil && r.failed == "" {
		info.Leading, info.Suspended, info.LastISRChange = true, r.lead.suspended, r.lead.changed
		info.ISR = slices.Clone(r.lead.state.ISR())
		info.PendingAcks = r.lead.replicas.len() + r.lead.local.len()
		now := r.now()
		info.SelfAckWaitShare, info.SelfAckWaitP99 = r.lead.state.LeaderWait(now)
		info.SelfAckWaitShare = knownShare(info.SelfAckWaitShare)
		for _, f := range r.lead.state.Followers(now) {
			info.Followers = append(info.Followers, r.followerInfo(f, info.LogEndOffset))
		}
	}
	return info
}

// followerInfo: REQUIRES r.mu is held and r leads.
func (r *Replica) followerInfo(f isr.FollowerStatus, end int64) FollowerInfo {
	info := FollowerInfo{
		ID: f.ID, State: f.State.String(), Reason: f.Reason, InISR: f.InISR,
		DurableEndOffset: f.DurableEnd, AppendedEndOffset: f.AppendedEnd,
		LagRecords: -1, LagBytes: -1, Lag: -1, LastCaughtUp: f.LastCaughtUp,
		AckWaitShare: knownShare(f.AckWaitShare), AckWaitP99: f.AckWaitP99, Flaps: f.Flaps,
	}
	if note, ok := r.lead.notes[f.ID]; ok {
		if note.state != "" {
			info.State = note.state
		}
		switch {
		case info.Reason == "":
			info.Reason = note.reason
		case note.state != "" && note.reason != "": // what the link knows is the cause of the rest
			info.Reason = note.reason + "; " + info.Reason
		}
	}
	if at, ok := r.t.peerAt.Load(f.ID); ok {
		info.LastHeard = r.t.started.Add(time.Duration(at.(*atomic.Int64).Load()))
	}
	if f.DurableEnd >= 0 {
		info.LagRecords = max(0, end-f.DurableEnd)
		info.LagBytes = r.log.BytesBetween(f.DurableEnd, end)
		info.Lag = f.Lag
	}
	return info
}

// Failed lists the replicas that do not serve because their disk or log
// refused, so that the controller can take them out of the in-sync sets (K39),
// and the newest leader epoch that each was part of.
func (t *Table) Failed() (failed []cluster.TopicPartition, in []cluster.Epoch) {
	for _, r := range t.Replicas() {
		r.mu.Lock()
		if r.failed != "" {
			failed, in = append(failed, r.tp), append(in, r.maxSeenEpoch)
		}
		r.mu.Unlock()
	}
	return failed, in
}

// knownShare turns "not a number" into a negative number, which JSON can carry.
func knownShare(share float64) float64 {
	if math.IsNaN(share) {
		return -1
	}
	return share
}
