package spell_test

import (
	"testing"

	"github.com/chronik-project/chronik/internal/cli/spell"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"orders", "payments", "list", "describe", "t"}
	for _, tc := range []struct{ name, word, want string }{
		{"missing letter", "ordrs", "orders"},
		{"swapped letters", "lsit", "list"},
		{"other case", "ORDERS", "orders"},
		{"beginning", "desc", "describe"},
		{"nothing near", "inventory", ""},
		{"a short candidate is not near everything", "xy", ""},
		{"empty", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := spell.Nearest(tc.word, words); got != tc.want {
				t.Errorf("Nearest(%q) = %q, want %q", tc.word, got, tc.want)
			}
		})
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, a, b string
		want       int
	}{
		{"equal", "abc", "abc", 0},
		{"empty", "", "abc", 3},
		{"swap", "ab", "ba", 1},
		{"swap after a match", "xab", "xba", 1},
		{"replace and insert", "node_id", "nodes_is", 2},
		{"replace all", "abc", "xyz", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := spell.Edits(tc.a, tc.b); got != tc.want {
				t.Errorf("Edits(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
			}
			if got := spell.Edits(tc.b, tc.a); got != tc.want {
				t.Errorf("Edits(%q, %q) = %d, want %d", tc.b, tc.a, got, tc.want)
			}
		})
	}
}
