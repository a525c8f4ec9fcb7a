package isr

import (
	"math"
	"testing"
	"time"
)

// TestWaitBuckets checks that every wait lies within its bucket, and that the
// bucket says little more than the wait.
func TestWaitBuckets(t *testing.T) {
	t.Parallel()
	before := -1
	for us := int64(1); us < 60_000_000; us += 1 + us/50 {
		wait := time.Duration(us) * time.Microsecond
		b := waitBucket(wait)
		if b < before || b >= waitBuckets {
			t.Fatalf("wait %s in bucket %d, a shorter one in %d", wait, b, before)
		}
		if bound := waitBound(b); bound <= wait || (us >= 16 && bound > wait*3/2) {
			t.Errorf("wait %s in bucket %d, up to %s", wait, b, bound)
		}
		before = b
	}
	for _, extreme := range []time.Duration{math.MinInt64, -1, 0, math.MaxInt64} {
		if b := waitBucket(extreme); b < 0 || b >= waitBuckets {
			t.Errorf("wait %d in bucket %d", extreme, b)
		}
	}
}

func TestWaitPercentile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		short      int // waits of 100 µs
		long       int // waits of 100 ms
		wantLonger bool
	}{
		{"one in a hundred is long", 99, 1, false},
		{"two in a hundred are long", 98, 2, true},
		{"one in two hundred is long", 199, 1, false},
		{"a single wait", 0, 1, true},
	} {
		var w tally
		for range tt.short {
			w.before.add(100 * time.Microsecond)
		}
		for range tt.long {
			w.now.add(100 * time.Millisecond)
		}
		if got := w.p99(); (got >= 100*time.Millisecond) != tt.wantLonger {
			t.Errorf("%s: p99 is %s", tt.name, got)
		}
	}
	if got := new(tally).p99(); got >= 0 {
		t.Errorf("p99 of nothing is %s, want unknown", got)
	}
}

func TestWindowForgets(t *testing.T) {
	t.Parallel()
	replicas := make([]replica, 2)
	var w window
	replicas[0].waits.now.last = 3
	replicas[1].waits.now.last = 1
	for _, tt := range []struct {
		at   time.Duration
		want float64
	}{
		{windowHalf - 1, 0.75},
		{windowHalf, 0.75},
		{2*windowHalf - 1, 0.75},
		{2 * windowHalf, math.NaN()},
	} {
		w.rotate(replicas, tt.at)
		if got := replicas[0].waits.share(replicas); got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
			t.Errorf("after %s the share is %v, want %v", tt.at, got, tt.want)
		}
	}
	replicas[0].waits.now.last = 1
	w.rotate(replicas, 10*windowHalf) // both halves are too old
	if got := replicas[0].waits.share(replicas); !math.IsNaN(got) {
		t.Errorf("after a long pause the share is %v", got)
	}
}
