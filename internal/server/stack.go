package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// stack runs the parts of a broker. They are started bottom up and stopped top
// down, each one fully before the next: what a part stands on outlives it.
type stack struct {
	mu     sync.Mutex
	parts  []*part    // guarded by mu
	failed chan error // a part that ended by itself
}

type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // written before done is closed
}

func newStack() *stack { return &stack{failed: make(chan error, 1)} }

// start runs a part in its own goroutine until [stack.stop]. It does not end
// with the caller's context: a stop is orderly, never all at once.
func (s *stack) start(ctx context.Context, name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.parts = append(s.parts, p)
	s.mu.Unlock()
	go func() {
		defer close(p.done)
		err := run(ctx)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil
		}
		switch {
		case err != nil:
			err = fmt.Errorf("%s: %w", name, err)
		case ctx.Err() == nil:
			err = fmt.Errorf("%s ended by itself", name)
		}
		if ctx.Err() == nil && s.report(err) {
			return // whoever takes the report has it
		}
		p.err = err
	}()
}

// report hands out a failure; false if another one waits to be taken.
func (s *stack) report(err error) bool {
	select {
	case s.failed <- err:
		return true
	default:
		return false
	}
}

// stop ends the parts in reverse order and returns their errors, without those
// that whoever waits on failed has taken.
func (s *stack) stop() error {
	s.mu.Lock()
	parts := s.parts
	s.parts = nil
	s.mu.Unlock()
	var errs []error
	for i := len(parts) - 1; i >= 0; i-- {
		parts[i].cancel()
		<-parts[i].done
		errs = append(errs, parts[i].err)
	}
	select {
	case err := <-s.failed: // while nobody waited: the stop had begun
		errs = append(errs, err)
	default:
	}
	return errors.Join(errs...)
}
