package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The search ends, within its bounds, at a rate that held twice, close below
// one that did not.
func TestSearchFindsTheKnee(t *testing.T) {
	t.Parallel()
	for _, knee := range []float64{1, 7, 99, 1000, 1234, 33_000, 99_999, 750_000} {
		for _, start := range []float64{1, 1000, 50_000, 1_000_000} {
			t.Run(fmt.Sprintf("%v from %v", knee, start), func(t *testing.T) {
				t.Parallel()
				s := newSearch(start)
				var tried []float64
				for !s.done {
					tried = append(tried, s.rate)
					s.note(s.rate <= knee)
				}
				if !s.found || s.held > knee || s.held*searchPrecision*1.05 < knee && twoDigits(knee) == knee {
					t.Errorf("found %v (%t) after %v", s.held, s.found, tried)
				}
				if n := len(tried); n > 35 || n < 2 || tried[n-1] != s.held {
					t.Errorf("tried %v", tried)
				}
			})
		}
	}
}

func TestSearchEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		holds func(rate float64, step int) bool
		found float64 // 0: nothing
	}{
		{name: "nothing holds", holds: func(float64, int) bool { return false }},
		{name: "everything holds", holds: func(float64, int) bool { return true }, found: maxSearchRate},
		{name: "each rate holds once", holds: func() func(float64, int) bool {
			seen := map[float64]bool{}
			return func(rate float64, _ int) bool { first := !seen[rate]; seen[rate] = true; return first && rate <= 2000 }
		}()},
		{name: "lucky once", holds: func(rate float64, step int) bool { return rate <= 900 || step == 0 }, found: 900},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSearch(1000)
			var tried []float64
			for !s.done && len(tried) < 100 {
				tried = append(tried, s.rate)
				s.note(tt.holds(s.rate, len(tried)-1))
			}
			if !s.done || s.found != (tt.found > 0) || s.found && (s.held > tt.found || s.held < tt.found/searchPrecision) {
				t.Errorf("found %v (%t), want %v; tried %v", s.held, s.found, tt.found, tried)
			}
		})
	}
}

// limited makes a cluster that answers one request in every gap, so that more
// records than that wait for each other.
func limited(cluster *kfake.Cluster, gap time.Duration) {
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		wait(gap)
		return nil, nil, false
	})
}

func short(target Target) Config {
	target.Partitions = 1
	return Config{
		Target: target, Arms: []Arm{AcksAll}, Rate: 20, Duration: 300 * time.Millisecond, Warmup: -1, SkipTraces: true,
		latenessFloor: time.Second,
	}
}

