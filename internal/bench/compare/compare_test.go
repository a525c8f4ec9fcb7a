package compare

import (
	"errors"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/bench"
)

var usual = model{seconds: 60, perSecond: 200, drift: 0.1}

func mustCompare(t *testing.T, o Options, sides ...Side) *Report {
	t.Helper()
	r, err := Compare(sides, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// differ counts the seeds in which anything was said to differ.
func differ(t *testing.T, seeds, runs int, a, b model) (any int, byQuantile map[string]int) {
	t.Helper()
	byQuantile = map[string]int{}
	for seed := range uint64(seeds) {
		r := mustCompare(t, Options{Resamples: 200, Seed: seed + 1},
			a.side("a", runs, 1000+100*seed, bench.AcksAll), b.side("b", runs, 1050+100*seed, bench.AcksAll))
		found := false
		for _, c := range r.Comparisons {
			if c.Verdict == NoVerdict {
				t.Fatalf("seed %d: no verdict on %s: %s", seed, c.Quantile, c.Reason)
			}
			if c.Verdict != NoDifference {
				byQuantile[c.Quantile]++
				found = true
			}
		}
		if found {
			any++
		}
	}
	return any, byQuantile
}

// Forty seeds keep the test short. Of a hundred, with more draws, 1, 0, 5 and 2
// showed a difference.
func TestEqualRunsShowNoDifference(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		model model
		runs  int
	}{
		{name: "one run a side", model: usual, runs: 1},
		{name: "seconds that depend on each other", model: model{seconds: 100, perSecond: 110, drift: 0.3}, runs: 1},
		{name: "as short as it may be", model: model{seconds: minUnits, perSecond: 1000, drift: 0.1}, runs: 1},
		{name: "three runs that differ", model: model{seconds: 12, perSecond: 300, drift: 0.05, ofRun: 0.1}, runs: 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const seeds = 40
			wrong, by := differ(t, seeds, tt.runs, tt.model, tt.model)
			t.Logf("%d of %d seeds: %v", wrong, seeds, by)
			if wrong > seeds/20 {
				t.Errorf("a difference in %d of %d seeds of equal runs, want at most 5%%", wrong, seeds)
			}
		})
	}
}

func TestSlowerRunsAreShown(t *testing.T) {
	t.Parallel()
	slower := model{seconds: 120, perSecond: 1000, drift: 0.05, faster: 1.15}
	same := slower
	same.faster = 1
	const seeds = 10
	_, by := differ(t, seeds, 1, same, slower)
	t.Log(by)
	if by["p50"] < seeds*9/10 || by["p99"] < seeds*9/10 {
		t.Errorf("+15%% was shown in %v of %d seeds, want 90%% at p50 and p99", by, seeds)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	invalid := usual.side("invalid", 1, 1, bench.AcksAll)
	invalid.Runs[0].Report.Arms[0].Valid = false
	closed := usual.side("closed", 1, 1, bench.AcksAll)
	closed.Runs[0].Report.Load = bench.LoadClosed
	half := usual
	half.faster = 0.5
	tests := []struct {
		name   string
		next   Side
		o      Options
		want   string
		reason string
	}{
		{name: "half the time", next: half.side("b", 1, 3, bench.AcksAll), want: Faster},
		{name: "itself", next: usual.side("b", 1, 2, bench.AcksAll), want: NoDifference},
		{name: "invalid", next: invalid, want: NoVerdict, reason: "INVALID: run-1"},
		{name: "invalid, and meant so", next: invalid, o: Options{AllowInvalid: true}, want: NoDifference},
		{name: "another kind of load", next: closed, want: NoVerdict, reason: "open-loop against closed-loop"},
		{name: "eleven seconds", next: model{seconds: minUnits - 1, perSecond: 2000}.side("b", 1, 3, bench.AcksAll), want: NoVerdict, reason: "too short"},
		{name: "few records", next: model{seconds: 60, perSecond: 10}.side("b", 1, 3, bench.AcksAll), want: NoVerdict, reason: "less than 10 samples"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustCompare(t, tt.o, usual.side("a", 1, 2, bench.AcksAll), tt.next)
			if got := r.Comparisons[1]; got.Quantile != "p99" || got.Verdict != tt.want || !strings.Contains(got.Reason, tt.reason) {
				t.Errorf("got %+v, want %s (%s)", got, tt.want, tt.reason)
			}
			if !r.Method.WithinRunOnly || !strings.Contains(strings.Join(r.Warnings, "\n"), "within-run variability only") {
				t.Errorf("one run a side passes for more: %v", r.Warnings)
			}
		})
	}
}

func TestSendsAreNotRanked(t *testing.T) {
	t.Parallel()
	half := usual
	half.faster = 0.5
	r := mustCompare(t, Options{}, usual.side("a", 3, 1, bench.AcksNone), half.side("b", 3, 5, bench.AcksNone))
	if got := r.Comparisons[0]; got.Verdict != NoVerdict || !strings.Contains(got.Reason, "not an ack") {
		t.Errorf("got %+v", got)
	}
	if r.Method.WithinRunOnly || len(r.Warnings) > 0 {
		t.Errorf("three runs a side: %v", r.Warnings)
	}
}

