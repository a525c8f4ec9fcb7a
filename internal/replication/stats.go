package replication

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/status"
)

// sampleCount is how many of the newest samples a percentile is taken over.
const sampleCount = 256

// samples keeps the newest durations of something.
type samples struct {
	ring [sampleCount]time.Duration
	n    int // ever added
}

func (s *samples) add(d time.Duration) {
	s.ring[s.n%sampleCount] = d
	s.n++
}

// quantile returns the q-quantile in microseconds, nil while there is none.
func (s *samples) quantile(q float64) *int64 {
	n := min(s.n, sampleCount)
	if n == 0 {
		return nil
	}
	sorted := slices.Clone(s.ring[:n])
	slices.Sort(sorted)
	v := sorted[min(int(q*float64(n)), n-1)].Microseconds()
	return &v
}

// showErrorFor is how long the last error of a link that works again is shown:
// long enough to explain a flap, not so long that it looks like today's trouble.
const showErrorFor = 10 * time.Minute

// linkStats is what a link knows of its own traffic.
type linkStats struct {
	heardAt atomic.Int64 // time.Duration since the manager started, of the last frame from the peer
	bytes   atomic.Int64 // written since the process started

	mu         sync.Mutex
	rtt        samples   // guarded by mu
	fsync      samples   // guarded by mu; the follower's disk, per round
	queue      samples   // guarded by mu; wait for the round to begin, per round
	ackWait    samples   // guarded by mu; from sending to durable, per Ack frame
	rate       rate      // guarded by mu
	up         bool      // guarded by mu
	lastError  string    // guarded by mu
	failedAt   time.Time // guarded by mu; when lastError was last met
	reconnects int64     // guarded by mu; connections after the first
	everUp     bool      // guarded by mu
}

// rate is a moving average of bytes per second.
type rate struct {
	since     time.Time
	bytes     int64
	perSecond float64
}

// rateInterval is the time between two steps of the average.
const rateInterval = time.Second

// step adds the bytes counted up to now, when an interval has passed.
func (r *rate) step(total int64, now time.Time) {
	d := now.Sub(r.since)
	if d < rateInterval {
		return
	}
	if !r.since.IsZero() {
		current := float64(total-r.bytes) / d.Seconds()
		// After a long silence the old average says nothing any more.
		r.perSecond += (current - r.perSecond) * min(1, d.Seconds()/(2*rateInterval.Seconds()))
	}
	r.since, r.bytes = now, total
}

func (s *linkStats) connected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.everUp {
		s.reconnects++
	}
	s.up, s.everUp = true, true
}

// failed notes why there is no connection, and reports whether that is news.
func (s *linkStats) failed(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.up || s.lastError != err.Error()
	s.up, s.lastError, s.failedAt = false, err.Error(), time.Now()
	return news
}

// lastFailure is the newest error, empty if there was none.
func (s *linkStats) lastFailure() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastError
}

// trouble notes an error that did not cost the live connection, and reports
// whether it is news.
func (s *linkStats) trouble(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.lastError != err.Error()
	s.lastError, s.failedAt = err.Error(), time.Now()
	return news
}

func (s *linkStats) heard(at time.Duration) { s.heardAt.Store(int64(at)) }

func (s *linkStats) sent(n int) { s.bytes.Add(int64(n)) }

func (s *linkStats) roundTrip(d time.Duration, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rtt.add(d)
	s.rate.step(s.bytes.Load(), now)
}

// acked notes an Ack frame. A round without an fsync is an answer to a new
// session, and waited is zero when it made nothing durable.
func (s *linkStats) acked(r round, waited time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.fsync > 0 {
		s.fsync.add(r.fsync)
		s.queue.add(r.queue)
	}
	if waited > 0 {
		s.ackWait.add(waited)
	}
}

// fill writes what the link knows of itself into a status.
func (s *linkStats) fill(st *status.Link, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate.step(s.bytes.Load(), now)
	st.BytesPerSecond = s.rate.perSecond
	st.RTTP50Micros, st.RTTP99Micros = s.rtt.quantile(0.5), s.rtt.quantile(0.99)
	st.FsyncP99Micros = s.fsync.quantile(0.99)
	st.AckWaitP99 = s.ackWait.quantile(0.99)
	st.Reconnects = s.reconnects
	if !s.up || now.Sub(s.failedAt) < showErrorFor {
		st.LastError = s.lastError
	}
}
