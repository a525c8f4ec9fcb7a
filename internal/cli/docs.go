package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// newDocs returns the hidden command that writes the reference pages, which
// the release script runs.
func newDocs() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "docs <command>",
		Short:   "Write the reference pages",
		Long:    "Write the reference pages of every command, as Markdown or as man pages.",
		Example: "  chronik docs man ./manpages",
		Hidden:  true,
	}
	cmd.AddCommand(
		newDocsFormat("md", "Markdown", WriteMarkdown),
		newDocsFormat("man", "man", WriteMan),
	)
	return cmd
}

func newDocsFormat(name, title string, write func(*cobra.Command, string) error) *cobra.Command {
	return &cobra.Command{
		Use:     name + " DIR",
		Short:   "Write " + title + " pages to a directory",
		Long:    "Write one " + title + " page for each command to a directory, which is created.",
		Example: "  chronik docs " + name + " ./pages",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := write(cmd.Root(), args[0]); err != nil {
				return exit.Failedf("", "write %s pages: %w", title, err)
			}
			return nil
		},
	}
}

// WriteMarkdown writes docs/cli.
func WriteMarkdown(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true // a date would make every build differ
	if err := doc.GenMarkdownTree(root, dir); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "exit-codes.md"), []byte(exitCodes()), 0o644)
}

// exitCodes is the page of exit statuses.
func exitCodes() string {
	var b strings.Builder
	b.WriteString("# Exit statuses\n\nScripts may rely on these numbers: a meaning may be added, never changed.\n\n| status | meaning |\n|---|---|\n")
	for _, m := range exit.Meanings() {
		fmt.Fprintf(&b, "| %d | %s |\n", m.Status, m.Text)
	}
	return b.String()
}

// WriteMan writes the man pages.
func WriteMan(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	fixed := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "chronik", Date: &fixed}, dir)
}
