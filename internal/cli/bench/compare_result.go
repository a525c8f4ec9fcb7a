package bench

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/chronik-project/chronik/internal/bench/compare"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// compareSummary is the summary of chronik.bench.compare/v1.
type compareSummary struct {
	Faster       int `json:"faster"`
	Slower       int `json:"slower"`
	NoDifference int `json:"no_difference_shown"`
	NoVerdict    int `json:"none"`
	FailIfFailed int `json:"fail_if_failed"`
}

// compareResult lays out a report.
func compareResult(r *compare.Report) *out.Result {
	var s compareSummary
	result := &out.Result{Schema: "chronik.bench.compare/v1", Data: r, Notes: r.Warnings, Footer: compareFooter(r)}
	for _, c := range r.Comparisons {
		switch c.Verdict {
		case compare.Faster:
			s.Faster++
		case compare.Slower:
			s.Slower++
		case compare.NoDifference:
			s.NoDifference++
		default:
			s.NoVerdict++
		}
		result.Names = append(result.Names, strings.Join([]string{c.Side, string(c.Acks), c.Quantile, c.Verdict}, " "))
	}
	for _, o := range r.FailIf {
		if o.Failed {
			s.FailIfFailed++
		}
	}
	result.Summary = s
	for _, side := range r.Sides[1:] {
		result.Blocks = append(result.Blocks, out.Block{Head: compareHead(r.Sides[0], side), Grid: compareGrid(r, side.Name)})
	}
	return result
}

func compareHead(base, next compare.SideReport) []string {
	return []string{"base       " + runsLine(base), "new        " + runsLine(next), ""}
}

// runsLine names a side and what is wrong with its runs.
func runsLine(side compare.SideReport) string {
	line := side.Name + ": " + plural(len(side.Runs), "run")
	for _, run := range side.Runs {
		if !run.Valid {
			line += ", INVALID " + run.Dir
		}
	}
	return line
}

func compareGrid(r *compare.Report, side string) out.Grid {
	grid := out.Grid{Columns: []out.Column{
		{Header: "SIDE", Field: "side", Level: out.TSVOnly},
		{Header: "ACKS", Field: "acks"},
		{Header: "", Field: "quantile"},
		{Header: "BASE", Field: "base_us", Right: true},
		{Header: "NEW", Field: "new_us", Right: true},
		{Header: "DELTA", Field: "delta_percent", Right: true},
		{Header: "95% CI", Field: "ci_percent", Level: out.Tables},
		{Header: "LOW", Field: "ci_low_percent", Level: out.TSVOnly},
		{Header: "HIGH", Field: "ci_high_percent", Level: out.TSVOnly},
		{Header: "A/A FLOOR", Field: "noise_floor_percent", Right: true, Level: out.WideTSV},
		{Header: "VERDICT", Field: "verdict"},
	}}
	for _, c := range r.Comparisons {
		if c.Side != side {
			continue
		}
		ci := out.Text("")
		if c.LowPercent != nil && c.HighPercent != nil {
			ci = out.Text(fmt.Sprintf("[%s, %s]", change(c.LowPercent).Text, change(c.HighPercent).Text))
		}
		floor := change(c.NoiseFloorPercent)
		floor.Text = strings.Replace(floor.Text, "+", "±", 1)
		grid.Rows = append(grid.Rows, []out.Cell{
			out.Text(c.Side), out.Text(string(c.Acks)), out.Text(c.Quantile), optMicros(c.Base), optMicros(c.New), change(c.DeltaPercent),
			ci, change(c.LowPercent), change(c.HighPercent), floor, verdictCell(c),
		})
	}
	return grid
}

// change is a percentage with its sign.
func change(p *float64) out.Cell {
	if p == nil {
		return out.Text("")
	}
	return out.Cell{Text: fmt.Sprintf("%+.1f%%", *p), Raw: strconv.FormatFloat(*p, 'f', -1, 64)}
}

// verdictCell is the verdict in words.
func verdictCell(c compare.Comparison) out.Cell {
	cell := out.Cell{Raw: c.Verdict}
	switch c.Verdict {
	case compare.Faster:
		cell.Text, cell.Tone = "FASTER", out.Good
	case compare.Slower:
		cell.Text, cell.Tone = "SLOWER", out.Bad
	case compare.NoDifference:
		cell.Text = "no difference shown"
		if c.SamplesFactor != nil {
			cell.Text += fmt.Sprintf(" (needs ~%dx the samples)", *c.SamplesFactor)
		}
		if c.Reason != "" {
			cell.Text += " (" + c.Reason + ")"
		}
	default:
		cell.Text, cell.Tone = "no verdict: "+c.Reason, out.Dim
	}
	return cell
}

func compareFooter(r *compare.Report) []string {
	m := r.Method
	method := fmt.Sprintf("method     95%% CI, block bootstrap (%gs blocks, %s draws, seed %s)", m.BlockSeconds, group(int64(m.Resamples)), m.Seed)
	if m.WithinRunOnly {
		method += ": WITHIN-RUN VARIABILITY ONLY"
	} else {
		method += " and the spread between runs"
	}
	footer := []string{"", method}
	if line := floorLine(r); line != "" {
		footer = append(footer, line)
	}
	if len(r.ConfigDiff) == 0 {
		footer = append(footer, "config     no difference known")
	}
	for i, d := range r.ConfigDiff {
		label := "config     "
		if i > 0 {
			label = "           "
		}
		footer = append(footer, label+d.Field+": "+strings.Join(d.Values, " -> "))
	}
	if len(r.Same) > 0 {
		footer = append(footer, "same       "+strings.Join(r.Same, ", "))
	}
	for _, o := range r.FailIf {
		word := "no"
		if o.Failed {
			word = "FAILED"
		}
		footer = append(footer, fmt.Sprintf("fail-if    %s: %s (%s)", o.Text, word, o.Detail))
	}
	return footer
}

// floorLine is the noise floor of the p99 of each setting with acks.
func floorLine(r *compare.Report) string {
	var parts []string
	of := ""
	for _, c := range r.Comparisons {
		if c.Side == r.Sides[1].Name && c.Quantile == "p99" && c.Acks.Acknowledged() && c.NoiseFloorPercent != nil {
			parts = append(parts, fmt.Sprintf("acks=%s p99 ±%.1f%%", c.Acks, *c.NoiseFloorPercent))
			of = c.NoiseFloorOf
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "A/A floor  " + strings.Join(parts, ", ") + " (" + of + ")"
}
