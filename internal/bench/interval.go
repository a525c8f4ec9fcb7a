package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// intervalLength is how much of a block one set of interval histograms covers.
const intervalLength = time.Second

// Interval is what was measured of the records of one arm that came due in a
// short time: the raw material of latency over time, and of comparing runs.
// Times are in nanoseconds.
type Interval struct {
	Acks       Arm
	Start, End time.Time
	Response   *hdrhistogram.PackedHistogram
	Service    *hdrhistogram.PackedHistogram
	Lateness   *hdrhistogram.PackedHistogram
}

func newInterval(start, end time.Time) *Interval {
	packed := func() *hdrhistogram.PackedHistogram {
		return hdrhistogram.NewPacked(1, int64(histogramMax), histogramDigits)
	}
	return &Interval{Start: start, End: end, Response: packed(), Service: packed(), Lateness: packed()}
}

// intervals are those of one block of one producer. The zero value keeps none.
type intervals struct {
	began time.Time // of the block; zero: nothing is kept
	list  []*Interval
}

// at returns the interval in which a record was due, or nil.
func (v *intervals) at(due time.Time) *Interval {
	if v.began.IsZero() || due.Before(v.began) {
		return nil
	}
	i := int(due.Sub(v.began) / intervalLength)
	for i >= len(v.list) {
		start := v.began.Add(time.Duration(len(v.list)) * intervalLength)
		v.list = append(v.list, newInterval(start, start.Add(intervalLength)))
	}
	return v.list[i]
}

// offered and succeeded keep one record's times. What no histogram holds is
// counted by the recorder's own (histogram.overflow).
func (v *intervals) offered(due, sent time.Time) {
	if iv := v.at(due); iv != nil {
		_ = iv.Lateness.RecordValue(int64(max(sent.Sub(due), 0)))
	}
}

func (v *intervals) succeeded(due, sent, now time.Time) {
	if iv := v.at(due); iv != nil {
		_ = iv.Response.RecordValue(int64(max(now.Sub(due), 0)))
		_ = iv.Service.RecordValue(int64(max(now.Sub(sent), 0)))
	}
}

// merge adds what another producer measured in the same block.
func (v *intervals) merge(from *intervals) {
	if v.began.IsZero() {
		v.began = from.began
	}
	for _, iv := range from.list {
		into := v.at(iv.Start)
		into.Response.Merge(iv.Response) // equal bounds: nothing can be dropped
		into.Service.Merge(iv.Service)
		into.Lateness.Merge(iv.Lateness)
	}
}

// finish names the arm, cuts the last interval off where the block ended, and
// gives memory back.
func (v *intervals) finish(arm Arm, offered time.Duration) []Interval {
	var done []Interval
	end := v.began.Add(offered)
	for _, iv := range v.list {
		iv.Acks = arm
		if iv.End.After(end) && end.After(iv.Start) {
			iv.End = end
		}
		iv.Response.Compact()
		iv.Service.Compact()
		iv.Lateness.Compact()
		done = append(done, *iv)
	}
	return done
}

// Kind is one of the times that are measured of a record.
type Kind string

// The kinds.
const (
	KindResponse Kind = "response" // from due to acked
	KindService  Kind = "service"  // from sent to acked
	KindLateness Kind = "lateness" // from due to sent
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{KindResponse, KindService, KindLateness} }

func (iv *Interval) of(k Kind) *hdrhistogram.PackedHistogram {
	switch k {
	case KindService:
		return iv.Service
	case KindLateness:
		return iv.Lateness
	default:
		return iv.Response
	}
}

// WriteLog writes the intervals of one kind as a HdrHistogram interval log, in
// nanoseconds, tagged with the arm: what standard tools open as .hlog.
func (r *Report) WriteLog(w io.Writer, k Kind) error {
	sorted := slices.Clone(r.Intervals)
	slices.SortStableFunc(sorted, func(a, b Interval) int { return a.Start.Compare(b.Start) })
	log := hdrhistogram.NewHistogramLogWriter(w)
	if err := log.OutputComment(fmt.Sprintf("[chronik bench acks-all, %s time in nanoseconds, tagged with acks]", k)); err != nil {
		return err
	}
	if err := log.OutputLogFormatVersion(); err != nil {
		return err
	}
	// The format keeps whole seconds here.
	base := r.Started.Truncate(time.Second).UnixMilli()
	if len(sorted) > 0 {
		base = min(base, sorted[0].Start.Truncate(time.Second).UnixMilli())
	}
	log.SetBaseTime(base)
	if err := cmp.Or(log.OutputStartTime(base), log.OutputBaseTime(base), log.OutputLegend()); err != nil {
		return err
	}
	for i := range sorted {
		h := sorted[i].of(k)
		h.SetTag(string(sorted[i].Acks))
		h.SetStartTimeMs(sorted[i].Start.UnixMilli())
		h.SetEndTimeMs(sorted[i].End.UnixMilli())
		if err := log.OutputIntervalPackedHistogram(h); err != nil {
			return err
		}
	}
	return nil
}

// WriteSpectrum writes one arm's percentiles up to the maximum, in milliseconds:
// what standard tools open as .hgrm.
func (r *Report) WriteSpectrum(w io.Writer, k Kind, arm Arm) error {
	total := hdrhistogram.New(1, int64(histogramMax), histogramDigits)
	for i := range r.Intervals {
		if r.Intervals[i].Acks == arm {
			r.Intervals[i].of(k).MergeInto(total)
		}
	}
	_, err := total.PercentilesPrint(w, 5, float64(time.Millisecond))
	return err
}
