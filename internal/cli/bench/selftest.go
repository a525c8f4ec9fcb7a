package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/bench/compare"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// selftestOptions is the command line of bench selftest.
type selftestOptions struct {
	loadOptions
	aa        bool
	runs      int
	brokers   int
	elsewhere bool // -B was given
}

func newSelftest(g *globals.Globals, version string) *cobra.Command {
	var o selftestOptions
	cmd := &cobra.Command{
		Use:   "selftest --aa",
		Short: "Measure how much runs differ that should not",
		Long: `Run the same benchmark several times on the same cluster, and say how much the
runs differ: the A/A noise floor of this machine. A difference that a comparison
shows below it is none. Without -B the cluster is one of three brokers that the
command starts on this machine.

--out keeps the runs. "bench compare --aa DIR" then takes their noise floor into
account, beside what the compared runs say of themselves.`,
		Example: `  chronik bench selftest --aa
  chronik bench selftest --aa --runs 6 --duration 60s --out ./aa
  chronik bench compare base/ new/ --aa ./aa`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.elsewhere = cmd.Flags().Changed("bootstrap-server")
			o.repeatedBy(cmd)
			return selftest(cmd.Context(), g, o, version)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVar(&o.aa, "aa", false, "measure the A/A noise floor: what there is to test")
	fs.IntVar(&o.runs, "runs", 3, "`NUMBER` of runs")
	fs.StringVar(&o.acks, "acks", string(engine.AcksAll), "settings to measure, any of `all,1,0,all+idempotent`")
	o.bindSchedule(fs, " that each arm offers", " of each run, shared by the arms")
	o.bind(fs)
	o.bindOutcome(fs)
	fs.IntVar(&o.brokers, "brokers", 3, "brokers of the cluster that the command starts")
	bindCompletions(g, cmd, map[string][]string{"acks": armNames(), "traces": {tracesAuto, tracesOff}, "arrival": {string(engine.Uniform), string(engine.Poisson)}})
	return cmd
}

func selftest(ctx context.Context, g *globals.Globals, o selftestOptions, version string) (err error) {
	config, _, err := o.config()
	switch {
	case err != nil:
		return err
	case !o.aa:
		return exit.Usagef("", "selftest needs --aa: there is nothing else to test yet")
	case o.assert != "":
		return exit.Usagef("", "--assert: claims are of one run")
	case o.runs < 2 || o.runs > 100:
		return exit.Usagef("", "--runs: want 2 to 100")
	}
	if err := reserveBundle(o.out); err != nil {
		return err
	}
	if !o.elsewhere {
		if err := checkOwn(o.brokers, false); err != nil {
			return err
		}
		cluster, err := startOwn(ctx, g, o.brokers, false)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cluster.Close(context.WithoutCancel(ctx))) }()
	}
	config.KeepIntervals = true
	var side compare.Side
	for i := range o.runs {
		dir := ""
		if o.out != "" {
			dir = filepath.Join(o.out, fmt.Sprintf("run-%d", i+1))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
		}
		report, err := measure(ctx, g, &o.targetOptions, version, func(target engine.Target) (*engine.Report, error) {
			config.Target = target
			return engine.Run(ctx, config)
		})
		if report == nil {
			return err
		}
		result := acksAllResult(report)
		err = errors.Join(err, saveBundle(dir, result, report, o.command))
		side.Runs = append(side.Runs, compare.Run{Dir: dir, Report: report})
		if v := report.Verification; err != nil || report.Interrupted || v != nil && !v.OK {
			return finish(g, result, outcome{interrupted: report.Interrupted, verification: v}, err)
		}
	}
	return g.Print(selftestResult(side, compare.Floors(side, compare.Options{}), o.out))
}

// selftestReport is the data of chronik.bench.selftest/v1.
type selftestReport struct {
	Started    time.Time       `json:"started"`
	Runs       int             `json:"runs"`
	DurationMs int64           `json:"duration_ms"`
	Valid      int             `json:"valid_runs"` // in which the generator was on time
	Floors     []compare.Floor `json:"floors"`
}

func selftestResult(side compare.Side, floors []compare.Floor, dir string) *out.Result {
	first := side.Runs[0].Report
	data := selftestReport{Started: first.Started, Runs: len(side.Runs), DurationMs: first.Settings.DurationMillis, Floors: floors}
	for _, run := range side.Runs {
		if run.Report.Generator.Valid {
			data.Valid++
		}
	}
	grid := out.Grid{Columns: []out.Column{
		{Header: "ACKS", Field: "acks"},
		{Header: "QUANTILE", Field: "quantile"},
		{Header: "LEAST", Field: "least_us", Right: true},
		{Header: "MOST", Field: "most_us", Right: true},
		{Header: "NOISE FLOOR", Field: "noise_floor_percent", Right: true},
		{Header: "DIFFERENCES SHOWN", Field: "differences_shown", Right: true},
	}}
	for _, f := range floors {
		least, most := extremes(f.Micros)
		floor := out.Cell{Text: "-"}
		if f.Percent != nil {
			floor = out.Cell{Text: fmt.Sprintf("±%.1f%%", *f.Percent), Raw: fmt.Sprintf("%.2f", *f.Percent)}
		}
		shown := out.Cell{Text: fmt.Sprintf("%d of %d", f.Shown, f.Pairs), Raw: fmt.Sprint(f.Shown)}
		if f.Shown > 0 {
			shown = shown.In(out.Bad)
		}
		grid.Rows = append(grid.Rows, []out.Cell{out.Text(string(f.Acks)), out.Text(f.Quantile), optMicros(least), optMicros(most), floor, shown})
	}
	r := &out.Result{
		Schema: "chronik.bench.selftest/v1", ClusterID: deref(first.Environment.Cluster.ID), Data: data,
		Blocks: []out.Block{{Head: []string{
			"topic      " + topicLine(first.Environment.Topic),
			fmt.Sprintf("A/A        %d runs of %s of the same thing, %d with a punctual generator", data.Runs, duration(data.DurationMs), data.Valid), "",
		}, Grid: grid}},
		Footer: []string{"", "A difference between two runs has to exceed the noise floor to mean anything here;", "\"differences shown\" are those that bench compare finds between neighbouring runs, wrongly."},
	}
	if dir != "" {
		r.Footer = append(r.Footer, "saved      "+dir+"   use: "+strings.Join([]string{"chronik bench compare BASE NEW --aa", quote(dir)}, " "))
	}
	return r
}

func extremes(all []*float64) (least, most *float64) {
	for _, v := range all {
		if v != nil && (least == nil || *v < *least) {
			least = v
		}
		if v != nil && (most == nil || *v > *most) {
			most = v
		}
	}
	return least, most
}
