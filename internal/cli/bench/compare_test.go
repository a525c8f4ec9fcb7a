package bench

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/bench/compare"
	"github.com/chronik-project/chronik/internal/cli/exit"
)

// saveSample saves a run of forty seconds whose acks=all takes slower times as
// long as usual, and whose other arms are as usual.
func saveSample(t *testing.T, dir string, seed uint64, slower float64, change func(*engine.Report)) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	report := sampleReport()
	report.Verification = &engine.Verification{OK: true, Complete: true}
	report.Arms[0].Errors, report.Arms[0].ErrorsByCode = 0, map[string]int64{}
	report.Warnings = []string{}
	packed := func() *hdrhistogram.PackedHistogram { return hdrhistogram.NewPacked(1, int64(10*time.Minute), 3) }
	for i := range 40 {
		for _, arm := range report.Arms {
			iv := engine.Interval{
				Acks: arm.Acks, Start: report.Started.Add(time.Duration(i) * time.Second), End: report.Started.Add(time.Duration(i+1) * time.Second),
				Response: packed(), Service: packed(), Lateness: packed(),
			}
			for range 300 {
				ms := math.Exp(0.3 * rng.NormFloat64())
				if arm.Acks == engine.AcksAll {
					ms *= slower
				}
				if err := iv.Response.RecordValue(int64(ms * float64(time.Millisecond))); err != nil {
					t.Fatal(err)
				}
			}
			report.Intervals = append(report.Intervals, iv)
		}
	}
	if change != nil {
		change(report)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := saveBundle(dir, acksAllResult(report), report, func(string) string { return "chronik bench acks-all" }); err != nil {
		t.Fatal(err)
	}
}

func TestCompareSavedRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base, slow, foreign := filepath.Join(dir, "base"), filepath.Join(dir, "slow"), filepath.Join(dir, "none")
	saveSample(t, filepath.Join(base, "1"), 1, 1, nil)
	saveSample(t, filepath.Join(base, "2"), 2, 1, nil)
	saveSample(t, slow, 3, 1.3, func(r *engine.Report) { r.Environment.Client.Chronik = of("0.5.0") })
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name           string
		args           string
		want           exit.Status
		stdout, stderr string
	}{
		{name: "slower", args: base + " " + slow, want: exit.OK, stdout: "SLOWER", stderr: "within-run variability only"},
		{name: "faster", args: slow + " " + base, want: exit.OK, stdout: "FASTER"},
		{name: "what differs", args: base + " " + slow, want: exit.OK, stdout: "client.chronik: 0.4.0 -> 0.5.0"},
		{name: "a send is not an ack", args: base + " " + slow, want: exit.OK, stdout: "no verdict: not ranked: a send is not an ack"},
		{name: "the same", args: base + "/1 " + base + "/2", want: exit.OK, stdout: "no difference shown"},
		{name: "too slow for the build", args: base + " " + slow + " --fail-if p99>+5%", want: exit.CheckFailed, stderr: "fail-if: p99>+5%"},
		{name: "not too slow for it", args: base + " " + slow + " --fail-if p99>+90%", want: exit.OK},
		{name: "another arm is as it was", args: base + " " + slow + " --acks 1 --fail-if p99>+5%", want: exit.OK},
		{name: "three sides", args: base + "/1," + base + "/2 " + base + "/1 " + slow, want: exit.OK, stdout: "new        " + slow},
		{name: "no run", args: base + " " + foreign, want: exit.Usage},
		{name: "no directory", args: base + " " + foreign + "/x", want: exit.Usage},
		{name: "no condition", args: base + " " + slow + " --fail-if fast", want: exit.Usage},
		{name: "no such arm", args: base + " " + slow + " --acks all+idempotent", want: exit.Usage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, status := newConsole().run(t.Context(), nil, "compare --resamples 200 "+tt.args)
			if status != tt.want || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("status %d, want %d\n%s%s", status, tt.want, stdout, stderr)
			}
		})
	}
}

// sampleComparison has every verdict.
func sampleComparison() *compare.Report {
	row := func(acks engine.Arm, quantile string, base, next, delta, low, high, floor float64, verdict, reason string) compare.Comparison {
		return compare.Comparison{
			Side: "new", Acks: acks, Quantile: quantile, Base: of(base), New: of(next), DeltaPercent: of(delta), LowPercent: of(low), HighPercent: of(high),
			Verdict: verdict, Reason: reason, NoiseFloorPercent: of(floor), NoiseFloorOf: compare.FloorWithin,
		}
	}
	r := &compare.Report{
		Method: compare.Method{Bootstrap: "moving-block", BlockSeconds: 10, Resamples: 1000, Seed: "1", Confidence: 0.95, WithinRunOnly: true},
		Sides: []compare.SideReport{
			{Name: "base", Runs: []compare.RunReport{{Dir: "base", Started: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Load: engine.LoadOpen, Valid: true, Verified: of(true)}}},
			{Name: "new", Runs: []compare.RunReport{{Dir: "new", Started: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Load: engine.LoadOpen}}},
		},
		Comparisons: []compare.Comparison{
			row(engine.AcksAll, "p50", 1920, 1900, -1, -4.1, 2.2, 3.1, compare.NoDifference, ""),
			row(engine.AcksAll, "p99", 6420, 5100, -20.6, -27.9, -12.2, 3.1, compare.Faster, ""),
			row(engine.AcksAll, "p99.9", 14800, 15900, 7.4, -9, 26.1, 8, compare.NoDifference, ""),
			row(engine.AcksLeader, "p50", 880, 990, 12.5, 10.1, 15.2, 2, compare.Slower, ""),
			row(engine.AcksLeader, "p99", 2100, 2140, 1.9, 0.1, 3.2, 2.5, compare.NoDifference, "within the A/A noise floor"),
			row(engine.AcksNone, "p50", 40, 41, 2.5, -1, 4, 5, compare.NoVerdict, "not ranked: a send is not an ack"),
		},
		ConfigDiff: []compare.Difference{{Field: "client.chronik", Values: []string{"0.4.0", "0.5.0"}}, {Field: "settings.record_bytes", Values: []string{"1024", "100"}}},
		Same:       []string{"host", "kernel"},
		FailIf:     []compare.Outcome{{Text: "p50 > +5%", Failed: true, Detail: "new acks=all: -1.0%, no difference shown; new acks=1: +12.5%, slower"}},
		Warnings:   []string{"within-run variability only: how much runs differ from each other takes at least 3 runs of each side to tell"},
	}
	r.Comparisons[2].SamplesFactor = of(6)
	r.Comparisons = append(r.Comparisons, compare.Comparison{
		Side: "new", Acks: engine.AcksLeader, Quantile: "p99.9", Verdict: compare.NoVerdict, Reason: "less than 10 samples lie beyond it",
	})
	return r
}

func TestDamagedBundlesAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
	}{
		{name: "no log", damage: func(t *testing.T, dir string) { remove(t, dir, "response.hlog") }},
		{name: "half a log", damage: func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, "service.hlog")
			p, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, p[:strings.LastIndex(string(p[:len(p)/2]), "\n")+1], 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{name: "another command's result", damage: func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "result.json"), []byte(`{"schema":"chronik.bench.produce/v1","data":{}}`), 0o644); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "no JSON", damage: func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "result.json"), []byte("{"), 0o644); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			saveSample(t, dir, 1, 1, nil)
			tt.damage(t, dir)
			if stdout, stderr, status := newConsole().run(t.Context(), nil, "compare "+dir+" "+dir); status != exit.Usage || stdout != "" {
				t.Errorf("status %d\n%s%s", status, stdout, stderr)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}
