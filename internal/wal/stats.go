package wal

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Stats describes a log since it was opened; latencies are those of the last
// minute or so.
type Stats struct {
	// Rounds and Syncs count writes to disk and fdatasyncs in the foreground.
	Rounds, Syncs uint64
	// Entries and Bytes count what was written, frames with their headers.
	Entries, Bytes uint64
	// SyncP50, SyncP99 and SyncMax are latencies of fdatasync.
	SyncP50, SyncP99, SyncMax time.Duration
	// SyncInFlight is the age of the sync that is going on, zero if none is.
	SyncInFlight time.Duration
	// Stalled is for how long nobody has got room although somebody waits for it in
	// Reserve, zero when nobody does.
	Stalled time.Duration
	// Buffered is the payload that is reserved or not yet on disk.
	Buffered int
	// Unreleased is the log that a restart may have to replay, as far as it was
	// written since the log was opened.
	Unreleased int64
	// Files are the log files in use, Ready those prepared to be used next.
	Files, Ready int
	// End and Durable are the positions.
	End, Durable LSN
	// NoSpace says that no further log file could be created.
	NoSpace bool
}

// Stats returns a snapshot.
func (l *Log) Stats() Stats {
	s := l.meter.snapshot(l.o.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Buffered, s.Unreleased = l.budget.used, l.budget.log
	s.Stalled = l.budget.stalled()
	s.Files, s.Ready = len(l.files.used), len(l.files.ready)
	s.End, s.Durable = l.marks.end, l.marks.durable
	s.NoSpace = l.state.noSpace != nil
	return s
}

// LastSync is how long the newest sync took; zero before the first. It is cheap
// enough to be asked for in every round.
func (l *Log) LastSync() time.Duration { return time.Duration(l.meter.last.Load()) }

// SyncInFlight and Stalled are those of [Stats], without the price of the rest:
// they are asked for whenever a session opens.
func (l *Log) SyncInFlight() time.Duration {
	l.meter.mu.Lock()
	defer l.meter.mu.Unlock()
	return l.meter.syncAge(l.o.Now())
}

// Stalled is described at [Log.SyncInFlight].
func (l *Log) Stalled() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.budget.stalled()
}

// latencyWindow is how long latencies are gathered before they are kept aside
// for as long again and then forgotten.
const latencyWindow = 30 * time.Second

// meter counts what Run does.
type meter struct {
	mu       sync.Mutex
	counts   Stats     // guarded by mu; only the counters
	inFlight time.Time // guarded by mu; zero if no sync is going on
	// last is how long the newest sync took.
	last   atomic.Int64
	since  time.Time // guarded by mu; when recent was begun
	recent latencies // guarded by mu
	before latencies // guarded by mu
}

func (m *meter) round(r *round) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Rounds++
	m.counts.Entries += uint64(r.entries)
	m.counts.Bytes += uint64(len(r.buf))
}

func (m *meter) syncStarts(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight = now
	return now
}

func (m *meter) syncEnds(began, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight = time.Time{}
	m.counts.Syncs++
	m.turn(now)
	m.recent.add(now.Sub(began))
	m.last.Store(int64(now.Sub(began)))
}

// turn starts a new window when the old one is full. REQUIRES: m.mu is held.
func (m *meter) turn(now time.Time) {
	age := now.Sub(m.since)
	if age < latencyWindow {
		return
	}
	m.before = m.recent
	if age >= 2*latencyWindow {
		m.before = latencies{}
	}
	m.recent, m.since = latencies{}, now
}

// syncAge is the age of the sync that is going on, zero if none is. REQUIRES: m.mu
// is held.
func (m *meter) syncAge(now time.Time) time.Duration {
	if m.inFlight.IsZero() {
		return 0
	}
	return now.Sub(m.inFlight)
}

func (m *meter) snapshot(now time.Time) Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	s := m.counts
	s.SyncInFlight = m.syncAge(now)
	all := m.before
	all.merge(&m.recent)
	s.SyncP50, s.SyncP99, s.SyncMax = all.quantile(50), all.quantile(99), all.max
	return s
}

// latencies is a histogram with eight buckets for each power of two of
// microseconds, so a quantile is off by an eighth at most.
type latencies struct {
	buckets [256]uint32
	count   uint64
	max     time.Duration
}

// subBits is the binary logarithm of the buckets for each power of two.
const subBits = 3

func (h *latencies) add(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.count++
	h.max = max(h.max, d)
}

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < 1<<subBits {
		return int(us)
	}
	shift := bits.Len64(us) - subBits - 1
	return min(shift<<subBits+int(us>>shift), 255)
}

// upperBound is the largest duration in a bucket.
func upperBound(bucket int) time.Duration {
	if bucket < 1<<subBits {
		return time.Duration(bucket) * time.Microsecond
	}
	shift := bucket>>subBits - 1
	top := (uint64(bucket&(1<<subBits-1)|1<<subBits)+1)<<shift - 1
	return time.Duration(top) * time.Microsecond
}

func (h *latencies) merge(o *latencies) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

func (h *latencies) quantile(percent uint64) time.Duration {
	rank := (h.count*percent + 99) / 100
	seen := uint64(0)
	for i, n := range h.buckets {
		if seen += uint64(n); n > 0 && seen >= rank {
			return min(upperBound(i), h.max)
		}
	}
	return 0
}
