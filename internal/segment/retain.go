package segment

import (
	"fmt"
	"math"
	"time"
)

// Retention says what to keep.
type Retention struct {
	// Time is the age at which segments are deleted; zero or less keeps all.
	Time time.Duration
	// Bytes is the size that the log is cut down to; zero or less keeps all.
	Bytes int64
	// Limit refuses to delete more than so many segments by age in one call,
	// for use when the wall clock cannot be trusted; zero is no limit.
	Limit int
}

// Retain moves the start of the log past whole segments that the retention
// does not keep and that end at below or before. A segment is as old as its
// youngest record; one without timestamps never expires. The segment that is
// being written goes too once all of it has expired. The files go with the next
// checkpoint. It returns how many segments were dropped.
//
// Errors: ErrClockJump.
func (l *Log) Retain(now time.Time, keep Retention, below int64) (deleted int, err error) {
	w := <-l.writing // no flush is under way
	defer func() { l.writing <- w }()
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.expired(now, keep, below)
	if keep.Limit > 0 && old > keep.Limit {
		return 0, l.fail("retain", l.span.start, fmt.Errorf("%d segments, limit %d: %w", old, keep.Limit, ErrClockJump))
	}
	n := max(old, l.oversized(keep, below))
	if n == 0 {
		return 0, nil
	}
	if l.files.live[n-1] == l.files.active {
		l.files.active = nil
	}
	l.advance(l.files.live[n-1].end)
	return n, nil
}

// expired counts the oldest segments that are too old. REQUIRES: l.mu is held.
func (l *Log) expired(now time.Time, keep Retention, below int64) int {
	if keep.Time <= 0 {
		return 0
	}
	oldest := now.Add(-keep.Time).UnixMilli()
	n := 0
	for _, f := range l.files.live {
		if f.end > below || f.maxTimestamp < 0 || f.maxTimestamp >= oldest {
			break
		}
		n++
	}
	return n
}

// oversized counts the oldest segments without which the log is still as large
// as it may be. REQUIRES: l.mu is held.
func (l *Log) oversized(keep Retention, below int64) int {
	if keep.Bytes <= 0 {
		return 0
	}
	size := l.sizeBytes()
	n := 0
	for _, f := range l.files.live {
		if f == l.files.active || f.end > below || size-f.bytes < keep.Bytes {
			break
		}
		size -= f.bytes
		n++
	}
	return n
}

// SetSegmentBytes changes the size at which the active segment is sealed, from
// the next flush on; zero or less, and more than an index can address, change
// nothing.
func (l *Log) SetSegmentBytes(n int64) {
	if n <= 0 || n > math.MaxInt32 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files.segmentBytes = n
}

// SizeBytes is the size of the log, in files and in memory.
func (l *Log) SizeBytes() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.sizeBytes()
}

// sizeBytes is SizeBytes. REQUIRES: l.mu is held.
func (l *Log) sizeBytes() int64 { return l.files.bytes() + l.tail.bytesFrom(l.files.flushed) }

// BytesBetween estimates the size of a range of offsets, without IO: within a
// file it takes all records to be of the same size.
func (l *Log) BytesBetween(from, to int64) int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	from, to = max(from, l.span.start), min(to, l.span.end)
	total := int64(0)
	for _, f := range l.files.live {
		if common := min(to, f.end) - max(from, f.base); common > 0 {
			total += int64(float64(f.bytes) * float64(common) / float64(f.end-f.base))
		}
	}
	for _, b := range l.tail.batches[l.tail.find(max(from, l.files.flushed)):] {
		if b.BaseOffset() >= to {
			break
		}
		total += int64(len(b))
	}
	return total
}

// Info describes a segment.
type Info struct {
	// Base and End are the offsets it spans.
	Base, End int64
	// Bytes is its size.
	Bytes int64
	// MaxTimestampMillis is the largest timestamp in it, -1 if there is none.
	MaxTimestampMillis int64
}

// Segments describes the segment files, oldest first.
func (l *Log) Segments() []Info {
	l.mu.RLock()
	defer l.mu.RUnlock()
	infos := make([]Info, 0, len(l.files.live))
	for _, f := range l.files.live {
		infos = append(infos, Info{Base: f.base, End: f.end, Bytes: f.bytes, MaxTimestampMillis: f.maxTimestamp})
	}
	return infos
}
