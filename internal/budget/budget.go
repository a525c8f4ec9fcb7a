// Package budget shares a number of bytes of memory among many, first come first
// served. Who takes some with [Budget.Take] must hold none yet: nobody waits for
// bytes while others wait for theirs, so there is no deadlock, and a large claim
// is not starved by small ones.
package budget

import (
	"context"
	"sync"
	"time"
)

// Budget is a number of bytes that many take from and give back to. Its methods
// are safe for concurrent use.
type Budget struct {
	limit int

	mu    sync.Mutex
	used  int     // guarded by mu
	queue []claim // guarded by mu; FIFO
	stall Stall   // guarded by mu
}

type claim struct {
	bytes   int
	settled chan error // has room for the answer: nil once the bytes are the claimant's
}

// New returns a budget of so many bytes, all of them free.
func New(limit int) *Budget { return &Budget{limit: limit} }

// fits reports whether n bytes are free. More than there are in all fit as soon as
// nobody else has any, or they never would. REQUIRES: b.mu is held.
func (b *Budget) fits(n int) bool { return b.used <= 0 || b.used+n <= b.limit }

// Take waits until n bytes are free. The error is that of ctx, or what
// [Budget.Refuse] was called with.
func (b *Budget) Take(ctx context.Context, n int) error {
	b.mu.Lock()
	if len(b.queue) == 0 && b.fits(n) {
		b.used += n
		b.stall = Stall{}
		b.mu.Unlock()
		return nil
	}
	c := claim{bytes: n, settled: make(chan error, 1)}
	b.stall.Joined(time.Now(), len(b.queue) == 0)
	b.queue = append(b.queue, c)
	b.mu.Unlock()

	select {
	case err := <-c.settled:
		return err
	case <-ctx.Done():
		b.abandon(c)
		return context.Cause(ctx)
	}
}

// shareOf is the part of what is free that one share may be: whoever comes next
// finds some too.
const shareOf = 16

// Share takes a part of what is free without waiting, and returns how much: want
// at most, and if want allows, least at least. It is not ok, and takes nothing,
// when there is less than that, or others wait.
func (b *Budget) Share(want, least int) (n int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(want, max(least, (b.limit-b.used)/shareOf))
	if len(b.queue) > 0 || !b.fits(n) {
		return 0, false
	}
	b.used += n
	return n, true
}

// Resize changes what the caller holds from held to n bytes. More are taken
// only if they are free and nobody waits, or nobody else holds any.
func (b *Budget) Resize(held, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	others := b.used - held
	if n > held && others > 0 && (len(b.queue) > 0 || others+n > b.limit) {
		return false
	}
	b.used = others + n
	b.grant()
	return true
}

// Give returns n bytes and grants what now fits.
func (b *Budget) Give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grant()
}

// Set says how many bytes are in use, however they came and went.
func (b *Budget) Set(used int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = used
	b.grant()
}

// Refuse answers all who wait with an error.
func (b *Budget) Refuse(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.queue {
		c.settled <- err
	}
	b.queue, b.stall = nil, Stall{}
}

// Stalled is for how long nobody has got room although somebody waits for it;
// zero when nobody does.
func (b *Budget) Stalled() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stall.Age(time.Now(), len(b.queue))
}

// Used is how many bytes are taken, and Waiting how many claims wait.
func (b *Budget) Used() (bytes, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, len(b.queue)
}

// abandon withdraws a claim, whether it was granted meanwhile or not.
func (b *Budget) abandon(c claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.queue {
		if b.queue[i].settled == c.settled {
			b.queue = append(b.queue[:i:i], b.queue[i+1:]...)
			b.stall.GaveUp(time.Now())
			b.grant()
			return
		}
	}
	if err := <-c.settled; err == nil {
		b.used -= c.bytes
		b.grant()
	}
}

// grant serves the queue from its front. REQUIRES: b.mu is held.
func (b *Budget) grant() {
	for len(b.queue) > 0 && b.fits(b.queue[0].bytes) {
		b.used += b.queue[0].bytes
		b.queue[0].settled <- nil
		b.queue = b.queue[1:]
		b.stall.Granted(time.Now(), len(b.queue) > 0)
	}
}
