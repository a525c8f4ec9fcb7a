package isr

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/cli/spell"
)

// showOptions is the command line of isr show.
type showOptions struct {
	selectors []admin.Selector
	only      []string
	check     bool
	followers bool
	internal  bool
}

func newShow(g *globals.Globals) *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show [TOPIC[:PARTITION]...]",
		Short: "Show in-sync replicas and the lag of each follower",
		Long: `Show in-sync replicas and how far each follower is behind: in records, bytes
and time, and for what share of recent acks it was the last one waited for.

The numbers are the view of each partition's leader. On brokers that do not
report it (Apache Kafka, Redpanda) records come from the end of each replica's
log and bytes from log directory sizes; what nobody reports is shown as "?"
and is null in JSON. It is never taken to be in sync.

States: ok; under_replicated, a replica is out of the in-sync set; at_min_isr,
one more loss stops acks=all; under_min_isr, acks=all is refused; offline, no
leader; unknown, the leader gives no answer. For --only, under-replicated takes
in every partition with a replica out, and under-min-isr the offline ones.

--check exits with status 4 unless every partition shown is ok; with --only,
when any partition matches.`,
		Example: `  chronik isr show
  chronik isr show orders payments:3
  chronik isr show --only under-min-isr,offline --check
  chronik isr show orders:0 --followers
  chronik isr show -o json | jq '.data[] | select(.state != "ok")'
  chronik isr show --watch`,
		ValidArgsFunction: g.CompleteTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), g, o, args)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringSliceVar(&o.only, "only", nil, "keep partitions that are `STATE,...`: "+strings.Join(filterNames(), ", "))
	fs.BoolVar(&o.check, "check", false, "exit with status 4 when a partition is not ok")
	fs.BoolVarP(&o.followers, "followers", "f", false, "one line for each follower")
	fs.BoolVar(&o.internal, "internal", false, "show internal topics too")
	g.BindWatch(fs)
	complete := cobra.FixedCompletions(filterNames(), cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("only", complete); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

func (o *showOptions) complete(g *globals.Globals, args []string) error {
	for _, arg := range args {
		s, err := admin.ParseSelector(arg)
		if err != nil {
			return exit.Usagef("", "%w", err)
		}
		o.selectors = append(o.selectors, s)
	}
	for i, name := range o.only {
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if _, ok := filters[name]; !ok {
			hint := "there is " + strings.Join(filterNames(), ", ")
			if near := spell.Nearest(name, filterNames()); near != "" {
				hint = fmt.Sprintf("did you mean %s?", near)
			}
			return exit.Usagef(hint, "--only: unknown state %q", o.only[i])
		}
		o.only[i] = name
	}
	if o.check && g.View.Watch > 0 {
		return exit.Usagef("", "--check ends with one answer and --watch does not end: give one of them")
	}
	return nil
}

func show(ctx context.Context, g *globals.Globals, o showOptions, args []string) error {
	if err := o.complete(g, args); err != nil {
		return err
	}
	var shown []admin.ISRPartition
	r, err := g.Show(ctx, func(ctx context.Context, client *admin.Client) (*out.Result, error) {
		report, err := client.ISR(ctx, admin.ISRQuery{Selectors: o.selectors, Internal: o.internal})
		if err != nil {
			return nil, err
		}
		if len(args) == 1 && len(report.Partitions) == 0 && len(report.Problems) == 1 {
			return nil, report.Problems[0].Err
		}
		shown = keep(report.Partitions, o.only)
		return Result(report, shown, o.followers), nil
	})
	if r == nil {
		return err
	}
	return verdict(g, o, shown, err)
}

// verdict turns what was shown into the status of --check.
func verdict(g *globals.Globals, o showOptions, shown []admin.ISRPartition, err error) error {
	own, printed := errors.AsType[*exit.Error](err)
	if err != nil && (!printed || !own.Reported) {
		return err
	}
	bad := 0
	for _, p := range shown {
		if p.State != admin.PartitionOK || len(o.only) > 0 {
			bad++
		}
	}
	if bad > 0 && !o.followers && g.Format().Human() && !o.check {
		g.Hintf("chronik isr show --followers says which replica and why")
	}
	if !o.check || bad == 0 {
		return err
	}
	what := "not ok"
	if len(o.only) > 0 {
		what = strings.Join(o.only, " or ")
	}
	g.Errorf("check failed: %s %s", plural(bad, "partition is", "partitions are"), what)
	return exit.Reported(exit.CheckFailed)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
