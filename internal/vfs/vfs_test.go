package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write creates a file with a content, and syncs neither it nor its name.
func write(t testing.TB, fsys FS, name, content string) File {
	t.Helper()
	f, err := fsys.Create(name)
	must(t, err)
	_, err = f.WriteAt([]byte(content), 0)
	must(t, err)
	return f
}

// read returns the content of a file, or the error.
func read(fsys FS, name string) string {
	p, err := ReadFile(fsys, name)
	switch {
	case IsNotExist(err):
		return "(not there)"
	case err != nil:
		return err.Error()
	default:
		return string(p)
	}
}

// everywhere runs a test on each file system, in a directory of its own.
func everywhere(t *testing.T, f func(t *testing.T, fsys FS, dir string)) {
	t.Helper()
	mem := NewMem()
	must(t, mem.MkdirAll("dir"))
	for name, tc := range map[string]struct {
		fs  FS
		dir string
	}{
		"os":    {OS(), t.TempDir()},
		"mem":   {mem, "dir"},
		"fault": {NewFault(OS()), t.TempDir()},
	} {
		t.Run(name, func(t *testing.T) { f(t, tc.fs, tc.dir) })
	}
}

// TestFiles is what storage code relies on, on every file system.
func TestFiles(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		f := write(t, fsys, name, "hello")
		if _, err := f.WriteAt([]byte("p!"), 3); err != nil || f.Name() != name {
			t.Errorf("write to %s: %v", f.Name(), err)
		}
		must(t, f.Truncate(8))
		must(t, f.Sync())
		must(t, fsys.SyncDir(dir))
		size, err := f.Size()
		if size != 8 || err != nil || read(fsys, name) != "help!\x00\x00\x00" {
			t.Errorf("%d bytes, %v: %q", size, err, read(fsys, name))
		}
		p := make([]byte, 10)
		if n, err := f.ReadAt(p, 4); n != 4 || !errors.Is(err, io.EOF) {
			t.Errorf("read beyond the end: %d, %v", n, err)
		}
		if n, err := f.ReadAt(p, 8); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("read at the end: %d, %v", n, err)
		}
		if n, err := f.ReadAt(p[:4], 4); n != 4 || err != nil {
			t.Errorf("read up to the end: %d, %v", n, err)
		}
		must(t, f.Truncate(2))
		if got := read(fsys, name); got != "he" {
			t.Errorf("cut to 2 bytes: %q", got)
		}
		must(t, f.Close())
		if _, err := f.WriteAt(p, 0); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("second close: %v", err)
		}

		r, err := fsys.Open(name)
		must(t, err)
		if _, err := r.WriteAt(p, 0); err == nil {
			t.Error("wrote to a file that was opened for reading")
		}
		must(t, r.Close())
		w, err := fsys.OpenWrite(name)
		must(t, err)
		_, err = w.WriteAt([]byte("X"), 4)
		must(t, err)
		must(t, w.Close())
		if got := read(fsys, name); got != "he\x00\x00X" {
			t.Errorf("written with a hole: %q", got)
		}
		must(t, write(t, fsys, name, "new").Close())
		if got := read(fsys, name); got != "new" {
			t.Errorf("created again: %q", got)
		}
	})
}

// TestNames is the same for directories.
func TestNames(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		in := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
		must(t, MkdirAllSync(fsys, in("x", "y")))
		must(t, MkdirAllSync(fsys, in("x", "y")))
		for _, name := range []string{"b", "c", "a"} {
			must(t, write(t, fsys, in("x", name), name).Close())
		}
		must(t, fsys.Rename(in("x", "a"), in("x", "c")))
		names, err := fsys.ReadDir(in("x"))
		if fmt.Sprint(names) != "[b c y]" || err != nil || read(fsys, in("x", "c")) != "a" {
			t.Errorf("names %v, %v; c holds %q", names, err, read(fsys, in("x", "c")))
		}
		if size, isDir, err := fsys.Stat(in("x", "b")); size != 1 || isDir || err != nil {
			t.Errorf("stat of a file: %d, %v, %v", size, isDir, err)
		}
		if _, isDir, err := fsys.Stat(in("x")); !isDir || err != nil {
			t.Errorf("stat of a directory: %v, %v", isDir, err)
		}
		if err := fsys.Remove(in("x")); err == nil {
			t.Error("removed a directory that is not empty")
		}
		must(t, fsys.Remove(in("x", "b")))
		must(t, RemoveIfExists(fsys, in("x", "b")))
		must(t, fsys.RemoveAll(in("x")))
		must(t, fsys.RemoveAll(in("x")))
		for what, err := range map[string]error{
			"open":       second(fsys.Open(in("none"))),
			"open write": second(fsys.OpenWrite(in("none"))),
			"create":     second(fsys.Create(in("none", "a"))),
			"rename":     fsys.Rename(in("none"), in("a")),
			"remove":     fsys.Remove(in("none")),
			"list":       second(fsys.ReadDir(in("x"))),
			"sync":       fsys.SyncDir(in("none")),
		} {
			if !IsNotExist(err) {
				t.Errorf("%s of what is not there: %v", what, err)
			}
		}
		if free, err := fsys.Free(dir); free == 0 || err != nil {
			t.Errorf("free: %d, %v", free, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestLock(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "lock")
		l, err := fsys.Lock(name)
		must(t, err)
		if _, err := fsys.Lock(name); !errors.Is(err, ErrLocked) {
			t.Errorf("second lock: %v, want ErrLocked", err)
		}
		must(t, l.Close())
		l, err = fsys.Lock(name)
		must(t, err)
		must(t, l.Close())
	})
}

// TestWriteFileAtomic loses power and fails at every operation: the old or the
// new content is there, and no other file.
func TestWriteFileAtomic(t *testing.T) {
	t.Parallel()
	for _, short := range []int{0, 2} {
		for ops := range int64(6) {
			disk := NewMem()
			must(t, MkdirAllSync(disk, "d"))
			must(t, WriteFileAtomic(disk, "d/f", []byte("old")))
			fault := NewFault(disk)
			fault.Inject(Rule{Op: OpWrite, Err: io.ErrShortWrite, Short: short, Skip: int(ops)})
			fault.StopAfter(ops)
			err := WriteFileAtomic(fault, "d/f", []byte("new"))
			want := "old"
			if err == nil {
				want = "new"
			}
			if got := read(disk.Crash(Loss{}), "d/f"); got != want {
				t.Errorf("stopped after %d operations (%v): %q, want %q", ops, err, got, want)
			}
		}
	}
	disk := NewMem()
	must(t, MkdirAllSync(disk, "d"))
	fault := NewFault(disk)
	fault.Inject(Rule{Op: OpSync, Err: io.ErrUnexpectedEOF})
	if err := WriteFileAtomic(fault, "d/f", []byte("new")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("sync failed: %v", err)
	}
	if names, err := disk.ReadDir("d"); len(names) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// TestMkdirAllSync dies after each operation, comes back without a power loss,
// creates the directory again, and only then loses power.
func TestMkdirAllSync(t *testing.T) {
	t.Parallel()
	for ops := range int64(8) {
		disk := NewMem()
		fault := NewFault(disk)
		fault.StopAfter(ops)
		if err := MkdirAllSync(fault, "a/b/c"); err != nil && !errors.Is(err, ErrStopped) {
			t.Fatal(err)
		}
		must(t, MkdirAllSync(disk, "a/b/c"))
		if _, isDir, err := disk.Crash(Loss{}).Stat("a/b/c"); !isDir || err != nil {
			t.Errorf("stopped after %d operations: %v, %v", ops, isDir, err)
		}
	}
}
