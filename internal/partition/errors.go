package partition

import (
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Causes. Every error of this package is an [*Error] that wraps one of these,
// or an error of the packages below; api/errors.go maps them to Kafka codes.
var (
	// ErrNotLeader says that this broker does not lead the partition (now, or
	// any more): the caller should follow Error.Leader.
	ErrNotLeader = errors.New("not the leader of this partition")
	// ErrNotEnoughReplicas says that nothing was appended because too few
	// replicas are in sync (K24).
	ErrNotEnoughReplicas = errors.New("fewer in-sync replicas than min.insync.replicas")
	// ErrNotEnoughReplicasAfterAppend says that the batch is in the leader's log
	// but the in-sync set shrank below the minimum before it was acknowledged
	// (K25). It may still commit later.
	ErrNotEnoughReplicasAfterAppend = errors.New("in-sync replicas fell below min.insync.replicas after the append")
	// ErrTimedOut says that the acknowledgement did not arrive before the
	// request's deadline. The record stays and may commit later (K25).
	ErrTimedOut = errors.New("not acknowledged by all in-sync replicas in time")
	// ErrOffsetOutOfRange says that the offset lies below the log start or beyond
	// the leader's log end.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrOffsetNotAvailable says that the high watermark is not known well
	// enough here: a new leader has not heard from every in-sync replica (K15,
	// KIP-207), or a follower was not told (KIP-392). Retry.
	ErrOffsetNotAvailable = errors.New("high watermark not yet known here")
	// ErrFencedEpoch says that the other side is in an older leader epoch (K9).
	ErrFencedEpoch = errors.New("older leader epoch")
	// ErrUnknownEpoch says that the other side is in a newer leader epoch than
	// this broker knows of yet (K9). Retry.
	ErrUnknownEpoch = errors.New("newer leader epoch than known here")
	// ErrNotReady says that metadata which the request is based on has not been
	// applied here yet (R5): park, and try again when the image changes.
	ErrNotReady = errors.New("metadata not applied yet")
	// ErrRemoved says that the partition does not exist, or not on this broker.
	ErrRemoved = errors.New("no such partition on this broker")
	// ErrStaleSession says that a frame belongs to a replication session that
	// was closed or preempted (R3, R4).
	ErrStaleSession = errors.New("stale replication session")
	// ErrDiverged says that a batch does not continue this log: gap, overlap, or
	// another predecessor (R6).
	ErrDiverged = errors.New("batch does not continue the log")
	// ErrTruncateCommitted refuses a truncation below the high watermark (R7).
	ErrTruncateCommitted = errors.New("refusing to truncate below the high watermark")
	// ErrStorage says that this broker's disk failed or is full: the partition
	// cannot be written here.
	ErrStorage = errors.New("storage failed")
	// ErrDiskFull is the ErrStorage of a disk that is down to its reserve: what
	// is there is served, and appends go on when there is room again.
	ErrDiskFull = fmt.Errorf("disk full: %w", ErrStorage)
	// ErrBusy says that there was no room to append until the deadline: in the
	// write buffer, in memory, or in what a restart may have to replay.
	ErrBusy = errors.New("no room to append in time")
)

// Error says where, in which epoch and during what an operation failed.
type Error struct {
	Topic  string
	TP     cluster.TopicPartition
	Op     string
	Epoch  cluster.Epoch    // this replica's current leader epoch
	Leader cluster.BrokerID // who leads in that epoch, NoBroker when unknown
	Detail string           // what to do next, or the values that clash
	Err    error            // the cause
}

// Error is "orders-0 epoch 3: append: cause (detail)".
func (e *Error) Error() string {
	s := fmt.Sprintf("%s-%d epoch %d: %s: %v", e.Topic, e.TP.Partition, e.Epoch, e.Op, e.Err)
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
