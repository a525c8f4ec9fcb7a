package archtest

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestRulesBite runs every rule over a few lines that break it: a rule that
// finds nothing there would find nothing in the repository either.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	table := map[string]string{"low": "", "high": "low", "cli/...": "cli/... high"}
	const doc = "// Package a is here for the test.\n"
	tests := []struct {
		name  string
		files map[string]string
		rule  func(*tree) []string
		want  string // part of the only complaint; empty when there is none
	}{
		{
			name:  "arrow of the table",
			files: map[string]string{"internal/high/a.go": `package high; import "` + module + `/internal/low"`, "internal/low/a.go": "package low"},
			rule:  func(t *tree) []string { return importComplaints(t, table) },
		},
		{
			name:  "arrow upwards",
			files: map[string]string{"internal/low/a.go": `package low; import "` + module + `/internal/high"`},
			rule:  func(t *tree) []string { return importComplaints(t, table) },
			want:  "internal/low/a.go imports high",
		},
		{
			name:  "tests may look up",
			files: map[string]string{"internal/low/a_test.go": `package low; import "` + module + `/internal/high"`, "internal/low/a.go": "package low"},
			rule:  func(t *tree) []string { return importComplaints(t, table) },
		},
		{
			name:  "package without a row",
			files: map[string]string{"internal/new/a.go": "package new"},
			rule:  func(t *tree) []string { return importComplaints(t, table) },
			want:  "package new is in no row",
		},
		{
			name:  "subtree",
			files: map[string]string{"internal/cli/topic/a.go": `package topic; import "` + module + `/internal/cli/out"`},
			rule:  func(t *tree) []string { return importComplaints(t, table) },
		},
		{
			name: "table with a sideways arrow",
			rule: func(*tree) []string { return layerComplaints([]string{"a b"}, map[string]string{"a": "b", "b": ""}) },
			want: "a -> b does not point down",
		},
		{
			name:  "row that nothing needs",
			files: map[string]string{"internal/high/a.go": "package high", "internal/low/a.go": "package low"},
			rule:  func(t *tree) []string { return unusedComplaints(t, map[string]string{"high": "low", "low": ""}) },
			want:  "allows high -> low, which nothing uses",
		},
		{
			name:  "row of a package that is gone",
			files: map[string]string{"internal/low/a.go": "package low"},
			rule:  func(t *tree) []string { return unusedComplaints(t, map[string]string{"low": "", "gone": ""}) },
			want:  "row for gone, which does not exist",
		},
		{
			name:  "raft outside of meta",
			files: map[string]string{"internal/api/a.go": `package api; import "github.com/hashicorp/raft"`},
			rule:  thirdPartyComplaints,
			want:  "imports github.com/hashicorp/raft, which belongs in: meta",
		},
		{
			name:  "module that nobody decided on",
			files: map[string]string{"internal/api/a_test.go": `package api; import "example.com/new"`},
			rule:  thirdPartyComplaints,
			want:  "imports example.com/new",
		},
		{
			name:  "client library in a test",
			files: map[string]string{"test/e2e/a_test.go": `package e2e; import "github.com/twmb/franz-go/pkg/kgo"`},
			rule:  thirdPartyComplaints,
		},
		{
			name: "raft at the end of a chain",
			files: map[string]string{
				"internal/api/a.go":  `package api; import "` + module + `/internal/meta"`,
				"internal/meta/a.go": `package meta; import "github.com/hashicorp/raft"`,
			},
			rule: func(t *tree) []string { return raftComplaints(t, []string{"api"}) },
			want: "api -> meta reaches github.com/hashicorp/raft",
		},
		{
			name:  "two package comments",
			files: map[string]string{"a/a.go": doc + "package a", "a/b.go": doc + "package a"},
			rule:  docComplaints,
			want:  "a has 2 package comments",
		},
		{
			name:  "no package comment",
			files: map[string]string{"a/a.go": "package a", "a/a_test.go": "// Package a is.\npackage a"},
			rule:  docComplaints,
			want:  "a has 0 package comments",
		},
		{
			name:  "comment in the wrong form",
			files: map[string]string{"a/a.go": "// This is a.\npackage a"},
			rule:  docComplaints,
			want:  `does not start with "Package a "`,
		},
		{
			name:  "drawer for everything",
			files: map[string]string{"internal/util/strings/a.go": "package strings"},
			rule:  nameComplaints,
			want:  `"util" says nothing`,
		},
		{
			name:  "sleep",
			files: map[string]string{"a/a.go": `package a; import "time"; func f() { time.Sleep(1) }`},
			rule:  callComplaints,
			want:  "a/a.go:1 uses time.Sleep",
		},
		{
			name:  "print",
			files: map[string]string{"a/a.go": `package a; import "fmt"; func f() { fmt.Println() }`},
			rule:  callComplaints,
			want:  "uses fmt.Println",
		},
		{
			name:  "exit outside of main",
			files: map[string]string{"a/a.go": `package a; import "os"; func f() { os.Exit(1) }`, "b/b.go": `package main; import "os"; func main() { os.Exit(1) }`},
			rule:  callComplaints,
			want:  "a/a.go:1 uses os.Exit",
		},
		{
			name:  "goroutine without a row",
			files: map[string]string{"docs/goroutines.md": "| file |\n", "a/a.go": "package a; func f() { go f() }"},
			rule:  goroutines,
			want:  "a/a.go:1 starts a goroutine",
		},
		{
			name:  "goroutine of a wait group",
			files: map[string]string{"docs/goroutines.md": "| file |\n", "a/a.go": "package a; func f() { wg.Go(f) }"},
			rule:  goroutines,
			want:  "a/a.go:1 starts a goroutine",
		},
		{
			name:  "queue without a row",
			files: map[string]string{"docs/queues.md": "| file |\n", "internal/a/a.go": "package a; var c = make(chan int, 3)"},
			rule:  queues,
			want:  "internal/a/a.go:1 makes a buffered channel",
		},
		{
			name:  "queue whose test is gone",
			files: map[string]string{"docs/queues.md": "| q | `internal/a/a.go` | `TestGone` |\n", "internal/a/a.go": "package a; var c = make(chan int, 3)"},
			rule:  queues,
			want:  "names TestGone, which does not exist",
		},
		{
			name:  "goroutines and no look for leaks",
			files: map[string]string{"internal/a/a.go": "package a; func f() { go f() }", "internal/a/a_test.go": "package a"},
			rule:  leakComplaints,
			want:  "internal/a/a.go:1 starts a goroutine, and no test",
		},
		{
			name:  "row without a goroutine",
			files: map[string]string{"docs/goroutines.md": "| `a/a.go` | f |\n", "a/a.go": "package a"},
			rule:  goroutines,
			want:  "lists a/a.go, which starts no goroutine",
		},
		{
			name: "names that exist",
			files: map[string]string{
				"docs/life-of-a-record.md": "`a.F(x)`, `a.(*T).M` and `a.T.M(ctx)`, `a.T.field`, `os.Rename`, `a_test.go`",
				"internal/a/a.go":          "package a; func F() {}; type T struct{ field int }; func (t *T) M() {}",
			},
			rule: documented,
		},
		{
			name: "function that is gone",
			files: map[string]string{
				"docs/life-of-a-record.md": "`a.(*T).Gone`",
				"internal/a/a.go":          "package a; type T struct{}",
			},
			rule: documented,
			want: "declares no T.Gone",
		},
		{
			name: "link to nothing",
			files: map[string]string{
				"docs/life-of-a-record.md": "[there](formats/wal.md#frames) [gone](gone.md) [far](https://example.com/x)",
				"docs/formats/wal.md":      "",
			},
			rule: linked,
			want: "links to gone.md",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{}
			for name, text := range tt.files {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			loaded, err := load(files)
			if err != nil {
				t.Fatal(err)
			}
			got := tt.rule(loaded)
			if tt.want == "" && len(got) > 0 {
				t.Errorf("complaints %q, want none", got)
			}
			if tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("complaints %q, want one with %q", got, tt.want)
			}
		})
	}
}

// goroutines adapts goroutineComplaints to the table above.
func goroutines(t *tree) []string { return orError(goroutineComplaints(t)) }

func queues(t *tree) []string { return orError(queueComplaints(t)) }

// documented adapts namedComplaints to the table above.
func documented(t *tree) []string {
	complaints, _, err := namedComplaints(t, recordPath)
	return orError(complaints, err)
}

// linked adapts linkComplaints to the table above.
func linked(t *tree) []string { return orError(linkComplaints(t, recordPath)) }

func orError(complaints []string, err error) []string {
	if err != nil {
		return append(slices.Clone(complaints), err.Error())
	}
	return complaints
}
