package meta

import (
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

// TestTheLogHasAReserve fills the disk: one more file finds room, a second one
// does not, and when there is room again the reserve is set aside anew.
func TestTheLogHasAReserve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newReserveFS(dir, 1<<20, slog.New(slog.DiscardHandler))
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
