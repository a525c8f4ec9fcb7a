package vfs

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDirectReadsCanBeGivenUp: some file systems refuse them late.
func TestDirectReadsCanBeGivenUp(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenCold(OS(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, ok := f.(*directFile)
	if !ok {
		return // this file system refuses them at once
	}
	p := make([]byte, 7)
	for range 2 {
		if _, err := f.ReadAt(p, 0); err != nil || string(p) != "content" {
			t.Errorf("%q, %v", p, err)
		}
		if err := d.stopDirect(); err != nil {
			t.Fatal(err)
		}
	}
}
