package partition

import (
	"errors"
	"testing"
	"time"
)

func pendingFor(next int64) *Pending { return &Pending{next: next, done: make(chan struct{})} }

// outcome is "waiting", "ok" or the error's text.
func outcome(p *Pending) string {
	select {
	case <-p.Done():
	default:
		return "waiting"
	}
	if p.Err() != nil {
		return p.Err().Error()
	}
	return "ok"
}

func TestWaiters(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000, 0)
	late := errors.New("late")
	tests := []struct {
		name string
		ends []int64 // of the waiters, in order; the i-th expires after i seconds
		do   func(*waiters)
		want []string
		left int
	}{
		{name: "nothing reached", ends: []int64{5, 9}, do: func(w *waiters) { w.release(4) }, want: []string{"waiting", "waiting"}, left: 2},
		{name: "reached exactly", ends: []int64{5, 9}, do: func(w *waiters) { w.release(5) }, want: []string{"ok", "waiting"}, left: 1},
		{name: "all reached", ends: []int64{5, 9}, do: func(w *waiters) { w.release(100) }, want: []string{"ok", "ok"}},
		{name: "duplicate does not wait for what came before it", ends: []int64{7, 9, 5}, do: func(w *waiters) { w.release(5) }, want: []string{"waiting", "waiting", "ok"}, left: 2},
		{name: "duplicate leaves with its neighbour", ends: []int64{9, 5}, do: func(w *waiters) { w.release(9) }, want: []string{"ok", "ok"}},
		{
			name: "deadline takes only those that passed", ends: []int64{5, 9, 12},
			do:   func(w *waiters) { w.expire(start.Add(time.Second), func() error { return late }) },
			want: []string{"late", "late", "waiting"}, left: 1,
		},
		{
			name: "release after a deadline", ends: []int64{5, 9, 12},
			do: func(w *waiters) {
				w.expire(start, func() error { return late })
				w.release(12)
			},
			want: []string{"late", "ok", "ok"},
		},
		{
			name: "deadline after a release", ends: []int64{5, 9, 12},
			do: func(w *waiters) {
				w.release(5)
				w.expire(start.Add(time.Second), func() error { return late })
			},
			want: []string{"ok", "late", "waiting"}, left: 1,
		},
		{name: "fail all", ends: []int64{5, 9}, do: func(w *waiters) { w.failAll(late) }, want: []string{"late", "late"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var w waiters
			var all []*Pending
			for i, end := range tt.ends {
				p := pendingFor(end)
				all = append(all, p)
				w.push(waiter{end: end, deadline: start.Add(time.Duration(i) * time.Second), pending: p})
			}
			tt.do(&w)
			for i, p := range all {
				if got := outcome(p); got != tt.want[i] {
					t.Errorf("waiter %d: %s, want %s", i, got, tt.want[i])
				}
			}
			if w.len() != tt.left {
				t.Errorf("%d waiters left, want %d", w.len(), tt.left)
			}
		})
	}
}

// TestWaitersKeepNothing fills and drains the queue often: it must not grow
// beyond what waits at once.
func TestWaitersKeepNothing(t *testing.T) {
	t.Parallel()
	var w waiters
	for i := range int64(10_000) {
		w.push(waiter{end: i, pending: pendingFor(i)})
		if i >= 8 {
			w.release(i - 8)
		}
	}
	if got := cap(w.queue); got > 64 {
		t.Errorf("queue of 8 waiters grew to %d", got)
	}
}
