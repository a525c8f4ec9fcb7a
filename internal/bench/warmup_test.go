package bench

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAgree(t *testing.T) {
	t.Parallel()
	ms := func(values ...float64) (all []time.Duration) {
		for _, v := range values {
			all = append(all, time.Duration(v*float64(time.Millisecond)))
		}
		return all
	}
	tests := []struct {
		name    string
		medians []time.Duration
		want    bool
	}{
		{name: "too few", medians: ms(1, 1)},
		{name: "three alike", medians: ms(1, 1.1, 1.2), want: true},
		{name: "a quarter more is the limit", medians: ms(1, 1, 1.25), want: true},
		{name: "more than a quarter", medians: ms(1, 1, 1.26)},
		{name: "more than a quarter in the middle", medians: ms(1, 2, 1)},
		{name: "only the last three count", medians: ms(40, 9, 1, 1, 1), want: true},
		{name: "still falling", medians: ms(9, 7, 5)},
		{name: "differences too small to matter", medians: ms(0.01, 0.03, 0.06), want: true},
		{name: "a window without an ack", medians: append(ms(1, 1), -1)},
	}
	for _, tt := range tests {
		if got := agree(tt.medians); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// slowAtFirst makes the cluster take 40 ms for the first request, and a tenth
// less for each that follows.
func slowAtFirst(cluster *kfake.Cluster) {
	var seen atomic.Int64
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		wait(time.Duration(40e6 * math.Pow(0.9, float64(seen.Add(1)))))
		return nil, nil, false
	})
}

// A cluster that is slow at first is warmed up for longer than was asked, and
// none of that is in the quantiles.
//
// Not parallel: other tests would be measured too.
func TestWarmupGoesOnUntilItSettles(t *testing.T) {
	cluster, target := fakeCluster(t, 1)
	target.Partitions = 1
	slowAtFirst(cluster)
	c := Config{Target: target, Arms: []Arm{AcksAll}, ClosedLoop: true, Duration: 300 * time.Millisecond, Warmup: 400 * time.Millisecond, WarmupMax: 20 * time.Second}
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	w := report.Warmup
	if w.Converged == nil || !*w.Converged || len(w.Windows) <= agreeingWindows+1 || w.Millis < 500 || w.WindowMillis != 100 {
		t.Errorf("warm-up is %+v, want it longer than the 400 ms that were asked for, and converged", w)
	}
	if first := w.Windows[0]; *first.P50 < 20_000 || first.Acks != AcksAll {
		t.Errorf("first window is %+v", first)
	}
	if p50 := *report.Arms[0].Response.P50; p50 > 10_000 {
		t.Errorf("p50 is %.0f us: the warm-up was measured", p50)
	}
	if v := report.Verification; !v.OK || v.ReadBack != report.Arms[0].Offered+w.Records {
		t.Errorf("read back %d of %d and %d", v.ReadBack, report.Arms[0].Offered, w.Records)
	}
}

// What never settles is measured all the same, and the report says so.
func TestWarmupThatDoesNotSettleIsBounded(t *testing.T) {
	t.Parallel()
	cluster, target := fakeCluster(t, 1)
	target.Partitions = 1
	var seen atomic.Int64
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		// Ever slower, until there is one ack a window, which has no median.
		wait(time.Duration(min(2e6*math.Pow(1.3, float64(seen.Add(1))), 30e6)))
		return nil, nil, false
	})
	report, err := Run(t.Context(), Config{
		Target: target, Arms: []Arm{AcksAll}, ClosedLoop: true, Duration: 100 * time.Millisecond, Warmup: 40 * time.Millisecond, WarmupMax: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if w := report.Warmup; *w.Converged || len(w.Windows) != 20 {
		t.Errorf("warm-up is %+v, want 20 windows that do not agree", w)
	}
	if !slices.ContainsFunc(report.Warnings, func(w string) bool { return strings.Contains(w, "not in a steady state") }) {
		t.Errorf("warnings %q", report.Warnings)
	}
}
