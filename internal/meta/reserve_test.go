package meta

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/raft-wal/types"
)

// fullFS has room for no file of the log as long as another file is there.
type fullFS struct {
	types.VFS
	while string
	full  bool
}

func (f *fullFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	if _, err := os.Stat(f.while); f.full && (err == nil || filepath.Join(dir, name) == f.while) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			return nil, err
		}
		return nil, &os.PathError{Op: "fallocate", Path: name, Err: syscall.ENOSPC}
	}
	return f.VFS.Create(dir, name, size)
}

// TestTheReserveIsThereFromTheStart opens a new log and one that lost its reserve:
// it is set aside, without a complaint.
func TestTheReserveIsThereFromTheStart(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	r := &Raft{o: Options{
		Dir: filepath.Join(t.TempDir(), "raft"), Logger: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}.withDefaults()}
	for range 2 {
		l, err := r.openLog()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := os.Remove(filepath.Join(r.o.Dir, reserveFile)); err != nil {
			t.Errorf("there was no reserve: %v", err)
		}
	}
	if said.Len() > 0 {
		t.Errorf("it complained: %s", said.String())
	}
}

// TestTheLogHasAReserve fills the disk: one more file finds room, a second one
// does not, and when there is room again the reserve is set aside anew.
func TestTheLogHasAReserve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newReserveFS(dir, 1<<20, slog.New(slog.DiscardHandler))
	r.fill()
	reserve := filepath.Join(dir, reserveFile)
	has := func() bool {
		info, err := os.Stat(reserve)
		return err == nil && info.Size() == 1<<20
	}
	if !has() {
		t.Fatal("there is no reserve")
	}
	disk := &fullFS{VFS: r.VFS, while: reserve, full: true}
	r.VFS = disk
	create := func(name string) error {
		f, err := r.Create(dir, name, 1<<20)
		if err == nil {
			err = f.Close()
		}
		return err
	}
	if err := create("1.wal"); err != nil {
		t.Errorf("on a full disk: %v", err)
	}
	if has() {
		t.Error("the reserve is still there")
	}
	disk.while = dir // without a reserve there is no room for anything
	if err := create("2.wal"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("without a reserve: %v, want %v", err, syscall.ENOSPC)
	}
	disk.full = false
	if err := create("3.wal"); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if !has() {
		t.Error("the reserve was not restored")
	}
}
