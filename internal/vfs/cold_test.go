package vfs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestOpenCold reads what an ordinary file has, at any place and of any length.
func TestOpenCold(t *testing.T) {
	t.Parallel()
	content := make([]byte, 3*4096+77)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenCold(OS(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 500 {
		off := rand.IntN(len(content) + 5000)
		p := make([]byte, 1+rand.IntN(2*4096)) // what reading nothing returns is nobody's concern
		want := bytes.NewReader(content)
		q := make([]byte, len(p))
		wantN, wantErr := want.ReadAt(q, int64(off))
		n, err := f.ReadAt(p, int64(off))
		if n != wantN || !bytes.Equal(p[:n], q[:wantN]) || errors.Is(err, io.EOF) != errors.Is(wantErr, io.EOF) {
			t.Fatalf("%d bytes at %d: %d, %v; want %d, %v", len(p), off, n, err, wantN, wantErr)
		}
	}
	if size, err := f.Size(); err != nil || size != int64(len(content)) {
		t.Errorf("size %d, %v", size, err)
	}
	if _, err := OpenCold(OS(), name+"x"); !IsNotExist(err) {
		t.Errorf("a file that does not exist: %v", err)
	}
}
