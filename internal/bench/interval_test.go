package bench

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What is written is what HdrHistogram's own reader reads: the same records, at
// the same times, with the same quantiles as the report's.
func TestLogsAreReadable(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 1)
	c := quick(target)
	c.Arms, c.Producers, c.KeepIntervals = []Arm{AcksAll, AcksAllIdempotent, AcksNone}, 2, true
	c.Duration = 4200 * time.Millisecond // 1.4 s an arm
	c.Rate = 100
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds() {
		var log bytes.Buffer
		if err := report.WriteLog(&log, k); err != nil {
			t.Fatal(err)
		}
		total := map[string]*hdrhistogram.Histogram{}
		var last int64
		reader := hdrhistogram.NewHistogramLogReader(&log)
		for {
			h, err := reader.NextIntervalHistogram()
			if err != nil {
				t.Fatal(err)
			}
			if h == nil {
				break
			}
			if total[h.Tag()] == nil {
				total[h.Tag()] = hdrhistogram.New(1, int64(histogramMax), histogramDigits)
			}
			total[h.Tag()].Merge(h)
			if h.StartTimeMs() < last || h.EndTimeMs() <= h.StartTimeMs() || h.EndTimeMs()-h.StartTimeMs() > 1000 {
				t.Errorf("%s: interval from %d to %d after one from %d", k, h.StartTimeMs(), h.EndTimeMs(), last)
			}
			last = h.StartTimeMs()
			if d := time.Duration(last-report.Started.UnixMilli()) * time.Millisecond; d < -time.Second || d > time.Minute {
				t.Errorf("%s: an interval begins %s after the run", k, d)
			}
		}
		for _, arm := range report.Arms {
			want := map[Kind]Quantiles{KindResponse: arm.Response, KindService: arm.Service, KindLateness: arm.Lateness}[k]
			h := total[string(arm.Acks)]
			if h == nil || h.TotalCount() != want.Count {
				t.Fatalf("%s, acks=%s: %v, want %d records", k, arm.Acks, h, want.Count)
			}
			if got := float64(h.ValueAtQuantile(50)) / 1000; math.Abs(got-*want.P50) > 0.06 {
				t.Errorf("%s, acks=%s: p50 is %.1f us, reported as %.1f", k, arm.Acks, got, *want.P50)
			}
		}
		var spectrum bytes.Buffer
		if err := report.WriteSpectrum(&spectrum, k, AcksAll); err != nil {
			t.Fatal(err)
		}
		if text := spectrum.String(); !strings.Contains(text, "TotalCount") || !strings.Contains(text, "140]") {
			t.Errorf("%s: spectrum of 140 records:\n%s", k, text)
		}
	}
}

func TestIntervalsAreThoseOfTheDueTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var a, b, none intervals
	a.began, b.began = began, began
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	a.succeeded(at(0), at(1), at(2500)) // late answers do not move a record
	a.succeeded(at(1999), at(1999), at(2000))
	b.offered(at(2001), at(2003))
	none.succeeded(at(0), at(0), at(1))
	a.merge(&b)
	done := a.finish(AcksAll, 2300*time.Millisecond)
	if len(done) != 3 || len(none.finish(AcksAll, time.Second)) != 0 {
		t.Fatalf("%d intervals, want 3", len(done))
	}
	for i, want := range []int64{1, 1, 0} {
		if iv := done[i]; iv.Response.TotalCount() != want || iv.Acks != AcksAll || !iv.Start.Equal(at(1000*i)) {
			t.Errorf("interval %d has %d records from %s", i, iv.Response.TotalCount(), iv.Start)
		}
	}
	if last := done[2]; !last.End.Equal(at(2300)) || last.Lateness.TotalCount() != 1 {
		t.Errorf("the last interval ends at %s with %d", last.End, last.Lateness.TotalCount())
	}
}
