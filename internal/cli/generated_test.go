package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/cli"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
)

const stale = "run scripts/generate.sh and commit the result"

func TestDocsAreFresh(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cli")
	run(t, "docs", "md", dir).must(t, exit.OK)
	compareDirs(t, dir, "../../docs/cli")
}

func TestCompletionsAreFresh(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		r := run(t, "completion", shell).must(t, exit.OK)
		if err := os.WriteFile(filepath.Join(dir, "chronik."+shell), []byte(r.stdout), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compareDirs(t, dir, "../../completions")
}

func compareDirs(t *testing.T, fresh, committed string) {
	t.Helper()
	want := readDir(t, fresh)
	have := readDir(t, committed)
	for name, text := range want {
		if have[name] != text {
			t.Errorf("%s is stale: %s", filepath.Join(committed, name), stale)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			t.Errorf("%s belongs to no command: %s", filepath.Join(committed, name), stale)
		}
	}
}

func readDir(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("%v: %s", err, stale)
	}
	files := make(map[string]string)
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(text)
	}
	return files
}

func TestManPages(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "man")
	run(t, "docs", "man", dir).must(t, exit.OK)
	if pages := readDir(t, dir); pages["chronik.1"] == "" || pages["chronik-topic-create.1"] == "" {
		t.Errorf("%d pages, without those of chronik and topic create", len(pages))
	}
}

// TestEveryCommandExplainsItself holds the tree to one standard.
func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	root := cli.NewRoot(globals.New(globals.IO{}), cli.Build{})
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			return // cobra's own
		}
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s lacks a short or long description or an example", name)
		}
		if !cmd.Runnable() {
			t.Errorf("%s does nothing, not even refuse a misspelt command", name)
		}
		if cmd.ValidArgsFunction == nil && cmd.HasParent() {
			t.Errorf("%s completes file names", name)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
}
