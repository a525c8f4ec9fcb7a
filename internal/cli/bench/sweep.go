package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// sweepOptions are the flags of acks-all that make it measure several rates.
type sweepOptions struct {
	findMax bool
	slo     string
	rates   string
}

func (o sweepOptions) wanted() bool { return o.findMax || o.rates != "" }

// parse checks the flags against the others.
func (o sweepOptions) parse(all acksAllOptions) (rates []float64, slo []engine.Assertion, err error) {
	switch {
	case o.slo != "" && !o.wanted():
		return nil, nil, exit.Usagef("--assert claims something of one rate", "--slo is for --find-max and --sweep")
	case o.findMax && o.rates != "":
		return nil, nil, exit.Usagef("", "--find-max chooses the rates itself: leave out --sweep")
	case o.findMax && o.slo == "":
		return nil, nil, exit.Usagef("for example --slo 'p99<10ms'", "--find-max needs --slo")
	case o.wanted() && all.closedLoop:
		return nil, nil, exit.Usagef("", "--closed-loop has no rate: leave out --find-max and --sweep")
	case o.wanted() && all.assert != "":
		return nil, nil, exit.Usagef("", "--assert claims something of one rate: use --slo")
	}
	if slo, err = engine.ParseSLO(o.slo); err != nil {
		return nil, nil, usage(err)
	}
	if o.rates == "" {
		return nil, slo, nil
	}
	for text := range strings.SplitSeq(o.rates, ",") {
		var rate rateValue
		if err := rate.Set(strings.TrimSpace(text)); err != nil {
			return nil, nil, exit.Usagef("for example --sweep 1k,5k,20k", "--sweep: %w", err)
		}
		rates = append(rates, float64(rate))
	}
	return rates, slo, nil
}

// sweep runs the steps and prints them.
func sweep(ctx context.Context, g *globals.Globals, o acksAllOptions, config engine.Config, version string) error {
	rates, slo, err := o.sweep.parse(o)
	if err != nil {
		return err
	}
	if err := reserveBundle(o.out); err != nil {
		return err
	}
	report, err := measure(ctx, g, &o.targetOptions, version, func(target engine.Target) (*engine.SweepReport, error) {
		config.Target = target
		if o.sweep.findMax {
			return engine.FindMax(ctx, config, slo)
		}
		return engine.RunSweep(ctx, config, rates, slo)
	})
	if report == nil {
		return err
	}
	last := report.Steps[len(report.Steps)-1].Report
	result := sweepResult(report)
	err = errors.Join(err, saveSweep(o.out, result, report))
	result.Footer = append(result.Footer, savedLine(o.out)...)
	return finish(g, result, outcome{
		interrupted: report.Interrupted, verification: last.Verification, broken: unmet(report),
	}, err)
}

// unmet is the claim of a search that no rate meets, and of a sweep that a rate
// does not meet.
func unmet(r *engine.SweepReport) (broken []engine.Assertion) {
	if r.Knee != nil {
		if r.Knee.RatePerSecond == nil {
			broken = append(broken, engine.Assertion{Text: strings.Join(r.SLO, ","), Detail: "no rate holds: " + r.Knee.Detail})
		}
		return broken
	}
	for _, s := range r.Steps {
		if s.Holds != nil && !*s.Holds {
			broken = append(broken, engine.Assertion{Text: strings.Join(r.SLO, ","), Detail: groupFloat(s.RatePerSecond) + "/s: " + s.Detail})
		}
	}
	return broken
}

// sweepSummary is the summary of chronik.bench.sweep/v1.
type sweepSummary struct {
	Interrupted bool `json:"interrupted"`
	// MaxRate is what a search found; null when nothing held, and in a sweep.
	MaxRate *float64 `json:"max_rate_per_second"`
	// Verified is null when verification was not asked for.
	Verified *bool `json:"verified"`
}

// sweepResult lays out a sweep or search.
func sweepResult(report *engine.SweepReport) *out.Result {
	last := report.Steps[len(report.Steps)-1].Report
	summary := sweepSummary{Interrupted: report.Interrupted}
	if v := last.Verification; v != nil {
		summary.Verified = &v.OK // a step that is not ends the run
	}
	r := &out.Result{
		Schema:    "chronik.bench.sweep/v1",
		ClusterID: deref(last.Environment.Cluster.ID),
		Data:      report,
		Blocks:    []out.Block{{Head: sweepHead(report), Grid: sweepGrid(report)}},
		Footer:    sweepFooter(report),
	}
	if report.Knee != nil {
		summary.MaxRate = report.Knee.RatePerSecond
	}
	r.Summary = summary
	seen := map[string]bool{}
	for _, s := range report.Steps {
		r.Names = append(r.Names, groupFloat(s.RatePerSecond))
		if report.Knee == nil { // a search meets failures on purpose
			for _, f := range armFailures(s.Report.Arms) {
				f.Subject = groupFloat(s.RatePerSecond) + "/s " + f.Subject
				r.Errors = append(r.Errors, f)
			}
		}
		for _, warning := range s.Report.Warnings {
			if !seen[warning] {
				r.Notes = append(r.Notes, groupFloat(s.RatePerSecond)+"/s: "+warning)
			}
			seen[warning] = true
		}
	}
	return r
}

