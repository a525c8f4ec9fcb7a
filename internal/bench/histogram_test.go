package bench

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestQuantileNeedsASampleBeyondIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		samples int
		q       float64
		known   bool
	}{
		{name: "no samples", samples: 0, q: 0.5, known: false},
		{name: "one sample has no median", samples: 1, q: 0.5, known: false},
		{name: "two have", samples: 2, q: 0.5, known: true},
		{name: "p99 of 99", samples: 99, q: 0.99, known: false},
		{name: "p99 of 100", samples: 100, q: 0.99, known: true},
		{name: "p99.99 of 9,999", samples: 9999, q: 0.9999, known: false},
		{name: "p99.99 of 10,000", samples: 10_000, q: 0.9999, known: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHistogram()
			for range tt.samples {
				h.record(time.Millisecond)
			}
			if _, known := h.quantile(tt.q); known != tt.known {
				t.Errorf("quantile(%v) of %d samples: known is %t, want %t", tt.q, tt.samples, known, tt.known)
			}
		})
	}
}

func TestQuantilesAreOfAllSamples(t *testing.T) {
	t.Parallel()
	h := newHistogram()
	for i := 1; i <= 1000; i++ {
		h.record(time.Duration(i) * time.Millisecond)
	}
	q := h.quantiles()
	for _, tt := range []struct {
		name string
		got  *float64
		want float64 // microseconds
	}{
		{name: "p50", got: q.P50, want: 500_000},
		{name: "p90", got: q.P90, want: 900_000},
		{name: "p99", got: q.P99, want: 990_000},
		{name: "p99.9", got: q.P999, want: 999_000},
		{name: "max", got: q.Max, want: 1_000_000},
	} {
		if tt.got == nil || *tt.got < tt.want*0.999 || *tt.got > tt.want*1.001 {
			t.Errorf("%s is %v, want %v within a thousandth", tt.name, deref(tt.got), tt.want)
		}
	}
	if q.P9999 != nil {
		t.Errorf("p99.99 of 1,000 samples is %v, want none", *q.P9999)
	}
}

func deref(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

func TestOverflowIsCountedAndMovesTheQuantiles(t *testing.T) {
	t.Parallel()
	h := newHistogram()
	for range 90 {
		h.record(time.Millisecond)
	}
	for range 10 {
		h.record(2 * histogramMax)
	}
	q := h.quantiles()
	if q.Count != 100 || q.Overflow != 10 {
		t.Errorf("count %d, overflow %d; want 100 and 10", q.Count, q.Overflow)
	}
	if q.P50 == nil {
		t.Error("p50 is unknown, want 1 ms")
	}
	if q.P99 != nil {
		t.Errorf("p99 is %v, want none: it lies in the overflow", *q.P99)
	}
}

// Merging must give what one histogram would have given: averaging would not.
func TestMergeEqualsOneHistogram(t *testing.T) {
	t.Parallel()
	const seed = 11
	random := rand.New(rand.NewPCG(seed, seed))
	one, merged := newHistogram(), newHistogram()
	for range 5 {
		part := newHistogram()
		for range 2000 {
			d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
			one.record(d)
			part.record(d)
		}
		merged.merge(part)
	}
	if !one.hdr.Equals(merged.hdr) {
		t.Errorf("seed %d: merged quantiles %+v, want %+v", seed, merged.quantiles(), one.quantiles())
	}
}

func TestRecordingNegativeTimeCountsAsZero(t *testing.T) {
	t.Parallel()
	h := newHistogram()
	h.record(-time.Second)
	if h.count() != 1 || h.overflow != 0 || h.hdr.Max() != 0 {
		t.Errorf("count %d, overflow %d, max %d; want one zero", h.count(), h.overflow, h.hdr.Max())
	}
}
