package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// ballast is a file beside the data that takes room away.
type ballast struct{ mount string }

func (b ballast) path() string { return filepath.Join(b.mount, "ballast") }

// fill lets the file grow until no more than leave bytes are free. The file
// system keeps books about the file in blocks of its own, so it comes near in a
// few steps.
func (b ballast) fill(leave int64) error {
	f, err := os.OpenFile(b.path(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = b.grow(f, leave)
	return errors.Join(err, f.Close())
}

func (b ballast) grow(f *os.File, leave int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// What was written and has no block yet takes room, too.
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("fill %s: %w", b.mount, err)
	}
	size := info.Size()
	for {
		var st unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
			return err
		}
		excess := int64(st.Bavail)*st.Bsize - leave
		if excess < st.Bsize {
			return nil
		}
		err := unix.Fallocate(int(f.Fd()), 0, size, excess)
		if errors.Is(err, unix.ENOSPC) && excess > 2*st.Bsize {
			excess /= 2
			err = unix.Fallocate(int(f.Fd()), 0, size, excess)
		}
		if errors.Is(err, unix.ENOSPC) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("fill %s: %w", b.mount, err)
		}
		size += excess
	}
}

func (b ballast) free() error {
	if err := os.Remove(b.path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Tmpfs is a small disk in memory. It implements [Fillable]. A small [Ext4]
// behaves more like a disk: it allocates late, and its metadata needs room.
type Tmpfs struct {
	work    *workspace
	ballast ballast
}

var _ Fillable = (*Tmpfs)(nil)

// NewTmpfs mounts a disk of so many bytes, which ends with the test.
func NewTmpfs(t testing.TB, bytes int64) *Tmpfs {
	t.Helper()
	w := newWorkspace(t, "")
	t.Cleanup(func() { report(t, w.close()) })
	d := &Tmpfs{work: w, ballast: ballast{mount: w.mountPoint()}}
	if err := unix.Mount("tmpfs", w.mountPoint(), "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Fatalf("mount %s: %v", w.mountPoint(), err)
	}
	t.Cleanup(func() {
		if err := unmount(w.mountPoint()); err != nil {
			t.Error(errors.Join(err, detach(w.mountPoint())))
		}
	})
	if err := os.Mkdir(d.Dir(), 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

// Dir implements [Disk].
func (d *Tmpfs) Dir() string { return filepath.Join(d.work.mountPoint(), "data") }

// Fill implements [Fillable].
func (d *Tmpfs) Fill(leave int64) error { return d.ballast.fill(leave) }

// Free implements [Fillable].
func (d *Tmpfs) Free() error { return d.ballast.free() }
