package bench

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// histogramMax is the longest time that is kept to three digits. Longer
	// ones are counted as overflow and shown, never cut down to the maximum.
	histogramMax    = 10 * time.Minute
	histogramDigits = 3
)

// histogram counts times in nanoseconds. It is not safe for concurrent use.
type histogram struct {
	hdr      *hdrhistogram.Histogram
	overflow int64
}

func newHistogram() *histogram {
	return &histogram{hdr: hdrhistogram.New(1, int64(histogramMax), histogramDigits)}
}

func (h *histogram) record(d time.Duration) {
	if h.hdr.RecordValue(int64(max(d, 0))) != nil {
		h.overflow++
	}
}

func (h *histogram) merge(from *histogram) {
	// Both have the same bounds, so that nothing can be dropped.
	h.overflow += from.overflow + h.hdr.Merge(from.hdr)
}

// count includes what overflowed.
func (h *histogram) count() int64 { return h.hdr.TotalCount() + h.overflow }

// quantile returns the time that share q of all samples did not exceed, and
// false when the samples are too few to tell (fewer than one lies beyond it)
// or it lies in the overflow.
func (h *histogram) quantile(q float64) (time.Duration, bool) {
	n := h.count()
	// The tolerance is for 1-0.9999, which is a little more than 0.0001.
	if n == 0 || float64(n)*(1-q) < 1-1e-6 {
		return 0, false
	}
	rank := float64(n) * q
	if kept := float64(h.hdr.TotalCount()); rank > kept {
		return 0, false
	} else if h.overflow > 0 {
		q = rank / kept
	}
	return time.Duration(h.hdr.ValueAtQuantile(q * 100)), true
}

// Quantiles are the quantiles of one kind of time, in microseconds. A quantile
// that has less than one sample beyond it is nil: it would be the maximum
// under another name.
type Quantiles struct {
	Count int64    `json:"count"`
	P50   *float64 `json:"p50"`
	P90   *float64 `json:"p90"`
	P99   *float64 `json:"p99"`
	P999  *float64 `json:"p999"`
	P9999 *float64 `json:"p9999"`
	Max   *float64 `json:"max"`
	// Overflow counts samples beyond ten minutes, which Max leaves out.
	Overflow int64 `json:"overflow"`
}

func (h *histogram) quantiles() Quantiles {
	at := func(q float64) *float64 {
		if d, ok := h.quantile(q); ok {
			return micros(d)
		}
		return nil
	}
	qs := Quantiles{
		Count: h.count(), Overflow: h.overflow,
		P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999), P9999: at(0.9999),
	}
	if h.hdr.TotalCount() > 0 {
		qs.Max = micros(time.Duration(h.hdr.Max()))
	}
	return qs
}

// micros returns d in microseconds with one decimal: beyond the third
// significant digit a histogram knows nothing.
func micros(d time.Duration) *float64 {
	us := math.Round(float64(d)/float64(time.Microsecond)*10) / 10
	return &us
}
