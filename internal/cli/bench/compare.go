package bench

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/bench/compare"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
)

// compareOptions is the command line of bench compare.
type compareOptions struct {
	acks         string
	failIf       string
	block        time.Duration
	resamples    int
	seed         uint64
	allowInvalid bool
	aa           string
}

func newCompare(g *globals.Globals) *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare BASE NEW...",
		Short: "Say whether saved runs differ, or that they do not show it",
		Long: `Compare runs that acks-all saved with --out, and say FASTER, SLOWER or
"no difference shown" of the p50, p99 and p99.9 of each acks setting.

BASE and each NEW is a saved run, a directory that has several of them, or
several with commas between them. Runs of one side are taken together; three of
each side tell how much runs differ, fewer only how much their seconds do, and
a warning then says so. All sides are compared with the first.

The intervals are those in which, at 95% confidence, the changes of all three
quantiles of a setting lie at once, by a moving-block bootstrap: blocks of ten
seconds of each side are drawn with replacement a thousand times, which keeps
what happens in one second and is felt in the next together. They are wider where
there are few blocks and where blocks still depend on each other, and, with three
runs of each side, at least as wide as their own spread asks for (Welch's t).

A difference is shown when the interval leaves zero out and the change exceeds
the A/A noise floor: what the baseline differs from itself by, drawn twice (95%
of the draws stay within it), or two runs of the same side if that is more, or any two of the
runs that --aa names. "needs ~Nx the samples" is how
much longer runs would have to be for a change of this size to be shown.

There is no verdict on INVALID runs (but see --allow-invalid), on an open loop
against a closed one, on runs of less than twelve seconds an arm, on quantiles with less
than ten samples beyond them, and on acks=0, which is no ack.

--fail-if 'p99 > +5%' is for builds: the status is 4 when the p99 of any setting
with acks is shown to be slower by more than that, or cannot be judged.`,
		Example: `  chronik bench compare base/ new/
  chronik bench compare base-1,base-2,base-3 new-1,new-2,new-3
  chronik bench compare base/ new/ --acks all --fail-if 'p99 > +5%, p50 > +5%'
  chronik bench compare base/ new/ -o json`,
		Args: cobra.MinimumNArgs(2),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return compareSaved(g, o, args)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.acks, "acks", "", "compare only these `SETTINGS`, any of all,1,0,all+idempotent (default all that both sides have)")
	fs.StringVar(&o.failIf, "fail-if", "", "exit with status 4 on one of these `CHANGES`, such as 'p99 > +5%, p50 > +3%'")
	fs.DurationVar(&o.block, "block", 10*time.Second, "`DURATION` that is drawn together")
	fs.IntVar(&o.resamples, "resamples", 1000, "`NUMBER` of draws")
	fs.Uint64Var(&o.seed, "seed", 1, "`NUMBER` that makes the draws repeatable")
	fs.StringVar(&o.aa, "aa", "", "`DIR` of runs that should not differ (bench selftest --aa): a difference has to exceed theirs")
	fs.BoolVar(&o.allowInvalid, "allow-invalid", false, "give verdicts on runs that are INVALID, too")
	arms := make([]string, 0, len(engine.Arms()))
	for _, arm := range engine.Arms() {
		arms = append(arms, string(arm))
	}
	bindCompletions(g, cmd, map[string][]string{"acks": arms, "fail-if": {"p99 > +5%"}})
	return cmd
}

// config checks the flags.
func (o compareOptions) config() (compare.Options, []compare.Condition, error) {
	conditions, err := compare.ParseConditions(o.failIf)
	if err != nil {
		return compare.Options{}, nil, usage(err)
	}
	if o.block < time.Second || o.resamples < 100 || o.resamples > 1_000_000 {
		return compare.Options{}, nil, exit.Usagef("", "--block: at least 1s; --resamples: 100 to 1000000")
	}
	c := compare.Options{Block: o.block, Resamples: o.resamples, Seed: o.seed, AllowInvalid: o.allowInvalid}
	if o.acks != "" {
		if c.Acks, err = engine.ParseArms(o.acks); err != nil {
			return c, nil, usage(err)
		}
	}
	return c, conditions, nil
}

func compareSaved(g *globals.Globals, o compareOptions, args []string) error {
	config, conditions, err := o.config()
	if err != nil {
		return err
	}
	var sides []compare.Side
	for _, arg := range args {
		side, err := compare.Load(arg)
		if errors.Is(err, engine.ErrSaved) {
			return exit.Usagef("chronik bench acks-all --out DIR saves one", "%w", err)
		} else if err != nil {
			return err
		}
		sides = append(sides, side)
	}
	if o.aa != "" {
		if config.AA, err = compare.Load(o.aa); errors.Is(err, engine.ErrSaved) {
			return exit.Usagef("chronik bench selftest --aa --out DIR saves some", "%w", err)
		} else if err != nil {
			return err
		}
	}
	report, err := compare.Compare(sides, config)
	if errors.Is(err, compare.ErrNothing) {
		return exit.Usagef("", "%w", err)
	} else if err != nil {
		return err
	}
	failed := report.Check(conditions)
	if err := g.Print(compareResult(report)); err != nil {
		return err
	}
	for _, f := range failed {
		g.Errorf("fail-if: %s (%s)", f.Text, f.Detail)
	}
	if len(failed) > 0 {
		return exit.Reported(exit.CheckFailed)
	}
	return nil
}
