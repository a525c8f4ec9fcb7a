package compare

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/chronik-project/chronik/internal/bench"
)

// ErrNothing is that two sides have no arm in common.
var ErrNothing = errors.New("nothing to compare")

// Options say how to compare. The zero value of a field means its default.
type Options struct {
	// Acks are the arms to compare.
	//
	// The default is all that both sides have.
	Acks []bench.Arm

	// Block is how many seconds are drawn together.
	//
	// The default is 10 s.
	Block time.Duration

	// Resamples is how often both sides are drawn.
	//
	// The default is 1,000.
	Resamples int

	// Seed makes the drawing repeatable. Equal runs give equal results.
	//
	// The default is 1.
	Seed uint64

	// AA are runs that should not differ: a difference has to exceed theirs.
	//
	// The default is none.
	AA Side

	// AllowInvalid gives verdicts on runs that are INVALID, too.
	AllowInvalid bool
}

func (o Options) withDefaults() Options {
	if o.Block == 0 {
		o.Block = 10 * time.Second
	}
	if o.Resamples == 0 {
		o.Resamples = 1000
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	return o
}

// quantiles are those that are compared.
var quantiles = []struct {
	name  string
	share float64
}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}}

// Verdicts.
const (
	Faster       = "faster"
	Slower       = "slower"
	NoDifference = "no_difference_shown"
	// NoVerdict is where the runs cannot be judged; Reason says why.
	NoVerdict = "none"
)

// What a noise floor was measured by.
const (
	// FloorWithin draws two samples of the baseline's own seconds.
	FloorWithin = "the baseline's own seconds"
	// FloorBetween is the largest difference between two runs of one side.
	FloorBetween = "runs of the same side"
)

// Report is what Compare found.
type Report struct {
	Method      Method       `json:"method"`
	Sides       []SideReport `json:"sides"`       // the first is the baseline
	Comparisons []Comparison `json:"comparisons"` // of every other side with it
	ConfigDiff  []Difference `json:"config_diff"`
	Same        []string     `json:"same"` // what of the machine and the cluster does not differ
	FailIf      []Outcome    `json:"fail_if"`
	Warnings    []string     `json:"warnings"`
}

// Method is how the intervals came to be.
type Method struct {
	Bootstrap    string  `json:"bootstrap"`
	BlockSeconds float64 `json:"block_s"`
	Resamples    int     `json:"resamples"`
	Seed         string  `json:"seed"` // as text: JSON readers round numbers of this size
	Confidence   float64 `json:"confidence"`
	// WithinRunOnly is that a side has too few runs to tell how runs differ.
	WithinRunOnly bool `json:"within_run_only"`
}

// SideReport is one side.
type SideReport struct {
	Name string      `json:"name"`
	Runs []RunReport `json:"runs"`
}

// RunReport is one run of a side.
type RunReport struct {
	Dir         string    `json:"dir"`
	Started     time.Time `json:"started"`
	Load        string    `json:"load"`
	Valid       bool      `json:"valid"`
	Interrupted bool      `json:"interrupted"`
	Verified    *bool     `json:"verified"` // nil: not asked for
}

// Comparison is one quantile of the response time of one arm. Percentages are
// of the baseline: -20 takes a fifth less time.
type Comparison struct {
	Side         string    `json:"side"` // compared with the first
	Acks         bench.Arm `json:"acks"`
	Quantile     string    `json:"quantile"`
	Base         *float64  `json:"base_us"` // nil: too few samples
	New          *float64  `json:"new_us"`
	DeltaPercent *float64  `json:"delta_percent"`
	LowPercent   *float64  `json:"ci_low_percent"` // nil: too short to tell
	HighPercent  *float64  `json:"ci_high_percent"`
	Verdict      string    `json:"verdict"` // faster, slower, no_difference_shown or none
	Reason       string    `json:"reason"`  // of a verdict of none, or of no difference beside the interval; else empty
	// SamplesFactor is how many times the samples would show a difference of
	// this size; nil where it would not help or there is one already.
	SamplesFactor     *int     `json:"samples_factor"`
	NoiseFloorPercent *float64 `json:"noise_floor_percent"`
	NoiseFloorOf      string   `json:"noise_floor_of"` // empty: not known
}

// Compare compares every other side with the first.
func Compare(sides []Side, o Options) (*Report, error) {
	if err := sameWay(sides); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	r := &Report{
		Method: Method{
			Bootstrap: "moving-block, circular, wider for few blocks", BlockSeconds: o.Block.Seconds(), Resamples: o.Resamples,
			Seed: fmt.Sprint(o.Seed), Confidence: confidence,
		},
		Comparisons: []Comparison{}, FailIf: []Outcome{}, Warnings: []string{},
	}
	for _, side := range sides {
		r.Method.WithinRunOnly = r.Method.WithinRunOnly || len(side.Runs) < strongRuns
		r.Sides = append(r.Sides, describe(side))
		r.Warnings = append(r.Warnings, doubts(side)...)
	}
	for _, side := range sides[1:] {
		compared, err := pair(sides[0], side, o)
		if err != nil {
			return nil, err
		}
		r.Comparisons = append(r.Comparisons, compared...)
	}
	r.ConfigDiff, r.Same = configDiff(sides)
	if r.Method.WithinRunOnly {
		r.Warnings = append(r.Warnings, fmt.Sprintf("within-run variability only: how much runs differ from each other takes at least %d runs of each side to tell", strongRuns))
	}
	return r, nil
}

