package dev

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// builtin is loaded where there is no Go installation to take text from.
//
//go:embed text.txt
var builtin string

// maxLineBytes bounds a line: what is longer is not text.
const maxLineBytes = 512 << 10

// text is what the demo loads.
type text struct {
	source string
	lines  [][]byte
}

// errEnough ends the walk over the files once there are lines enough.
var errEnough = errors.New("enough lines")

// readText returns the lines to load.
func readText(ctx context.Context, o demoOptions) (text, error) {
	if o.input != "" {
		t := text{source: o.input}
		f, err := os.Open(o.input)
		if err != nil {
			return t, exit.Usagef("", "--input: %w", err)
		}
		defer func() { _ = f.Close() }() // read only
		if err := t.add(f, o.lines); err != nil && !errors.Is(err, errEnough) {
			return t, exit.Usagef("", "--input: %s: %w", o.input, err)
		}
		if len(t.lines) == 0 {
			return t, exit.Usagef("", "--input: %s has no lines", o.input)
		}
		return t, nil
	}
	if t, err := goSources(ctx, o.lines); err == nil {
		return t, nil
	}
	// Without a Go installation the built-in text is repeated: fewer lines
	// than asked for would make a short demo.
	t := text{source: "built-in text"}
	for len(t.lines) < o.lines {
		if err := t.add(strings.NewReader(builtin), o.lines); err != nil {
			break // enough
		}
	}
	return t, nil
}

// goSources reads the sources of the standard library, file by file.
func goSources(ctx context.Context, most int) (text, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return text{}, fmt.Errorf("find the Go sources: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src")
	t := text{source: "the sources of the Go standard library, " + dir}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // read only
		return t.add(f, most)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return text{}, fmt.Errorf("read the Go sources: %w", err)
	}
	if len(t.lines) == 0 {
		return text{}, fmt.Errorf("no Go sources in %s", dir)
	}
	return t, nil
}

// add appends the lines of r, and returns errEnough once there are most.
func (t *text) add(r io.Reader, most int) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 64<<10), maxLineBytes)
	for scanner.Scan() {
		if len(t.lines) >= most {
			return errEnough
		}
		t.lines = append(t.lines, bytes.Clone(scanner.Bytes()))
	}
	return scanner.Err()
}
