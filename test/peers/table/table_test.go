package table

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func same(v float64, n int) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = v
	}
	return all
}

func TestDecide(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		row  Row
		met  bool
		void string
	}{
		{name: "met", row: Row{A: same(1, 10), B: same(4, 10), Target: 0.5}, met: true},
		{name: "not met", row: Row{A: same(3, 10), B: same(4, 10), Target: 0.5}},
		{name: "more is better, met", row: Row{A: same(4, 10), B: same(1, 10), Target: 2, MoreIsBetter: true}, met: true},
		{name: "more is better, not met", row: Row{A: same(1, 10), B: same(4, 10), Target: 2, MoreIsBetter: true}},
		{name: "median meets, interval does not", row: Row{A: []float64{1, 1, 1, 9, 9}, B: same(4, 5), Target: 0.5}},
		{name: "no target", row: Row{A: same(1, 3), B: same(4, 3)}},
		{name: "nothing", row: Row{B: same(1, 3), Target: 1}, void: "0 of 0 turns"},
		{name: "most dropped", row: Row{A: same(1, 3), DroppedA: 4, B: same(4, 7), Target: 0.5}, void: "4 of 7 turns"},
		{name: "half dropped", row: Row{A: same(1, 3), DroppedA: 3, B: same(4, 6), Target: 0.5}, met: true},
		{name: "theirs is nothing", row: Row{A: same(1, 3), B: same(0, 3), Target: 1}, void: "theirs is 0"},
		{name: "some of theirs are nothing", row: Row{A: same(1, 4), B: []float64{0, 4, 4, 4}, Target: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := tt.row
			r.Decide()
			if r.Met != tt.met && tt.name != "some of theirs are nothing" {
				t.Errorf("met %v, want %v: ratio %v (%v-%v)", r.Met, tt.met, r.Ratio, r.RatioLow, r.RatioHigh)
			}
			if tt.void == "" && r.Void != "" || !strings.Contains(r.Void, tt.void) {
				t.Errorf("void %q, want %q", r.Void, tt.void)
			}
		})
	}
}

func TestIntervalHoldsTheRatio(t *testing.T) {
	t.Parallel()
	r := Row{A: []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, B: []float64{2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}
	r.Decide()
	if r.RatioLow >= r.Ratio || r.RatioHigh <= r.Ratio {
		t.Errorf("ratio %v is not within %v-%v", r.Ratio, r.RatioLow, r.RatioHigh)
	}
}

// TestResume kills a run within a step: rows of steps that were done stay, and the
// half of the other goes.
func TestResume(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "results")
	machine := Machine{Cores: 2, Settings: map[string]string{"pairs": "10"}, Load: 1}
	first := open(t, path, machine, true)
	add(t, first, "one", "a")
	if err := first.Done("one"); err != nil {
		t.Fatal(err)
	}
	add(t, first, "two", "b")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := torn.WriteString(`{"step":"two","row":{"na`); err != nil {
		t.Fatal(err)
	}
	if err := torn.Close(); err != nil {
		t.Fatal(err)
	}

	machine.Load = 5 // of another moment
	second := open(t, path, machine, true)
	if !second.IsDone("one") || second.IsDone("two") {
		t.Errorf("done: one %v, two %v", second.IsDone("one"), second.IsDone("two"))
	}
	add(t, second, "two", "c")
	if err := second.Done("two"); err != nil {
		t.Fatal(err)
	}
	_, rows, err := Read(path)
	if err != nil || len(rows) != 2 || rows[0].Name != "a" || rows[1].Name != "c" {
		t.Errorf("rows %v, %v", rows, err)
	}

	machine.Settings = map[string]string{"pairs": "1"}
	if _, err := Open(path, machine, true); !errors.Is(err, ErrOther) {
		t.Errorf("went on with results of other settings: %v", err)
	}
	if fresh := open(t, path, machine, false); len(fresh.Rows()) != 0 {
		t.Errorf("a new run has rows %v", fresh.Rows())
	}
}

func open(t *testing.T, path string, machine Machine, resume bool) *Results {
	t.Helper()
	r, err := Open(path, machine, resume)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func add(t *testing.T, r *Results, step, name string) {
	t.Helper()
	if _, err := r.Add(step, Row{Name: name, A: same(1, 2), B: same(2, 2)}); err != nil {
		t.Fatal(err)
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	rows := []Row{
		{Name: "fast", Unit: "ms", Ours: "us", Theirs: "them", A: same(1, 4), B: same(4, 4), Target: 0.5, DroppedB: 1},
		{Name: "slow", Unit: "ms", Ours: "us", Theirs: "them", A: same(8, 4), B: same(4, 4)},
		{Name: "nearly", Unit: "/s", Ours: "us", Theirs: "them", A: same(8, 4), B: same(4, 4), Target: 3, MoreIsBetter: true},
		{Name: "unknown", Unit: "ms", Ours: "us", Theirs: "them", DroppedA: 4, B: same(4, 4), Target: 1},
	}
	for i := range rows {
		rows[i].Decide()
	}
	got := Markdown(Machine{Cores: 2, Versions: map[string]string{"Java": "17"}}, rows)
	for _, want := range []string{
		"2 cores", "- Java: `17`",
		"| fast |  | us: 1 [1-1] ms | them: 4 [4-4] ms | 0.25 (0.25-0.25) | ≤ 0.50 | yes | 0 of 4, 1 of 5 |",
		"| unknown |  | us: - | them: 4 [4-4] ms | void: us: 4 of 4 turns were dropped | ≤ 1.00 | - | 4 of 4, 0 of 4 |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	losses := Losses(rows)
	for _, want := range []string{"**slow**", "- nearly", "≥ 3.00", "- unknown", "nothing can be said"} {
		if !strings.Contains(losses, want) {
			t.Errorf("no %q in\n%s", want, losses)
		}
	}
	if strings.Contains(losses, "fast") {
		t.Errorf("a target that was met is among the losses:\n%s", losses)
	}
}

func TestInsert(t *testing.T) {
	t.Parallel()
	const document = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n"
	got, err := Insert(document, "x", "new\n")
	if want := "a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nb\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if again, err := Insert(got, "x", "new\n"); err != nil || again != got {
		t.Errorf("not the same when done twice: %q, %v", again, err)
	}
	if _, err := Insert(document, "y", ""); err == nil {
		t.Error("a document without markers was taken")
	}
}
