// Package broken builds chronik with one promise taken out: brokers that
// acknowledge before the disk has it, elect whoever is first, serve what is not
// committed. The fault tests must catch every one of them, or they prove nothing
// about the real one.
//
// The mutations are source overlays for the go command. The product itself has
// no switch, and no build tag, that loses data.
package broken

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// command is the package that is built.
const command = "github.com/chronik-project/chronik/cmd/chronik"

// Build is a deliberately broken build.
type Build struct {
	// Name is a word for test names and reports.
	Name string
	// Promise is what it does not keep, and the rule that is missing.
	Promise string
	// Edits are what differs from the real sources.
	Edits []Edit
}

// Edit replaces a piece of one source file, which must occur there exactly once.
type Edit struct {
	File     string // relative to the module, or to Go's own sources if Std
	Std      bool
	Old, New string
}

// path is where the file is.
func (e Edit) path(root, goroot string) string {
	if e.Std {
		return filepath.Join(goroot, "src", e.File)
	}
	return filepath.Join(root, e.File)
}

// Compile builds the binary at path. root is the directory of the module. It
// fails when a source has changed so that an edit does not fit any more.
func (b Build) Compile(ctx context.Context, root, path string) (err error) {
	work, err := os.MkdirTemp("", "chronik-broken-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	overlay, err := b.writeOverlay(ctx, root, work)
	if err != nil {
		return fmt.Errorf("broken build %s: %w", b.Name, err)
	}
	// Brokers under test may be running.
	build := exec.CommandContext(ctx, "nice", "-n", "10", "go", "build", "-overlay", overlay, "-o", path, command)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("broken build %s: %w\n%s", b.Name, err, out)
	}
	return nil
}

// writeOverlay writes the edited sources into work, and the file that tells the
// go command of them.
func (b Build) writeOverlay(ctx context.Context, root, work string) (string, error) {
	sources, err := b.sources(ctx, root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range sources {
		edited := filepath.Join(work, fmt.Sprintf("%d_%s", len(replace), filepath.Base(file)))
		if err := os.WriteFile(edited, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[file] = edited
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(work, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// sources are the edited files, by path.
func (b Build) sources(ctx context.Context, root string) (map[string]string, error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("where Go is: %w", err)
	}
	edited := map[string]string{}
	for _, e := range b.Edits {
		path := e.path(root, strings.TrimSpace(string(goroot)))
		text, ok := edited[path]
		if !ok {
			original, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			text = string(original)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return nil, fmt.Errorf("%s has %q %d times, want once", e.File, e.Old, n)
		}
		edited[path] = strings.Replace(text, e.Old, e.New, 1)
	}
	return edited, nil
}

// ByName finds a build.
func ByName(name string) (Build, bool) {
	for _, b := range Builds {
		if b.Name == name {
			return b, true
		}
	}
	return Build{}, false
}
