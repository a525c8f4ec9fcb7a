package cli

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// newDocs returns the hidden command that writes the reference pages, which
// the release script runs.
func newDocs() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "docs <command>",
		Short:  "Write the reference pages",
		Long:   "Write the reference pages of every command, as Markdown or as man pages.",
		Hidden: true,
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
	return doc.GenMarkdownTree(root, dir)
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

// WriteCompletions writes completions/, one file for each shell.
func WriteCompletions(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for shell, write := range map[string]func(string) error{
		"bash":       func(path string) error { return root.GenBashCompletionFileV2(path, true) },
		"zsh":        root.GenZshCompletionFile,
		"fish":       func(path string) error { return root.GenFishCompletionFile(path, true) },
		"powershell": root.GenPowerShellCompletionFileWithDesc,
	} {
		if err := write(filepath.Join(dir, "chronik."+shell)); err != nil {
			return err
		}
	}
	return nil
}