func TestArmsAreThoseInCommon(t *testing.T) {
	t.Parallel()
	short := model{seconds: 5, perSecond: 10}
	a, b := short.side("a", 1, 1, bench.AcksAll, bench.AcksLeader), short.side("b", 1, 2, bench.AcksLeader)
	r := mustCompare(t, Options{}, a, b)
	if len(r.Comparisons) != len(quantiles) || r.Comparisons[0].Acks != bench.AcksLeader {
		t.Errorf("got %+v", r.Comparisons)
	}
	if _, err := Compare([]Side{a, b}, Options{Acks: []bench.Arm{bench.AcksAll}}); !errors.Is(err, ErrNothing) {
		t.Errorf("nothing in common: %v", err)
	}
}

func TestEqualInputEqualOutput(t *testing.T) {
	t.Parallel()
	a, b := usual.side("a", 1, 1, bench.AcksAll), usual.side("b", 1, 2, bench.AcksAll)
	first, second := mustCompare(t, Options{Seed: 9}, a, b), mustCompare(t, Options{Seed: 9}, a, b)
	for i := range first.Comparisons {
		if x, y := first.Comparisons[i], second.Comparisons[i]; *x.LowPercent != *y.LowPercent || *x.HighPercent != *y.HighPercent {
			t.Errorf("the same seed gave %v and %v", x, y)
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	slow := usual
	slow.faster = 1.5
	slower := func() *Report {
		return mustCompare(t, Options{}, usual.side("a", 1, 1, bench.AcksAll), slow.side("b", 1, 2, bench.AcksAll))
	}
	same := func() *Report {
		return mustCompare(t, Options{}, usual.side("a", 1, 1, bench.AcksAll), usual.side("b", 1, 1, bench.AcksAll))
	}
	short := func() *Report {
		m := model{seconds: 2, perSecond: 1000}
		return mustCompare(t, Options{}, m.side("a", 1, 1, bench.AcksAll), m.side("b", 1, 2, bench.AcksAll))
	}
	tests := []struct {
		text   string
		report func() *Report
		failed int
	}{
		{text: "p99 > +5%", report: slower, failed: 1},
		{text: "p99>5%,p50>+5%", report: slower, failed: 2},
		{text: "p99 > +500%", report: slower},
		{text: "p99 > +5%", report: same},
		{text: "p99 > -5%", report: same}, // no difference is shown
		{text: "p999 < -5%", report: slower},
		{text: "p99 > +5%", report: short, failed: 1}, // cannot be judged
	}
	for _, tt := range tests {
		conditions, err := ParseConditions(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		r := tt.report()
		if failed := r.Check(conditions); len(failed) != tt.failed || len(r.FailIf) != len(conditions) {
			t.Errorf("%s: %d failed, want %d: %+v", tt.text, len(failed), tt.failed, r.FailIf)
		}
	}
	for _, text := range []string{"p99", "p99 > 5", "p95 > 5%", "max > 5%", "p99 >= 5%"} {
		if _, err := ParseConditions(text); !errors.Is(err, bench.ErrConfig) {
			t.Errorf("%q passes for a condition: %v", text, err)
		}
	}
}

func TestConfigDiff(t *testing.T) {
	t.Parallel()
	a, b := usual.side("a", 2, 1, bench.AcksAll), usual.side("b", 1, 5, bench.AcksAll)
	version := "0.5.0"
	a.Runs[1].Report.Settings.RecordBytes = 100
	b.Runs[0].Report.Environment.Client.Chronik = &version
	b.Runs[0].Report.Environment.Topic.Name = "another"
	got, same := configDiff([]Side{a, b})
	want := []Difference{
		{Field: "client.chronik", Values: []string{"unknown", "0.5.0"}},
		{Field: "settings.record_bytes", Values: []string{"0 | 100", "0"}},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i].Field != want[i].Field || strings.Join(got[i].Values, ",") != strings.Join(want[i].Values, ",") {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
	if s := strings.Join(same, ","); s != "host,kernel,cluster,brokers' APIs,topic layout" {
		t.Errorf("the same: %s", s)
	}
}

func TestAAFloors(t *testing.T) {
	t.Parallel()
	slower := usual
	slower.faster = 1.8
	aa := Side{Name: "aa", Runs: append(usual.side("aa", 1, 11, bench.AcksAll).Runs, slower.side("aa", 1, 12, bench.AcksAll).Runs...)}
	// Half as much again is a difference, unless runs of the same thing differ by more.
	bit := usual
	bit.faster = 1.5
	a, b := usual.side("a", 1, 1, bench.AcksAll), bit.side("b", 1, 2, bench.AcksAll)
	if c := mustCompare(t, Options{}, a, b).Comparisons[0]; c.Verdict != Slower {
		t.Errorf("without A/A runs: %+v", c)
	}
	c := mustCompare(t, Options{AA: aa}, a, b).Comparisons[0]
	if c.Verdict != NoDifference || c.NoiseFloorOf != FloorAA || *c.NoiseFloorPercent < 50 || !strings.Contains(c.Reason, "A/A noise floor") {
		t.Errorf("with A/A runs: %+v", c)
	}
	floors := Floors(aa, Options{})
	if len(floors) != len(quantiles) || floors[0].Quantile != "p50" || *floors[0].Percent < 50 || *floors[0].Percent > 120 || len(floors[0].Micros) != 2 || floors[0].Pairs != 1 || floors[0].Shown != 1 {
		t.Errorf("floors are %+v", floors)
	}
}
