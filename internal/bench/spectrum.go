package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// SpectrumPoint is one point of a distribution: the share of samples that took
// no longer.
type SpectrumPoint struct {
	Quantile float64 // 0..1, less than 1
	Micros   float64
}

// spectrumTicks is how many points each halving of what lies beyond has.
const spectrumTicks = 5

// Spectrum returns the distribution of one kind of time of one arm, up to the
// last quantile with a sample beyond it. Without intervals it has the quantiles
// of the report.
func (r *Report) Spectrum(k Kind, arm Arm) []SpectrumPoint {
	total := hdrhistogram.New(1, int64(histogramMax), histogramDigits)
	for i := range r.Intervals {
		if r.Intervals[i].Acks == arm {
			r.Intervals[i].of(k).MergeInto(total)
		}
	}
	if total.TotalCount() == 0 {
		return r.coarseSpectrum(k, arm)
	}
	var points []SpectrumPoint
	for _, b := range total.CumulativeDistributionWithTicks(spectrumTicks) {
		q := b.Quantile / 100
		if float64(total.TotalCount())*(1-q) < 1-1e-6 {
			break
		}
		points = append(points, SpectrumPoint{Quantile: q, Micros: float64(b.ValueAt) / float64(time.Microsecond)})
	}
	return points
}

func (r *Report) coarseSpectrum(k Kind, arm Arm) []SpectrumPoint {
	var points []SpectrumPoint
	for i := range r.Arms {
		if r.Arms[i].Acks != arm {
			continue
		}
		q := r.Arms[i].Response
		switch k {
		case KindService:
			q = r.Arms[i].Service
		case KindLateness:
			q = r.Arms[i].Lateness
		case KindResponse:
		}
		for _, p := range []struct {
			quantile float64
			us       *float64
		}{{0.5, q.P50}, {0.9, q.P90}, {0.99, q.P99}, {0.999, q.P999}, {0.9999, q.P9999}} {
			if p.us != nil {
				points = append(points, SpectrumPoint{Quantile: p.quantile, Micros: *p.us})
			}
		}
	}
	return points
}