// A broker that takes 20 ms for a request meets p50<500ms until its queue grows
// that long, which it does in half a second at 150/s on any machine, and at no rate
// p50<10ms.
//
// Not parallel: other tests would be measured too.
func TestFindMax(t *testing.T) {
	cluster, target := fakeCluster(t, 1)
	limited(cluster, 20*time.Millisecond)
	slo := func(s string) []Assertion {
		claims, err := ParseSLO(s)
		if err != nil {
			t.Fatal(err)
		}
		return claims
	}
	c := short(target)
	c.RecordBytes = 500_000             // so that batches cannot make up for it
	c.Duration = 500 * time.Millisecond // in which a short pause of the machine does not count
	report, err := FindMax(t.Context(), c, slo("p50<500ms"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range report.Steps {
		t.Logf("%v/s holds %t %s %s", s.RatePerSecond, *s.Holds, s.Limit, s.Detail)
	}
	k := report.Knee
	if k == nil || k.RatePerSecond == nil || k.BrokeAt == nil || *k.RatePerSecond >= *k.BrokeAt || *k.RatePerSecond > 150 || k.Limit == "" || k.Detail == "" {
		t.Fatalf("knee is %+v", k)
	}
	for _, s := range report.Steps {
		if !s.Report.Verification.OK || s.Report.Arms[0].Offered == 0 || *s.Report.Settings.RatePerSecond != s.RatePerSecond {
			t.Errorf("step %v/s: %+v", s.RatePerSecond, s.Report.Verification)
		}
	}
	none, err := FindMax(t.Context(), c, slo("p50<10ms"))
	if err != nil {
		t.Fatal(err)
	}
	if k := none.Knee; k.RatePerSecond != nil || k.BrokeAt == nil || k.Limit != LimitSLO || !strings.HasPrefix(k.Detail, "p50<10ms: acks=all: ") {
		t.Errorf("knee is %+v, want none", k)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 1)
	c := short(target)
	c.Arms = []Arm{AcksAll, AcksNone}
	var rates []float64
	c.OnProgress = func(p Progress) { rates = append(rates, p.Rate) }
	report, err := RunSweep(t.Context(), c, []float64{100, 400}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Steps) != 2 || report.Knee != nil || report.Interrupted {
		t.Fatalf("report is %+v", report)
	}
	for i, s := range report.Steps {
		if want := []int64{15, 60}[i]; s.Report.Arms[0].Offered != want || len(s.Report.Arms) != 2 || s.Holds != nil {
			t.Errorf("step %d is %+v, want %d records", i, s, want)
		}
	}
	if len(rates) == 0 || rates[len(rates)-1] != 400 {
		t.Errorf("progress was of the rates %v", rates)
	}
	if topics := topicsOf(t, target); len(topics) != 0 {
		t.Errorf("left behind: %v", topics)
	}
}

// A step that fails, is interrupted or finds a loss is the last one.
func TestSweepStops(t *testing.T) {
	t.Parallel()
	t.Run("on a loss", func(t *testing.T) {
		t.Parallel()
		cluster, target := fakeCluster(t, 1)
		cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			return forget(req.(*kmsg.ProduceRequest)), nil, true
		})
		report, err := RunSweep(t.Context(), short(target), []float64{100, 200}, nil)
		if err != nil || len(report.Steps) != 1 || report.Steps[0].Report.Verification.Lost == 0 {
			t.Errorf("error %v, report %+v", err, report)
		}
	})
	t.Run("when interrupted", func(t *testing.T) {
		t.Parallel()
		_, target := fakeCluster(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := short(target)
		c.Duration = time.Hour
		c.OnProgress = func(p Progress) {
			if p.Acked > 5 {
				cancel()
			}
		}
		report, err := RunSweep(ctx, c, []float64{100, 200}, nil)
		if err != nil || len(report.Steps) != 1 || !report.Interrupted {
			t.Errorf("error %v, report %+v", err, report)
		}
	})
	t.Run("when it cannot begin", func(t *testing.T) {
		t.Parallel()
		_, target := fakeCluster(t, 1)
		c := short(target)
		c.Replicas = 3
		if report, err := RunSweep(t.Context(), c, []float64{100, 200}, nil); report != nil || !errors.Is(err, kerr.InvalidReplicationFactor) {
			t.Errorf("error %v, report %+v", err, report)
		}
	})
}

func TestSLOs(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{"p99<10ms": true, "p99.9<1s,errors<0.1%": true, "loss==0": false, "valid": false, "rate>=5": false, "fast": false} {
		if _, err := ParseSLO(text); (err == nil) != ok || err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for in, want := range map[float64]float64{0: 0, 1: 1, 1.26: 1.3, 99.4: 99, 12_345: 12_000} {
		if got := twoDigits(in); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v is rounded to %v, want %v", in, got, want)
		}
	}
}

// A cluster that takes 20 ms for each record does not achieve 100/s, although it
// acks every record in the end.
//
// Not parallel: other tests would be measured too.
func TestAchievedRateOfAnOverloadedCluster(t *testing.T) {
	cluster, target := fakeCluster(t, 1)
	limited(cluster, 20*time.Millisecond)
	c := short(target)
	c.Rate, c.RecordBytes = 100, 900_000
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	arm := report.Arms[0]
	if arm.Errors != 0 || *arm.Acked != 30 || arm.AchievedPerSecond > 60 || arm.AchievedPerSecond < 5 {
		t.Errorf("achieved %v/s with %d of %d records acked, want at most 50/s", arm.AchievedPerSecond, *arm.Acked, arm.Offered)
	}
}
