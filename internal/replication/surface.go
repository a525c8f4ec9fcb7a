package replication

import (
	"context"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/trace"
)

// The parts of package partition that links stand on, by what they are for.
// [partition.Replica] and [partition.Table] are them in a broker; tests put
// replicas in their place that fail on demand.

// source is the log of a partition that this broker leads.
type source interface {
	Position(epoch cluster.Epoch) (logEnd, highWatermark int64, ok bool)
	ReadForFollower(epoch cluster.Epoch, offset int64, maxBytes int) (partition.Chunk, error)
}

// term is what sessions are opened with.
type term interface {
	Lead() (partition.LeadInfo, bool)
	CutFor(epoch cluster.Epoch, pos partition.FollowerPosition) (partition.Cut, error)
}

// tally counts what followers confirm.
type tally interface {
	FollowerOpened(peer cluster.BrokerID, epoch cluster.Epoch, session uint64, be cluster.BrokerEpoch, durableEnd, appendedEnd int64) error
	FollowerAck(peer cluster.BrokerID, epoch cluster.Epoch, session uint64, durableEnd, appendedEnd int64, how trace.Ack) error
	FollowerClosed(peer cluster.BrokerID, session uint64, reason string)
}

// board shows operators what a session is doing.
type board interface {
	FollowerLive(peer cluster.BrokerID, session uint64, live bool)
	FollowerState(peer cluster.BrokerID, state, reason string)
	Info() partition.Info
}

// ledReplica is a partition that this broker leads.
type ledReplica interface {
	source
	term
	tally
	board
}

// sessions accepts and ends the sessions of other leaders.
type sessions interface {
	OpenFollow(req partition.OpenRequest) (partition.FollowerPosition, error)
	CloseFollow(tp cluster.TopicPartition, session uint64)
	TruncateFollow(ctx context.Context, tp cluster.TopicPartition, session uint64, cut partition.Cut) (durableEnd int64, err error)
}

// sink takes what other leaders send.
type sink interface {
	AppendFrom(ctx context.Context, req partition.FollowRequest) error
	FollowHighWatermark(tp cluster.TopicPartition, session uint64, hw int64)
}

// replicas are this broker's replicas, in both roles.
type replicas interface {
	sessions
	sink
	Replica(tp cluster.TopicPartition) (ledReplica, bool)
	// Applied returns the index of the metadata that the replicas act on, and a
	// channel that is closed when it changes.
	Applied() (index uint64, changed <-chan struct{})
	PeerHeard(peer cluster.BrokerID)
}

// table is a [partition.Table] as links see it.
type table struct{ *partition.Table }

func (t table) Replica(tp cluster.TopicPartition) (ledReplica, bool) { return t.Get(tp) }
