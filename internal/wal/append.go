package wal

import (
	"context"
	"fmt"
	"time"

	"github.com/chronik-project/chronik/internal/budget"
)

// Append puts an entry into the round that is being gathered and returns where
// its frame ends. It copies the payload and touches memory only. It takes the
// room of a KindAppend from what [Log.Reserve] reserved, and fails with ErrFull
// only if that was not enough; other kinds are small and need no reservation.
//
// Errors: ErrFull, ErrTooLarge, ErrNoSpace (KindAppend only), ErrFailed,
// ErrClosed.
func (l *Log) Append(e Entry) (LSN, error) {
	if len(e.Payload) > l.MaxPayload() {
		return 0, l.tooLarge(len(e.Payload))
	}
	size := frameBytes(len(e.Payload))
	l.mu.Lock()
	if err := l.admit(&e); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	r := l.filling
	first := len(r.buf) == 0
	r.add(&e, l.marks.end, size)
	l.marks.end += LSN(size)
	l.budget.log += int64(size)
	l.state.appended = true
	end := l.marks.end
	l.mu.Unlock()
	if first {
		notify(l.wake)
	}
	return end, nil
}

func (l *Log) tooLarge(n int) error {
	return fmt.Errorf("payload of %d bytes, limit %d: %w", n, l.MaxPayload(), ErrTooLarge)
}

// admit decides whether an entry may be appended, and takes its room.
// REQUIRES: l.mu is held.
func (l *Log) admit(e *Entry) error {
	if err := l.refusal(); err != nil {
		return err
	}
	if e.Kind != KindAppend {
		return nil
	}
	if l.state.noSpace != nil {
		return l.state.noSpace
	}
	if !l.budget.take(len(e.Payload)) {
		return fmt.Errorf("%d of %d bytes in use, %d more wanted: %w",
			l.budget.used, l.budget.limit, len(e.Payload), ErrFull)
	}
	l.filling.payload += len(e.Payload)
	return nil
}

// refusal is why nothing at all can be appended. REQUIRES: l.mu is held.
func (l *Log) refusal() error {
	switch {
	case l.state.err != nil:
		return l.state.err
	case l.state.closed || !l.state.replayed:
		return ErrClosed
	default:
		return nil
	}
}

// Reserve waits for room for a payload of n bytes, in memory and in what a
// restart may have to replay. Whoever reserved either appends a KindAppend of
// that size or calls [Log.Unreserve]. Reserve before taking locks that others
// need: this is where a slow disk pushes back.
//
// Errors: ErrTooLarge, ErrNoSpace, ErrFailed, ErrClosed, what [Log.Refuse] was
// called with, and that of ctx.
func (l *Log) Reserve(ctx context.Context, n int) error {
	if n > l.MaxPayload() {
		return l.tooLarge(n)
	}
	l.mu.Lock()
	err := l.refusal()
	if err == nil {
		err = l.state.noSpace
	}
	if err != nil || l.budget.reserve(n) {
		l.mu.Unlock()
		return err
	}
	w := l.budget.queue(n)
	l.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		l.budget.abandon(w)
		return ctx.Err()
	}
}

// Refuse answers all who wait in Reserve with an error.
func (l *Log) Refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budget.refuse(err)
}

// Unreserve gives back n reserved bytes that were not appended.
func (l *Log) Unreserve(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budget.reserved -= n
	l.budget.free(n)
}

// room bounds the payload in memory, and the log that is not released.
// Invariant: reserved <= used <= limit, unless somebody appended without a
// reservation what another had reserved.
type room struct {
	limit    int
	used     int   // reserved, waiting for its round, or being written
	reserved int   // not appended yet
	log      int64 // bytes of log that were not released
	maxLog   int64
	waiters  []*reservation
	stall    budget.Stall // of the waiters
}

// reservation is a call of Reserve that waits.
type reservation struct {
	bytes int
	done  chan error // has room for the answer
}

// reserve takes room if there is some and nobody came first.
func (b *room) reserve(n int) bool {
	if len(b.waiters) > 0 || !b.fits(n) {
		return false
	}
	b.used += n
	b.reserved += n
	b.stall = budget.Stall{}
	return true
}

// fits reports whether there is room. A log of which all was released has some.
func (b *room) fits(n int) bool {
	ahead := b.log + int64(b.reserved)
	return b.used+n <= b.limit && (ahead == 0 || ahead+int64(n) <= b.maxLog)
}

// take turns reserved room into used room; what was not reserved is taken if
// it is free.
func (b *room) take(n int) bool {
	if b.reserved >= n {
		b.reserved -= n
		return true
	}
	if b.used+n > b.limit {
		return false
	}
	b.used += n
	return true
}

func (b *room) queue(n int) *reservation {
	w := &reservation{bytes: n, done: make(chan error, 1)}
	b.stall.Joined(time.Now(), len(b.waiters) == 0)
	b.waiters = append(b.waiters, w)
	return w
}

// free returns room and grants it to those who wait, in their order.
func (b *room) free(n int) {
	b.used -= n
	for len(b.waiters) > 0 && b.fits(b.waiters[0].bytes) {
		w := b.waiters[0]
		b.waiters = b.waiters[1:]
		b.used += w.bytes
		b.reserved += w.bytes
		w.done <- nil
		b.stall.Granted(time.Now(), len(b.waiters) > 0)
	}
}

// stalled is for how long nobody has got room although somebody waits.
func (b *room) stalled() time.Duration { return b.stall.Age(time.Now(), len(b.waiters)) }

// refuse answers all who wait with an error.
func (b *room) refuse(err error) {
	for _, w := range b.waiters {
		w.done <- err
	}
	b.waiters, b.stall = nil, budget.Stall{}
}

// abandon takes a reservation back whose caller has stopped waiting, be it
// granted in the same moment or not.
func (b *room) abandon(w *reservation) {
	for i, other := range b.waiters {
		if other == w {
			b.waiters = append(b.waiters[:i:i], b.waiters[i+1:]...)
			b.stall.GaveUp(time.Now())
			b.free(0)
			return
		}
	}
	if err := <-w.done; err == nil {
		b.reserved -= w.bytes
		b.free(w.bytes)
	}
}
