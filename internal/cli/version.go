package cli

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// Build is what the linker was told about this executable. Empty fields are
// filled from the module information that go build leaves.
type Build struct {
	Version, Commit, Date string
}

func (b Build) withDefaults() Build {
	info, ok := debug.ReadBuildInfo()
	if ok {
		if info.Main.Version != "(devel)" {
			b.Version = cmp.Or(b.Version, info.Main.Version)
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = cmp.Or(b.Commit, s.Value[:min(len(s.Value), 12)])
			case "vcs.time":
				b.Date = cmp.Or(b.Date, s.Value)
			}
		}
	}
	b.Version = cmp.Or(b.Version, "dev")
	return b
}

// versionRow is the row of chronik.version/v1.
type versionRow struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Date     string `json:"date"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(g *globals.Globals, build Build) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this executable",
		Long:  "Print the version, commit and date of this executable, the Go release that\nbuilt it, and the platform it runs on. No broker is asked.",
		Example: `  chronik version
  chronik version -o json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return version(cmd.Context(), g, build)
		},
	}
}

func version(_ context.Context, g *globals.Globals, build Build) error {
	build = build.withDefaults()
	row := versionRow{
		Version: build.Version, Commit: build.Commit, Date: build.Date,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	return g.Print(&out.Result{
		Schema: "chronik.version/v1",
		Data:   []versionRow{row},
		Names:  []string{row.Version},
		Blocks: []out.Block{{Grid: out.Grid{
			Columns: []out.Column{
				{Header: "VERSION", Field: "version"},
				{Header: "COMMIT", Field: "commit"},
				{Header: "DATE", Field: "date"},
				{Header: "GO", Field: "go"},
				{Header: "PLATFORM", Field: "platform"},
			},
			Rows: [][]out.Cell{{
				out.Text(row.Version), out.Text(row.Commit), out.Text(row.Date), out.Text(row.Go), out.Text(row.Platform),
			}},
		}}},
	})
}
