package bench

import (
	"bytes"
	"testing"
	"time"
)

// What WriteLog writes, ReadLog reads.
func TestLogsAreReadBack(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 12, 0, 0, 123e6, time.UTC)
	want := &Report{Started: start}
	for i, arm := range []Arm{AcksAll, AcksNone, AcksAllIdempotent} {
		iv := newInterval(start.Add(time.Duration(i)*time.Second), start.Add(time.Duration(i+1)*time.Second))
		iv.Acks = arm
		for j := range int64(100) {
			_ = iv.Response.RecordValue((j + 1) * 1e6 * int64(i+1))
			_ = iv.Service.RecordValue((j + 1) * 1e3)
		}
		want.Intervals = append(want.Intervals, *iv)
	}
	got := &Report{}
	for _, k := range Kinds() {
		var log bytes.Buffer
		if err := want.WriteLog(&log, k); err != nil {
			t.Fatal(err)
		}
		if err := got.ReadLog(&log, k); err != nil {
			t.Fatal(err)
		}
	}
	if len(got.Intervals) != len(want.Intervals) {
		t.Fatalf("%d intervals, want %d", len(got.Intervals), len(want.Intervals))
	}
	for i := range want.Intervals {
		w, g := &want.Intervals[i], &got.Intervals[i]
		if g.Acks != w.Acks || g.Start.Sub(w.Start).Abs() > time.Millisecond || g.End.Sub(w.End).Abs() > time.Millisecond {
			t.Errorf("interval %d: %s from %s to %s", i, g.Acks, g.Start, g.End)
		}
		for _, k := range Kinds() {
			for _, p := range []float64{50, 99, 100} {
				if a, b := w.of(k).ValueAtPercentile(p), g.of(k).ValueAtPercentile(p); a != b {
					t.Errorf("interval %d: %s p%g is %d, was %d", i, k, p, b, a)
				}
			}
		}
		if g.Lateness.TotalCount() != 0 {
			t.Errorf("interval %d: lateness out of nothing", i)
		}
	}
}