func describe(side Side) SideReport {
	s := SideReport{Name: side.Name}
	for _, run := range side.Runs {
		report := RunReport{
			Dir: run.Dir, Started: run.Report.Started, Load: run.Report.Load,
			Valid: run.Report.Generator.Valid, Interrupted: run.Report.Interrupted,
		}
		if v := run.Report.Verification; v != nil {
			report.Verified = &v.OK
		}
		s.Runs = append(s.Runs, report)
	}
	return s
}

// pair compares every arm that both sides have.
func pair(base, next Side, o Options) ([]Comparison, error) {
	var compared []Comparison
	for _, arm := range base.arms() {
		if !contains(next.arms(), arm) || (len(o.Acks) > 0 && !contains(o.Acks, arm)) {
			continue
		}
		compared = append(compared, arms(base, next, arm, o)...)
	}
	if len(compared) == 0 {
		return nil, fmt.Errorf("%w: %s and %s have no acks setting in common", ErrNothing, base.Name, next.Name)
	}
	return compared, nil
}

func contains(arms []bench.Arm, arm bench.Arm) bool {
	for _, a := range arms {
		if a == arm {
			return true
		}
	}
	return false
}

func arms(base, next Side, arm bench.Arm, o Options) []Comparison {
	a, b := intervalsOf(base, arm), intervalsOf(next, arm)
	aa := intervalsOf(o.AA, arm)
	s := newScale(a, b, aa)
	rng := rand.New(rand.NewPCG(o.Seed, uint64(len(arm)))) //nolint:gosec // repeatable on purpose
	qs := make([]float64, len(quantiles))
	for k := range quantiles {
		qs[k] = quantiles[k].share
	}
	why := incomparable(base, next, arm, o)
	var compared []Comparison
	found := estimates(s, pooled(s, a, o), pooled(s, b, o), qs, o.Resamples, rng)
	raise(found, s, pooled(s, aa, o), qs)
	for k, e := range found {
		c := Comparison{Side: next.Name, Acks: arm, Quantile: quantiles[k].name, Verdict: NoVerdict, Reason: why, NoiseFloorOf: e.floorOf}
		c.Base, c.New = micros(e.base), micros(e.next)
		c.DeltaPercent, c.LowPercent, c.HighPercent = percent(e.change()), percent(e.low), percent(e.high)
		c.NoiseFloorPercent = percent(e.floor)
		if why == "" {
			c.judge(e)
		}
		compared = append(compared, c)
	}
	return compared
}

func pooled(s scale, runs [][]bench.Interval, o Options) pool {
	var p pool
	for _, run := range runs {
		p = append(p, newSeries(s, run, o.Block))
	}
	return p
}

// furthest is the largest SamplesFactor that is worth saying.
const furthest = 10

// judge gives the verdict: a difference is shown when the whole interval lies on
// one side of zero, and it is more than the baseline differs from itself.
func (c *Comparison) judge(e estimate) {
	change := e.change()
	switch {
	case math.IsNaN(change):
		c.Reason = fmt.Sprintf("less than %d samples lie beyond it", beyondQuantile)
	case math.IsNaN(e.low):
		c.Reason = "the runs are too short to tell"
	case e.low <= 0 && e.high >= 0:
		c.Verdict = NoDifference
		// The interval narrows with the root of the samples.
		reach := change - e.low
		if change < 0 {
			reach = e.high - change
		}
		if factor := math.Ceil(math.Pow(reach/math.Abs(change), 2)); change != 0 && factor <= furthest {
			n := int(max(factor, 2))
			c.SamplesFactor = &n
		}
	case math.Abs(change) <= e.floor:
		c.Verdict, c.Reason = NoDifference, "within the A/A noise floor"
	case change < 0:
		c.Verdict = Faster
	default:
		c.Verdict = Slower
	}
}

// incomparable says why there can be no verdict, or nothing.
func incomparable(base, next Side, arm bench.Arm, o Options) string {
	if !arm.Acknowledged() {
		return "not ranked: a send is not an ack"
	}
	load := base.Runs[0].Report.Load
	for _, side := range []Side{base, next} {
		for _, run := range side.Runs {
			if run.Report.Load != load {
				return fmt.Sprintf("%s against %s", load, run.Report.Load)
			}
			if !run.find(arm).Valid && !o.AllowInvalid {
				return "INVALID: " + run.Dir
			}
		}
	}
	return ""
}

// doubts are what else has to be said of a side's runs.
func doubts(side Side) []string {
	var doubts []string
	for _, run := range side.Runs {
		r := run.Report
		if r.Interrupted {
			doubts = append(doubts, run.Dir+": the run was interrupted")
		}
		if r.Verification != nil && !r.Verification.OK {
			doubts = append(doubts, run.Dir+": VERIFICATION FAILED, however fast it was")
		}
		for _, arm := range r.Arms {
			if arm.Errors > 0 {
				doubts = append(doubts, fmt.Sprintf("%s: acks=%s: %d of %d records failed, and are in no quantile", run.Dir, arm.Acks, arm.Errors, arm.Offered))
			}
		}
	}
	return doubts
}

func micros(log float64) *float64 {
	if math.IsNaN(log) {
		return nil
	}
	us := math.Round(math.Exp(log)/float64(time.Microsecond)*10) / 10
	return &us
}

// percent turns the logarithm of a ratio into a change.
func percent(log float64) *float64 {
	if math.IsNaN(log) || math.IsInf(log, 0) {
		return nil
	}
	p := math.Round(math.Expm1(log)*1000) / 10
	return &p
}
