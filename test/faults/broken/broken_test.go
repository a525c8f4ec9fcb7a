package broken

import (
	"go/format"
	"path/filepath"
	"testing"
)

// TestEditsFit keeps the mutations in step with the sources: each piece is there
// once, and what replaces it parses. That each build compiles, and is caught, the
// fault tests say.
func TestEditsFit(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, b := range append(Builds, StrobingClock) {
		if names[b.Name] || b.Promise == "" || len(b.Edits) == 0 {
			t.Errorf("%s: a build has a name of its own, a promise and an edit", b.Name)
		}
		names[b.Name] = true
		sources, err := b.sources(t.Context(), root)
		if err != nil {
			t.Errorf("%s: %v", b.Name, err)
		}
		for file, text := range sources {
			if _, err := format.Source([]byte(text)); err != nil {
				t.Errorf("%s: %s: %v", b.Name, file, err)
			}
		}
	}
}

// TestEditThatDoesNotFit: a piece that is gone, or there twice, is an error.
func TestEditThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"no such text", "package"} {
		b := Build{Name: "b", Edits: []Edit{{File: "broken.go", Old: old}}}
		if err := b.Compile(t.Context(), ".", filepath.Join(t.TempDir(), "x")); err == nil {
			t.Errorf("%q fits", old)
		}
	}
}
