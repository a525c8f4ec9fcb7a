package api

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/pause"
)

const (
	// producerIDBlock is how many producer ids one command reserves.
	producerIDBlock = 1000
	// producerIDRefill is the remainder at which the next block is fetched.
	producerIDRefill = producerIDBlock / 2

	// Pauses between attempts while the controller cannot be reached.
	firstRefillPause = 50 * time.Millisecond
	maxRefillPause   = time.Second
	// refillTimeout bounds one attempt.
	refillTimeout = 5 * time.Second
)

// producerIDs hands out producer ids from blocks that its run loop reserves in
// the background, so that InitProducerId needs consensus only when clients come
// faster than blocks. Ids of a block that a restart forgets are never used.
type producerIDs struct {
	admin  Admin
	logger *slog.Logger
	low    chan struct{} // has room for one: "fetch a block"

	mu     sync.Mutex
	blocks []idBlock     // guarded by mu; never empty ones
	filled chan struct{} // guarded by mu; closed and replaced when a block arrives
}

// idBlock is a range of ids; end is exclusive.
type idBlock struct{ next, end int64 }

func newProducerIDs(admin Admin, logger *slog.Logger) *producerIDs {
	ids := &producerIDs{
		admin: admin, logger: logger,
		low: make(chan struct{}, 1), filled: make(chan struct{}),
	}
	ids.low <- struct{}{} // the first block is due at once
	return ids
}

// take returns an unused id, waiting for one until ctx ends.
func (p *producerIDs) take(ctx context.Context) (int64, error) {
	for {
		id, ok, filled := p.tryTake()
		if ok {
			return id, nil
		}
		select {
		case <-filled:
		case <-ctx.Done():
			return -1, errLoading
		}
	}
}

func (p *producerIDs) tryTake() (id int64, ok bool, filled <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left() <= producerIDRefill {
		select {
		case p.low <- struct{}{}:
		default: // asked for already
		}
	}
	if len(p.blocks) == 0 {
		return -1, false, p.filled
	}
	id = p.blocks[0].next
	p.blocks[0].next++
	if p.blocks[0].next == p.blocks[0].end {
		p.blocks = p.blocks[1:]
	}
	return id, true, nil
}

// left is the number of ids at hand. REQUIRES: p.mu is held.
func (p *producerIDs) left() int64 {
	var n int64
	for _, b := range p.blocks {
		n += b.end - b.next
	}
	return n
}

func (p *producerIDs) add(first int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocks = append(p.blocks, idBlock{next: first, end: first + producerIDBlock})
	close(p.filled)
	p.filled = make(chan struct{})
}

// run fetches a block whenever they run low, until ctx ends.
func (p *producerIDs) run(ctx context.Context) error {
	for {
		select {
		case <-p.low:
		case <-ctx.Done():
			return nil
		}
		for again := firstRefillPause; !p.refill(ctx); again = min(2*again, maxRefillPause) {
			if !pause.For(ctx, again) {
				return nil
			}
		}
	}
}

// refill reports whether there is nothing more to fetch for now.
func (p *producerIDs) refill(ctx context.Context) bool {
	p.mu.Lock()
	enough := p.left() > producerIDRefill
	p.mu.Unlock()
	if enough {
		return true
	}
	attempt, cancel := context.WithTimeout(ctx, refillTimeout)
	defer cancel()
	first, err := p.admin.AllocateProducerIDs(attempt, producerIDBlock)
	if err != nil {
		p.logger.Debug("no producer ids yet", slog.Any("error", err))
		return false
	}
	p.add(first)
	return true
}
