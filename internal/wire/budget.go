package wire

import (
	"context"
	"sync"
)

// budget shares a number of bytes among connections, first come first served.
// A connection holds at most one claim and takes it before it reads a frame, so
// nobody waits for bytes while holding some: there is no deadlock, and a large
// frame is not starved by small ones.
type budget struct {
	limit int

	mu    sync.Mutex
	used  int     // guarded by mu
	queue []claim // guarded by mu; FIFO
}

type claim struct {
	bytes   int
	granted chan struct{} // closed when the bytes are the claimant's
}

// take waits until n bytes are free. n must not exceed the limit.
func (b *budget) take(ctx context.Context, n int) error {
	b.mu.Lock()
	if len(b.queue) == 0 && b.used+n <= b.limit {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	c := claim{bytes: n, granted: make(chan struct{})}
	b.queue = append(b.queue, c)
	b.mu.Unlock()

	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
		b.abandon(c)
		return context.Cause(ctx)
	}
}

// give returns n bytes and grants what now fits.
func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grant()
}

// abandon withdraws a claim, whether it was granted meanwhile or not.
func (b *budget) abandon(c claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted:
		b.used -= c.bytes
	default:
		for i := range b.queue {
			if b.queue[i].granted == c.granted {
				b.queue = append(b.queue[:i], b.queue[i+1:]...)
				break
			}
		}
	}
	b.grant()
}

// grant serves the queue from its front.
//
// REQUIRES: b.mu is held.
func (b *budget) grant() {
	for len(b.queue) > 0 && b.used+b.queue[0].bytes <= b.limit {
		b.used += b.queue[0].bytes
		close(b.queue[0].granted)
		b.queue = b.queue[1:]
	}
}
