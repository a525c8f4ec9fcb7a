package bench

import (
	"fmt"
	"testing"
	"time"
)

func TestWindowsOfASample(t *testing.T) {
	t.Parallel()
	always, never := func() float64 { return 0 }, func() float64 { return 1 }
	for _, tt := range []struct {
		start, end int64
		chance     func() float64
		want       string
	}{
		{end: 0, want: "[]"},
		{start: 5, end: 1500, want: "[{5 1005} {1005 1500}]"},
		{start: 0, end: 10_500, chance: always, want: "[{0 1000} {1000 2000} {10000 10500}]"},
		{start: 0, end: 4000, chance: never, want: "[{0 1000} {3000 4000}]"}, // chance is less than 1
	} {
		if got := fmt.Sprint(windows(tt.start, tt.end, tt.chance)); got != tt.want {
			t.Errorf("%d to %d: %s, want %s", tt.start, tt.end, got, tt.want)
		}
	}
	if got := windows(0, 1_000_000, func() float64 { return 0.5 }); len(got) != 100 {
		t.Errorf("%d windows of a thousand, want a tenth", len(got))
	}
}

func TestASampleIsJudgedByWhatItRead(t *testing.T) {
	t.Parallel()
	l := newLedger(AcksAll)
	for i := range int64(4) {
		sequence, _ := l.add(1)
		l.ack(sequence, 0, 1000*i)
	}
	v := newVerifier(1, []*ledger{l})
	s := logSample{windows: map[int32][]window{0: {{0, 1000}, {2000, 3000}}}, ends: map[int32]int64{0: 3000}}
	v.covers = s.covers
	value := make([]byte, StampBytes)
	stamp{run: 1, sequence: 0, producer: 0}.write(value)
	v.observe(0, 0, value)
	got := v.finish(true)
	// 1000 was not read; 2000 was, and is not there; 3000 is beyond the end.
	if got.ReadBack != 1 || got.Unsampled != 1 || got.Lost != 2 || got.Unverified != 0 {
		t.Errorf("got %+v", got.Counts)
	}
}

func TestASampleIsReadBack(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 3)
	c := quick(target)
	c.Arms, c.Warmup, c.Partitions, c.SampleVerify = []Arm{AcksAll, AcksLeader}, -1, 1, true
	c.Rate, c.Duration, c.SkipTraces = 8000, 2*time.Second, true
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	v := report.Verification
	if !v.OK || v.Lost != 0 || v.Unsampled == 0 || v.ReadBack < 2*sampleWindow || v.ReadBack+v.Unsampled != v.Acked {
		t.Errorf("verification is %+v (%s)", v.Counts, v.Reason)
	}
}
