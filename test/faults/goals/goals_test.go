package goals

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables into docs/reliability.md")

const (
	lines = "../../../docs/reliability.jsonl"
	page  = "../../../docs/reliability.md"
)

// TestTablesOfThePage: the figures of the page are those of the runs, to the
// byte.
func TestTablesOfThePage(t *testing.T) {
	f, err := os.Open(lines)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	results, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, table := range map[string]string{"goals": Table(results), "runs": Runs(results)} {
		want = replace(t, want, name, table)
	}
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatal("docs/reliability.md does not show what docs/reliability.jsonl says: go test ./test/faults/goals -update")
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace puts a table between its markers.
func replace(t *testing.T, text, name, table string) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, ok := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("the page has no markers for %s", name)
	}
	return before + begin + table + end + after
}

func TestTable(t *testing.T) {
	t.Parallel()
	results, err := Read(strings.NewReader(`{"goal":1,"trials":600,"acked":1500000,"form":"long","of":"gap","p50":1,"p99":2,"max":3,"commit":"a"}
{"goal":1,"trials":400,"acked":600000,"form":"long","of":"gap","p50":4,"p99":5,"max":6,"commit":"b"}
{"goal":1,"trials":9,"violations":1,"form":"short"}
{"goal":2,"trials":300,"lost":1,"violations":1,"form":"long"}
{"goal":5,"trials":250,"form":"long","void":2}
{"goal":9,"trials":250,"acked":1,"form":"long"}
`))
	if err != nil {
		t.Fatal(err)
	}
	table := Table(results)
	for _, row := range []string{
		"| 1,000 | 1,000 | 2,100,000 | 0 | 0 | 0 | 0 | gap: 4 / 5 / 6 | yes |",
		"| 200 | 300 | 0 | 1 | 0 | 1 | 0 | - | **no**: promises broken |",
		"| 500 | 250 | 0 | 0 | 0 | 0 | 2 | - | not yet: 50 % |",
		"| 20,000 | 0 | 0 | 0 | 0 | 0 | 0 | - | not run |",
	} {
		if !strings.Contains(table, row) {
			t.Errorf("no row %q in\n%s", row, table)
		}
	}
	if runs := Runs(results); strings.Count(runs, "\n") != 2+5 {
		t.Errorf("runs:\n%s", runs)
	}
	if _, err := Read(strings.NewReader("{}\nno json\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v", err)
	}
}
