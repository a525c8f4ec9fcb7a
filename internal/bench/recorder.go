package bench

import (
	"context"
	"maps"
	"sync"
	"time"
)

// recorder keeps what happened to the records of one producer during one
// block. The goroutine that sends and the client's own, which delivers acks,
// both write to it.
type recorder struct {
	settled chan struct{} // closed once no more are offered and every record has ended

	mu       sync.Mutex
	response *histogram       // guarded by mu; from due to acked
	service  *histogram       // guarded by mu; from sent to acked
	failure  *histogram       // guarded by mu; from due to failed
	lateness *histogram       // guarded by mu; from due to sent
	offered  int64            // guarded by mu; records that came due
	acked    int64            // guarded by mu; for AcksNone, sent
	failed   int64            // guarded by mu
	errors   map[string]int64 // guarded by mu; failures by name
	pacing   Pacing           // guarded by mu; empty in a closed loop
	closed   bool             // guarded by mu; no more records will be offered
	lastAck  time.Time        // guarded by mu; zero while there is none
	per      intervals        // guarded by mu
	meter    *meter           // guarded by mu; nil unless acks are counted by second
	size     int64            // of one record, for meter; set before any load
	parts    split            // guarded by mu; by phase of the faults

	abandoned bool // guarded by mu; what is still heard is too late to count
}

func newRecorder() *recorder {
	return &recorder{
		settled:  make(chan struct{}),
		response: newHistogram(), service: newHistogram(),
		failure: newHistogram(), lateness: newHistogram(),
		errors: map[string]int64{},
	}
}

// pacedBy notes how the sender wakes.
func (r *recorder) pacedBy(how Pacing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pacing = how
}

// offering notes a record that was due at due and is handed to the client at
// sent.
func (r *recorder) offering(due, sent time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offered++
	r.lateness.record(sent.Sub(due))
	r.per.offered(due, sent)
}

// succeeded notes that a record was acked, or sent where no ack is asked for.
func (r *recorder) succeeded(due, sent, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abandoned {
		return
	}
	r.acked++
	r.lastAck = now
	r.response.record(now.Sub(due))
	r.service.record(now.Sub(sent))
	r.per.succeeded(due, sent, now)
	if r.meter != nil {
		r.meter.add(now, r.size)
	}
	r.parts.succeeded(due, now)
	r.settle()
}

// failedAs notes that a record failed under the name of its error.
func (r *recorder) failedAs(name string, due, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abandoned {
		return
	}
	r.failed++
	r.errors[name]++
	r.failure.record(now.Sub(due))
	r.parts.failed(due, now)
	r.settle()
}

// settle is called with mu held.
func (r *recorder) settle() {
	if r.closed && r.acked+r.failed == r.offered {
		close(r.settled)
	}
}

// drain says that no more records will be offered, and returns once every
// record has ended. When ctx ends first the rest has failed under the given
// name, whatever becomes of it later.
func (r *recorder) drain(ctx context.Context, name string) {
	r.mu.Lock()
	r.closed = true
	r.settle()
	r.mu.Unlock()
	select {
	case <-r.settled:
		return
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if left := r.offered - r.acked - r.failed; left > 0 {
		r.abandoned = true
		r.failed += left
		r.errors[name] += left
	}
}

// tally is a recorder's counts at one moment.
type tally struct {
	Offered, Acked, Failed int64
}

func (r *recorder) tally() tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return tally{Offered: r.offered, Acked: r.acked, Failed: r.failed}
}

// p99 returns the response time's, for the status line.
func (r *recorder) p99() (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.response.quantile(0.99)
}

// merge adds the counts of from, which has settled, and so is written to by
// nobody any more. Merging histograms keeps every sample; averaging
// percentiles would invent some.
func (r *recorder) merge(from *recorder) {
	from.mu.Lock()
	defer from.mu.Unlock()
	r.response.merge(from.response)
	r.service.merge(from.service)
	r.failure.merge(from.failure)
	r.lateness.merge(from.lateness)
	r.per.merge(&from.per)
	r.parts.merge(&from.parts)
	if from.lastAck.After(r.lastAck) {
		r.lastAck = from.lastAck
	}
	r.offered += from.offered
	r.acked += from.acked
	r.failed += from.failed
	if from.pacing != "" {
		r.pacing = from.pacing // the same for all: it depends on the machine
	}
	for name, n := range from.errors {
		r.errors[name] += n
	}
}

// failures returns a copy of the failures by name.
func (r *recorder) failures() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.errors)
}
