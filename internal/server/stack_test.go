package server

import (
	"context"
	"errors"
	"testing"
)

// TestStackReportsEveryFailure: a failure that nobody took, because the stop had
// begun, must not make the stop look clean.
func TestStackReportsEveryFailure(t *testing.T) {
	t.Parallel()
	first, second := errors.New("first"), errors.New("second")
	s := newStack()
	fail := func(err error) {
		s.start(t.Context(), "part", func(context.Context) error { return err })
		<-s.parts[len(s.parts)-1].done
	}
	s.start(t.Context(), "bottom", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	fail(first)
	if err := <-s.failed; !errors.Is(err, first) {
		t.Errorf("first failure: %v", err)
	}
	fail(second)
	fail(first)
	if err := s.stop(); !errors.Is(err, second) || !errors.Is(err, first) {
		t.Errorf("stop: %v", err)
	}
}

// TestStackStopsTopDown also sees that a part that just ends is a failure.
func TestStackStopsTopDown(t *testing.T) {
	t.Parallel()
	s := newStack()
	var order []string
	for _, name := range []string{"bottom", "middle", "top"} {
		s.start(t.Context(), name, func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, name) // one at a time
			return nil
		})
	}
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if len(order) != 3 || order[0] != "top" || order[2] != "bottom" {
		t.Errorf("stopped in order %q", order)
	}
	s.start(t.Context(), "short", func(context.Context) error { return nil })
	if err := <-s.failed; err == nil || err.Error() != "short ended by itself" {
		t.Errorf("part that ends: %v", err)
	}
}
