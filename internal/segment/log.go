package segment

import (
	"fmt"
	"sync"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
)

// Log is one partition's log. Its methods are safe for concurrent use, with one
// rule: Append, TruncateTo, ResetTo, AdvanceStart, AssignEpoch and Mark are
// called by one goroutine at a time, as the partition's mutex has it anyway.
//
// Readers and appenders share mu, which is never held during IO. Files are
// written and removed by whoever holds the token of writing; a reader opens
// them for itself and reads below the published extent only.
type Log struct {
	o       Options
	writing chan *writer // holds the one writer while nobody writes

	mu     sync.RWMutex
	span   span     // guarded by mu
	epochs epochs   // guarded by mu
	tail   tail     // guarded by mu
	files  fileSet  // guarded by mu
	state  diskMark // guarded by mu
	err    error    // guarded by mu; why the log takes no more writes
}

// span are the offsets of a log. Invariant: start <= end.
type span struct {
	start, end int64
	last       lastBatch
}

// lastBatch describes the batch that ends the log; known is false if there has
// been none.
type lastBatch struct {
	epoch cluster.Epoch
	crc   uint32
	known bool
}

func lastOf(b record.Batch) lastBatch {
	return lastBatch{epoch: cluster.Epoch(b.LeaderEpoch()), crc: b.CRC(), known: true}
}

// diskMark is how far the disk has come.
type diskMark struct {
	// lowest is the smallest offset that the log, or its files, have been cut
	// to since the last Mark: a mark above it describes records that are gone.
	lowest int64
	// synced is what Sync last made durable.
	syncedEnd        int64
	syncedGeneration uint32
}

// StartOffset is the first offset of the log.
func (l *Log) StartOffset() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.span.start
}

// EndOffset is the offset that the next record gets.
func (l *Log) EndOffset() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.span.end
}

// Last tells the epoch and the CRC of the last batch; ok is false if the log
// has never held one.
func (l *Log) Last() (epoch cluster.Epoch, crc uint32, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.span.last.epoch, l.span.last.crc, l.span.last.known
}

// Epochs returns a copy of the epoch vector.
func (l *Log) Epochs() []EpochStart {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return append([]EpochStart(nil), l.epochs...)
}

// EpochAt is the leader epoch that the record at offset was written in.
func (l *Log) EpochAt(offset int64) (cluster.Epoch, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.epochs.at(offset)
}

// EndOffsetForEpoch returns the largest epoch not above e and where it ends
// (K6). If e is older than the whole vector it returns e and the start of the
// first known epoch (K7); for an empty vector, NoEpoch and the start of the log.
func (l *Log) EndOffsetForEpoch(e cluster.Epoch) (epoch cluster.Epoch, end int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.epochs.endOf(e, l.span.start, l.span.end)
}

// AssignEpoch starts a leader epoch at an offset, even if no record follows
// (K4).
//
// Errors: ErrEpochOrder, ErrOffsetOutOfRange.
func (l *Log) AssignEpoch(e cluster.Epoch, start int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e < 0 || start < 0 || start > l.span.end {
		return l.fail("assign epoch", start, fmt.Errorf("epoch %d, log end %d: %w", e, l.span.end, ErrOffsetOutOfRange))
	}
	v, err := l.epochs.assign(e, start)
	if err != nil {
		return l.fail("assign epoch", start, err)
	}
	l.epochs = v
	return nil
}

// fail wraps an error of an operation on the partition.
func (l *Log) fail(op string, offset int64, err error) error {
	return &Error{Op: op, Path: l.o.Dir, Offset: offset, Err: err}
}

// Append adds one or more whole, stamped batches. It touches memory only, and
// keeps b: the caller must not change it any more.
//
// Errors: ErrGap, ErrEpochOrder, ErrFailed, and those of record.Next.
func (l *Log) Append(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if err := l.acceptable(b); err != nil {
		return l.fail("append", l.span.end, err)
	}
	for len(b) > 0 {
		next, rest, err := record.Next(b)
		if err != nil {
			return l.fail("append", l.span.end, err)
		}
		l.push(next)
		b = rest
	}
	return nil
}

// acceptable checks batches before any of them is appended. REQUIRES: l.mu is
// held.
func (l *Log) acceptable(b []byte) error {
	end, epoch := l.span.end, l.epochs.latest(l.span.end)
	for len(b) > 0 {
		next, rest, err := record.Next(b)
		switch {
		case err != nil:
			return err
		case !l.follows(next, end):
			return fmt.Errorf("batch [%d, %d): %w", next.BaseOffset(), next.NextOffset(), ErrGap)
		case cluster.Epoch(next.LeaderEpoch()) < epoch:
			return ErrEpochOrder
		}
		end, epoch, b = next.NextOffset(), cluster.Epoch(next.LeaderEpoch()), rest
	}
	return nil
}

// follows reports whether a batch continues the log. An empty log may start
// within a batch: records can be deleted up to any offset, and a follower that
// starts there gets the whole batch. REQUIRES: l.mu is held.
func (l *Log) follows(b record.Batch, end int64) bool {
	if b.BaseOffset() == end {
		return true
	}
	empty := l.span.start == l.span.end && end == l.span.end
	return empty && b.BaseOffset() < end && b.NextOffset() > end
}

// push appends a checked batch. REQUIRES: l.mu is held.
func (l *Log) push(b record.Batch) {
	epoch := cluster.Epoch(b.LeaderEpoch())
	if n := len(l.epochs); epoch >= 0 && (n == 0 || l.epochs[n-1].Epoch != epoch) {
		// The order was checked, so this cannot fail.
		l.epochs, _ = l.epochs.assign(epoch, b.BaseOffset())
	}
	l.tail.push(b)
	l.span.end = b.NextOffset()
	l.span.last = lastOf(b)
}
