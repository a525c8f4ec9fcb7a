package bench

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

func newReport(g *globals.Globals) *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR...",
		Short: "Show saved runs again, and write their pages anew",
		Long: `Show runs that acks-all saved with --out, and write report.html in each of their
directories anew: one file that needs no network, with the percentile spectrum,
latency over time with events, and where the time went.`,
		Example: `  chronik bench report ./run-1
  chronik bench report ./run-1 ./run-2 -o json`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, dirs []string) error {
			return reportSaved(g, dirs)
		},
	}
}

// reportRow is one row of chronik.bench.report/v1.
type reportRow struct {
	Dir    string         `json:"dir"`
	Page   string         `json:"page"`
	Report *engine.Report `json:"report"`
}

func reportSaved(g *globals.Globals, dirs []string) error {
	rows := []reportRow{}
	result := &out.Result{Schema: "chronik.bench.report/v1"}
	for _, dir := range dirs {
		report, err := engine.ReadSaved(dir)
		if errors.Is(err, engine.ErrSaved) {
			return exit.Usagef("chronik bench acks-all --out DIR saves one", "%w", err)
		} else if err != nil {
			return err
		}
		path := filepath.Join(dir, pageFile)
		if err := savePage(path, report); err != nil {
			return err
		}
		rows = append(rows, reportRow{Dir: dir, Page: path, Report: report})
		shown := acksAllResult(report)
		block := shown.Blocks[0]
		block.Head = append([]string{"run        " + dir}, block.Head...)
		result.Blocks = append(result.Blocks, block)
		result.Footer = append(result.Footer, "page       "+path)
		result.Names = append(result.Names, path)
	}
	if len(dirs) == 1 {
		result.Footer = append(acksAllFooter(rows[0].Report), result.Footer...)
	}
	result.Data = rows
	return g.Print(result)
}
