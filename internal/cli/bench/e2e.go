package bench

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/globals"
)

// e2eOptions is the command line of bench e2e.
type e2eOptions struct {
	loadOptions
	fetch fetchOptions
}

func newE2E(g *globals.Globals, version string) *cobra.Command {
	var o e2eOptions
	cmd := &cobra.Command{
		Use:   "e2e",
		Short: "Measure the latency from produce to consume, and verify every record",
		Long: `Produce on a schedule, consume at the same time, and measure how long records take
from the one to the other. Then check that every record that was acked was
consumed: once, intact, where its ack said, and in order.

The load is an open loop, as that of acks-all: latency counts from the time a
record was due until the consumer's client hands it over, whatever held it up.
Producers and the consumer are in this process and share one monotonic clock, so
no clocks are compared. The consumer reads all partitions from before the first
record on, in no group, and sees what is committed.

Shown beside it: the same until the ack; from the ack to the consumer, which is 0
where the consumer had the record first; and from the send, which is what a test
without a schedule would have shown. Where the time to the ack goes is shown as by
acks-all.

A record that failed, or that no consumer had within 30 s of the last ack, is an
error, and in no quantile. Claims of --assert, the warm-up, when a run is INVALID
and what --out saves are as in acks-all; a claim about latency is about the whole
way. --out also has ack.hlog and ack-to-consumed.hlog.

Exit status: 1 when a record failed, 4 when a claim does not hold, 5 when
verification fails.`,
		Example: `  chronik bench e2e
  chronik bench e2e --rate 5k --duration 60s --arrival poisson
  chronik bench e2e --acks 1 --fetch-min-bytes 64KiB --fetch-max-wait 100ms
  chronik bench e2e --assert 'p99<20ms,loss==0,duplicates==0' -o json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.repeatedBy(cmd)
			return e2e(cmd.Context(), g, o, version)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.acks, "acks", string(engine.AcksAll), "`ACKS` to ask for: all, 1, 0 or all+idempotent")
	o.bindSchedule(fs, "", "")
	o.bind(fs)
	o.fetch.bind(fs)
	o.bindOutcome(fs)
	bindCompletions(g, cmd, map[string][]string{
		"acks":    armNames(),
		"traces":  {tracesAuto, tracesOff},
		"arrival": {string(engine.Uniform), string(engine.Poisson)},
	})
	return cmd
}

func e2e(ctx context.Context, g *globals.Globals, o e2eOptions, version string) error {
	if _, err := oneArm(o.acks); err != nil {
		return err
	}
	config, claims, err := o.config()
	if err != nil {
		return err
	}
	if err := reserveBundle(o.out); err != nil {
		return err
	}
	report, err := measure(ctx, g, &o.targetOptions, version, func(target engine.Target) (*engine.E2EReport, error) {
		config.Target = target
		return engine.RunE2E(ctx, engine.E2EConfig{Config: config, Fetch: o.fetch.fetching()})
	})
	if report == nil {
		return err
	}
	broken := report.Assert(claims)
	result := e2eResult(report)
	err = errors.Join(err, saveBundle(o.out, result, &report.Report, o.command), saveHops(o.out, report))
	result.Footer = append(result.Footer, savedLine(o.out)...)
	return finish(g, result, outcome{
		interrupted: report.Interrupted, verification: report.Verification, broken: broken,
	}, err)
}
