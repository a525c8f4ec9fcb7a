package partition

import (
	"sort"
	"time"

	"github.com/chronik-project/chronik/internal/trace"
)

// Pending is an appended batch that waits for its acknowledgement.
type Pending struct {
	base, next int64
	appendTime int64
	logStart   int64
	done       chan struct{}
	err        error // written before done is closed
	trace      trace.Batch
}

// BaseOffset is the offset of the batch's first record.
func (p *Pending) BaseOffset() int64 { return p.base }

// NextOffset is the offset after the batch's last record.
func (p *Pending) NextOffset() int64 { return p.next }

// LogAppendTimeMillis is the time stamped by the leader, or -1 when the topic
// keeps the producer's timestamps.
func (p *Pending) LogAppendTimeMillis() int64 { return p.appendTime }

// LogStartOffset is the log's first offset when the batch was appended.
func (p *Pending) LogStartOffset() int64 { return p.logStart }

// Done is closed once the outcome is final.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Err is the outcome: nil when acknowledged as asked. Valid once Done is closed.
func (p *Pending) Err() error { return p.err }

// Trace is when the batch came how far, for whoever answers the client, who may
// add to it once Done is closed. It is nil for a batch that was in the log
// before, which waits for the original's acknowledgement.
func (p *Pending) Trace() *trace.Batch {
	if p.trace.Appended == 0 {
		return nil
	}
	return &p.trace
}

func (p *Pending) finish(err error) {
	p.err = err
	close(p.done)
}

// waiter is a Pending and what releases or expires it.
type waiter struct {
	end      int64
	deadline time.Time
	pending  *Pending
}

// waiters are the acknowledgements that one partition owes, in the order of
// their ends. Owned by the replica's mutex.
type waiters struct {
	queue []waiter
	head  int
}

func (w *waiters) len() int { return len(w.queue) - w.head }

func (w *waiters) push(x waiter) {
	if w.head > 0 && len(w.queue) == cap(w.queue) {
		n := copy(w.queue, w.queue[w.head:])
		clear(w.queue[n:])
		w.queue, w.head = w.queue[:n], 0
	}
	w.queue = append(w.queue, x)
	// A duplicate waits for an older end than what was appended since.
	for i := len(w.queue) - 1; i > w.head && w.queue[i-1].end > x.end; i-- {
		w.queue[i-1], w.queue[i] = w.queue[i], w.queue[i-1]
	}
}

// release acknowledges, in offset order, every waiter whose end is at or below
// end.
func (w *waiters) release(end int64) {
	for w.head < len(w.queue) && w.queue[w.head].end <= end {
		w.queue[w.head].pending.finish(nil)
		w.queue[w.head] = waiter{}
		w.head++
	}
	if w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
	}
}

// reached calls note, newest first, with every waiter whose end is at or below
// end, until that reports that the rest has been told before.
func (w *waiters) reached(end int64, note func(*waiter) (news bool)) {
	live := w.queue[w.head:]
	n := sort.Search(len(live), func(i int) bool { return live[i].end > end })
	for n--; n >= 0 && note(&live[n]); n-- {
	}
}

// expire finishes every waiter whose deadline has passed, with an error that is
// made once; the others keep their order.
func (w *waiters) expire(now time.Time, why func() error) {
	var err error
	kept := w.queue[:w.head]
	for _, x := range w.queue[w.head:] {
		if now.Before(x.deadline) {
			kept = append(kept, x)
			continue
		}
		if err == nil {
			err = why()
		}
		x.pending.finish(err)
	}
	clear(w.queue[len(kept):])
	w.queue = kept
}

// failAll finishes every waiter with err.
func (w *waiters) failAll(err error) {
	for _, x := range w.queue[w.head:] {
		x.pending.finish(err)
	}
	*w = waiters{}
}
