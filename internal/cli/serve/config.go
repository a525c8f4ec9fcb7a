package serve

import (
	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/cli/settings"
)

// newConfig returns the command that says what "server start" with the same
// flags, environment and file would run with.
func newConfig(g *globals.Globals, _ string) *cobra.Command {
	var o startOptions
	cmd := &cobra.Command{
		Use:     "config",
		Aliases: []string{"explain"},
		Short:   "Check a configuration, and show where each value comes from",
		Long: `Check the configuration that "chronik server start" would run with, given the
same flags, environment and file, and show each value and where it comes from:
the flag, the environment variable, the file and line, or the default.

Nothing is started. Exit status 2 means that the configuration is wrong.`,
		Example: `  chronik server config --config /etc/chronik/broker.yaml
  CHRONIK_NODE_ID=2 chronik server config -o json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if _, err := o.config(); err != nil {
				return err
			}
			return g.Print(settingsResult(g.Settings))
		},
	}
	o.bind(cmd.Flags())
	completeValues(cmd)
	return cmd
}

// settingsResult lays out settings and their origins.
func settingsResult(all []settings.Setting) *out.Result {
	r := &out.Result{Schema: "chronik.server.config/v1", Data: all}
	grid := out.Grid{Columns: []out.Column{
		{Header: "KEY", Field: "key"},
		{Header: "VALUE", Field: "value"},
		{Header: "ORIGIN", Field: "origin"},
		{Header: "SOURCE", Field: "source"},
	}}
	for _, s := range all {
		r.Names = append(r.Names, s.Key)
		origin := out.Text(string(s.Origin))
		if s.Origin == settings.FromDefault {
			origin = origin.In(out.Dim)
		}
		grid.Rows = append(grid.Rows, []out.Cell{out.Text(s.Key), out.Text(s.Value), origin, out.Text(s.Source)})
	}
	r.Blocks = []out.Block{{Grid: grid}}
	return r
}
