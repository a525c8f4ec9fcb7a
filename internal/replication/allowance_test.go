package replication

import (
	"testing"
	"time"
)

// TestAllowance lets a follower catch up that takes as much per look as is
// allowed, while its logs grow.
func TestAllowance(t *testing.T) {
	t.Parallel()
	const most = 8 << 20
	for _, tt := range []struct {
		name      string
		appended  int // between two looks
		strained  bool
		least, up int // the allowance in the end
	}{
		{"at ease", 128 << 10, false, most, most},
		{"others feel it", 0, true, leastAllowance, leastAllowance},
		{"others feel it, and it has to end", 700 << 10, true, 2 << 20, 4 << 20},
		{"all there is does not suffice", 3 << 20, true, most, most},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now, a, lag := time.Unix(1_700_000_000, 0), newAllowance(most), 1e10
			a.review(now, lag, tt.strained)
			for range 100 {
				if a.due(now.Add(allowanceInterval - 1)) {
					t.Fatal("it is looked at too often")
				}
				if now = now.Add(allowanceInterval); !a.due(now) {
					t.Fatal("it is not looked at")
				}
				a.sent = a.window
				lag += float64(tt.appended - a.sent)
				a.review(now, lag, tt.strained)
			}
			if a.window < tt.least || a.window > tt.up {
				t.Errorf("%d bytes are allowed, want %d to %d", a.window, tt.least, tt.up)
			}
		})
	}
}

// TestAllowanceOfASmallWindow must not exceed it.
func TestAllowanceOfASmallWindow(t *testing.T) {
	t.Parallel()
	now, a := time.Unix(1_700_000_000, 0), newAllowance(4096)
	for range 10 {
		if now = now.Add(allowanceInterval); a.window != 4096 {
			t.Fatalf("%d bytes are allowed of a window of 4096", a.window)
		}
		a.review(now, 1e6, true)
	}
}

// TestStrain compares with what was before, if that is known.
func TestStrain(t *testing.T) {
	t.Parallel()
	var s strain
	now := time.Unix(1_700_000_000, 0)
	observe := func(n int, waited time.Duration) {
		for range n {
			s.observe(waited, now)
		}
	}
	observe(calmSamples-1, 10*time.Millisecond)
	s.begin()
	observe(100, 50*time.Millisecond)
	if s.high(now) {
		t.Error("strained compared with next to nothing")
	}
	s.end()
	observe(200, 10*time.Millisecond)
	s.begin()
	s.begin() // two followers
	if observe(100, 14*time.Millisecond); s.high(now) {
		t.Error("strained by less than half as much again")
	}
	if observe(100, 20*time.Millisecond); !s.high(now) {
		t.Error("not strained by twice the time")
	}
	s.end()
	if observe(100, 20*time.Millisecond); !s.high(now) {
		t.Error("what it takes while one follower still catches up passes for calm")
	}
	if s.high(now.Add(strainFresh)) {
		t.Error("strained though nothing was acknowledged since")
	}
	s.end()
	if observe(1000, 20*time.Millisecond); s.high(now) {
		t.Error("strained though nobody catches up")
	}
}

// TestBulkBudget: the bulk lane keeps to what it is allowed, and waits for room
// that is worth a read.
func TestBulkBudget(t *testing.T) {
	t.Parallel()
	const allowed = 2 << 20
	for _, tt := range []struct{ inflight, want int }{
		{0, maxChunkBytes},
		{allowed - maxChunkBytes, maxChunkBytes},
		{allowed - maxChunkBytes/2, maxChunkBytes / 2},
		{allowed - maxChunkBytes/2 + 1, 0},
		{allowed, 0},
		{3 << 20, 0}, // it was allowed more
	} {
		l := newLink(newManager(Options{Self: 1}, newFakeTable(1)), 2)
		l.credit.bulk, l.credit.inflight[laneBulk] = allowed, tt.inflight
		s := &stream{link: l}
		s.session.phase = phaseBulk
		if got := l.budget(s, laneBulk); got != tt.want {
			t.Errorf("%d bytes on their way: %d more, want %d", tt.inflight, got, tt.want)
		}
		if blocked := l.credit.blocked[laneBulk]; blocked != (tt.want == 0) {
			t.Errorf("%d bytes on their way: it waits for an acknowledgement: %t", tt.inflight, blocked)
		}
	}
}
