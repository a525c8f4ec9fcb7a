package partition

import (
	"context"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/segment"
)

// Replica is this broker's copy of one partition. Exactly one of leading,
// following in a session, or waiting for either is true at any time.
//
// Lock order: files, transition, mu. mu is held for memory only; no disk, socket
// or channel is waited for under it.
type Replica struct {
	t     *Table
	tp    cluster.TopicPartition
	topic string

	// transition serialises role changes, sessions and removal. No request path
	// takes it.
	transition turn
	// files keeps cuts and removal apart from checkpoints, which may sync for
	// long; role changes do not wait for those.
	files turn

	mu   sync.Mutex
	log  *segment.Log // safe for concurrent use; appended to under mu
	meta assignment   // guarded by mu
	// durableEnd is the offset after the last record that this broker's disk
	// holds. Invariant: durableEnd <= log.EndOffset(). Guarded by mu.
	durableEnd int64
	// generation counts truncations: a sync report of an older generation speaks
	// of bytes that were cut since. Guarded by mu.
	generation uint64
	// highWatermark is the newest one known, as leader or told by one.
	// Guarded by mu.
	highWatermark int64
	// maxSeenEpoch is the newest leader epoch met in metadata or on a link (R2);
	// it never decreases. Guarded by mu.
	maxSeenEpoch cluster.Epoch
	producers    *producer.State       // guarded by mu
	lead         *leadership           // guarded by mu; nil unless leading
	follow       followSession         // guarded by mu; zero unless following
	watchers     map[*Watcher]struct{} // guarded by mu
	failed       string                // guarded by mu; why this replica does not serve
	removed      bool                  // guarded by mu; failed because it is gone
	marked       bool                  // guarded by files; the failure marker is written
	aside        bool                  // owned by RunStorage; failed, and its files are moved away
	// windowsAt is the end of the part of the log that the snapshot of the producer
	// windows was taken of, as long as that part was not cut; negative: none.
	// Guarded by files; recovery has the replica to itself.
	windowsAt int64
	named     bool // guarded by files; the name of its directory is on the disk
}

// newReplica returns a replica without a log.
func newReplica(t *Table, tp cluster.TopicPartition) *Replica {
	return &Replica{
		t: t, tp: tp, maxSeenEpoch: cluster.NoEpoch, producers: producer.New(), windowsAt: -1,
		transition: newTurn(), files: newTurn(),
	}
}

// assignment is what the applied metadata says of the partition.
type assignment struct {
	topic  *cluster.Topic
	part   *cluster.Partition
	config cluster.TopicConfig
	minISR int
	index  uint64 // image that brought the current leader epoch
}

// leadership is a replica's state while it leads one epoch.
type leadership struct {
	epoch     cluster.Epoch
	state     *isr.State
	replicas  waiters // acks=all: released by the high watermark
	local     waiters // acks=1: released by this broker's own disk
	notes     map[cluster.BrokerID]linkNote
	suspended bool    // lease ran out: serve nothing until it is renewed
	held      waiters // refused since then, and not told yet
	// term ends with the leadership, by end.
	term context.Context
	end  context.CancelFunc
	// proposed is why this leader last asked for another in-sync set, and changed
	// what last became of it.
	proposed, changed string
}

// linkNote is what a link says of a follower without a counted session.
type linkNote struct{ state, reason string }

// followSession is the inbound replication session that may append here.
type followSession struct {
	id     uint64 // 0: none
	leader cluster.BrokerID
	epoch  cluster.Epoch
	sink   AckSink
	// acking is false until the leader counts this session (after truncation):
	// what is durable before that may yet be cut.
	acking bool
	// cutting is set from the moment a truncation is in the write-ahead log
	// until the files are cut.
	cutting bool
}

// TP returns the partition's name.
func (r *Replica) TP() cluster.TopicPartition { return r.tp }

// Topic returns the topic's name.
func (r *Replica) Topic() string { return r.topic }

// Config returns the topic's configuration as applied.
func (r *Replica) Config() cluster.TopicConfig {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.meta.config
}

func (r *Replica) now() time.Time { return r.t.o.Now() }

// fail builds the typed error of an operation. REQUIRES: r.mu is held.
func (r *Replica) fail(op string, cause error, detail string) *Error {
	e := &Error{
		Topic: r.topic, TP: r.tp, Op: op, Detail: detail, Err: cause,
		Epoch: r.maxSeenEpoch, Leader: cluster.NoBroker,
	}
	if p := r.meta.part; p != nil && p.LeaderEpoch >= r.maxSeenEpoch {
		e.Epoch, e.Leader = p.LeaderEpoch, p.Leader
	} else if r.follow.id != 0 && r.follow.epoch == r.maxSeenEpoch {
		e.Leader = r.follow.leader // metadata does not tell yet, the leader itself did
	}
	return e
}

// leading returns the leadership or says who leads. REQUIRES: r.mu is held.
func (r *Replica) leading(op string) (*leadership, error) {
	if err := r.unserved(op); err != nil {
		return nil, err
	}
	switch {
	case r.lead == nil:
		return nil, r.fail(op, ErrNotLeader, "")
	case r.lead.suspended:
		return nil, r.fail(op, ErrNotLeader, leaseRanOut)
	default:
		return r.lead, nil
	}
}

// checkEpoch compares the epoch another party speaks in with the leader's (K9).
// REQUIRES: r.mu is held.
func (r *Replica) checkEpoch(op string, theirs cluster.Epoch) error {
	if theirs == cluster.NoEpoch {
		return nil
	}
	ours := r.maxSeenEpoch
	switch {
	case theirs < ours:
		return r.fail(op, ErrFencedEpoch, "")
	case theirs > ours:
		return r.fail(op, ErrUnknownEpoch, "")
	default:
		return nil
	}
}