func sweepHead(r *engine.SweepReport) []string {
	first := r.Steps[0].Report
	s := first.Settings
	head := []string{
		"topic      one for each rate: " + strings.TrimPrefix(topicLine(first.Environment.Topic), first.Environment.Topic.Name+": "),
		fmt.Sprintf("load       open loop, %s arrivals, %s records, %s at each rate", *s.Arrival, out.FormatBytes(int64(s.RecordBytes)), duration(s.DurationMillis)),
	}
	if len(r.SLO) > 0 {
		head = append(head, "objective  "+strings.Join(r.SLO, ", "))
	}
	if r.Interrupted {
		head = append(head, "INTERRUPTED: this is what there was until then")
	}
	return append(head, "")
}

func sweepGrid(r *engine.SweepReport) out.Grid {
	grid := out.Grid{Columns: []out.Column{
		{Header: "RATE/S", Field: "rate_per_second", Right: true},
		{Header: "ACKS", Field: "acks"},
		{Header: "ACHIEVED/S", Field: "achieved_per_second", Right: true},
		{Header: "ERRORS", Field: "errors", Right: true},
		{Header: "p50", Field: "p50_us", Right: true},
		{Header: "p90", Field: "p90_us", Right: true},
		{Header: "p99", Field: "p99_us", Right: true},
		{Header: "p99.9", Field: "p999_us", Right: true},
		{Header: "MAX", Field: "max_us", Right: true},
		{Header: "LATE p99", Field: "lateness_p99_us", Right: true},
		{Header: "HOLDS", Field: "holds"},
		{Header: "LATENCY OF", Field: "latency_of"},
	}}
	for _, s := range r.Steps {
		for i, arm := range s.Report.Arms {
			grid.Rows = append(grid.Rows, sweepRow(s, arm, i == 0))
		}
	}
	return grid
}

func sweepRow(s engine.SweepStep, arm engine.ArmReport, first bool) []out.Cell {
	tone := out.Plain
	if !arm.Acks.Acknowledged() {
		tone = out.Dim // not to be ranked with the others
	}
	holds := out.Cell{Text: "", Raw: "-"}
	if s.Holds != nil {
		holds.Raw = strconv.FormatBool(*s.Holds)
		switch {
		case !first:
		case *s.Holds:
			holds.Text = "yes"
		default:
			holds.Text = "no: " + s.Limit
			holds = holds.In(out.Bad)
		}
	}
	late := optMicros(arm.Lateness.P99)
	if !arm.Valid {
		late.Text += " INVALID"
		late = late.In(out.Bad)
	}
	q := arm.Response
	return []out.Cell{
		rate(s.RatePerSecond), out.Text(string(arm.Acks)), rate(arm.AchievedPerSecond), out.Count(arm.Errors),
		optMicros(q.P50).In(tone), optMicros(q.P90).In(tone), optMicros(q.P99).In(tone), optMicros(q.P999).In(tone), optMicros(q.Max).In(tone),
		late, holds, out.Text(arm.LatencyOf).In(tone),
	}
}

func sweepFooter(r *engine.SweepReport) []string {
	footer := []string{""}
	if k := r.Knee; k != nil {
		line := "knee       no rate holds"
		if k.RatePerSecond != nil {
			line = fmt.Sprintf("knee       %s/s hold, twice", groupFloat(*k.RatePerSecond))
		}
		if k.BrokeAt != nil {
			line += fmt.Sprintf("; %s/s do not: %s", groupFloat(*k.BrokeAt), k.Detail)
		} else {
			line += "; the search met no rate that does not"
		}
		footer = append(footer, line)
	}
	for _, s := range r.Steps {
		v := s.Report.Verification
		if v != nil && v.OK {
			continue
		}
		footer = append(footer, fmt.Sprintf("integrity  %s/s: %s", groupFloat(s.RatePerSecond), verdict(v)))
		for _, p := range problems(v) {
			footer = append(footer, "           "+p)
		}
	}
	if last := footer[len(footer)-1]; !strings.HasPrefix(last, "integrity") && !strings.HasPrefix(last, "  ") {
		footer = append(footer, "integrity  OK at every rate")
	}
	return footer
}
