//go:build faults && linux

package disk

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/test/harness"
)

func create(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestFaultyErrors(t *testing.T) {
	d := NewFaulty(t, FaultyOptions{})
	in := func(name string) string { return filepath.Join(d.Dir(), name) }
	must(t, os.MkdirAll(in("wal"), 0o755))
	f := create(t, in("wal/1.wal"))
	dir, err := os.Open(in("wal"))
	must(t, err)
	defer dir.Close()
	for _, tc := range []struct {
		op  Op
		err syscall.Errno
		do  func() error
	}{
		{OpSync, syscall.EIO, f.Sync},
		{OpSync, syscall.EIO, func() error { return unix.Fdatasync(int(f.Fd())) }},
		{OpWrite, syscall.ENOSPC, func() error { _, err := f.WriteAt([]byte("x"), 0); return err }},
		{OpTruncate, syscall.EIO, func() error { return f.Truncate(10) }},
		{OpAllocate, syscall.ENOSPC, func() error { return unix.Fallocate(int(f.Fd()), 0, 0, 100) }},
		{OpOpen, syscall.EMFILE, func() error { _, err := os.ReadFile(in("wal/1.wal")); return err }},
		{OpCreate, syscall.ENOSPC, func() error { return os.WriteFile(in("wal/new"), nil, 0o644) }},
		{OpRename, syscall.EIO, func() error { return os.Rename(in("wal/1.wal"), in("wal/2.wal")) }},
		{OpRemove, syscall.EIO, func() error { return os.Remove(in("wal/1.wal")) }},
		{OpMkdir, syscall.ENOSPC, func() error { return os.Mkdir(in("wal/d"), 0o755) }},
		{OpSyncDir, syscall.EIO, dir.Sync},
	} {
		other := d.Inject(Rule{Op: tc.op, Path: "*.log", Err: syscall.EROFS})
		i := d.Inject(Rule{Op: tc.op, Path: "wal", Err: tc.err, Times: 1})
		before := d.Count(tc.op)
		if err := tc.do(); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v, want %v", tc.op, err, tc.err)
		}
		if n := d.Count(tc.op) - before; i.Hits() != 1 || other.Hits() != 0 || n != 1 {
			t.Errorf("%s: %d hits, %d of another file's rule, %d counted", tc.op, i.Hits(), other.Hits(), n)
		}
		d.Clear()
	}
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("something was done: %v, %v", info, err)
	}
	must(t, f.Sync())
}

func TestFaultyReads(t *testing.T) {
	d := NewFaulty(t, FaultyOptions{})
	name := filepath.Join(d.Dir(), "f")
	put(t, name, "@@@@", false)
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	read := func() (string, error) {
		p := make([]byte, 4)
		_, err := f.ReadAt(p, 0)
		return string(p), err
	}
	if got, err := read(); got != "@@@@" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	i := d.Inject(Rule{Op: OpRead, Err: syscall.EIO})
	if _, err := read(); !errors.Is(err, syscall.EIO) || i.Hits() == 0 {
		t.Errorf("%v after %d hits, want EIO although it was read before", err, i.Hits())
	}
	i.Remove()
	d.Inject(Rule{Op: OpRead, Flip: true})
	if got, err := read(); got != "@@A@" || err != nil {
		t.Errorf("%q, %v, want a flipped bit", got, err)
	}
	d.Clear()
}

func TestFaultyWrites(t *testing.T) {
	d := NewFaulty(t, FaultyOptions{})
	f := create(t, filepath.Join(d.Dir(), "f"))
	d.Inject(Rule{Op: OpWrite, Skip: 1, Times: 1, Keep: 3})
	var counts []int
	for range 3 {
		n, err := unix.Pwrite(int(f.Fd()), []byte("123456"), 0)
		must(t, err)
		counts = append(counts, n)
	}
	if !slices.Equal(counts, []int{6, 3, 6}) {
		t.Errorf("wrote %v bytes, want 6 but for a short write of 3", counts)
	}
	_, err := f.WriteAt([]byte("abcdef"), 6)
	must(t, err)
	d.Inject(Rule{Op: OpWrite, Keep: -1, Err: syscall.EIO})
	if n, err := f.WriteAt([]byte("ABCDEF"), 6); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Errorf("torn write: %d, %v, want EIO", n, err)
	}
	if got := get(f.Name()); got != "123456ABCdef" {
		t.Errorf("%q, want half of the torn write", got)
	}
}

// TestFaultyDelay delays, hangs, and lets a process be killed that hangs.
func TestFaultyDelay(t *testing.T) {
	d := NewFaulty(t, FaultyOptions{})
	f := create(t, filepath.Join(d.Dir(), "f"))
	const delay = 100 * time.Millisecond
	slow := d.Inject(Rule{Op: OpSync, Delay: delay})
	start := time.Now()
	must(t, f.Sync())
	if took := time.Since(start); took < delay || took > 20*delay {
		t.Errorf("a sync with a delay of %v took %v", delay, took)
	}
	slow.Remove()

	hang := d.Inject(Rule{Op: OpSync, Hang: true})
	synced := make(chan error, 1)
	go func() { synced <- f.Sync() }()
	<-hang.Hit()
	harness.Pause(t, delay)
	select {
	case err := <-synced:
		t.Fatalf("did not hang: %v", err)
	default:
	}
	hang.Remove()
	must(t, <-synced)

	hang = d.Inject(Rule{Op: OpWrite, Hang: true})
	cmd := exec.CommandContext(t.Context(), "dd", "if=/dev/zero", "of="+f.Name(), "count=1", "status=none")
	must(t, cmd.Start())
	<-hang.Hit()
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if cmd.ProcessState.String() != "signal: killed" {
		t.Errorf("the process that hung: %v", cmd.ProcessState)
	}
}

// TestFaultyPowerCut loses everything that was not synced, at one operation.
func TestFaultyPowerCut(t *testing.T) {
	d := NewFaulty(t, FaultyOptions{LoseUnsynced: true})
	in := func(name string) string { return filepath.Join(d.Dir(), name) }
	must(t, os.Mkdir(in("d"), 0o755))
	put(t, in("d/kept"), "synced", true)
	put(t, in("d/gone"), "old", true)
	put(t, in("d/nameless"), "content", false)
	dir, err := os.Open(d.Dir())
	must(t, err)
	must(t, dir.Sync())
	must(t, dir.Close())
	f, err := os.OpenFile(in("d/kept"), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("and more"), 3)
	must(t, err)
	must(t, f.Truncate(4))
	must(t, os.Remove(in("d/gone")))
	if bytes, names := d.Unsynced(); bytes != 8 || names != 2 {
		t.Errorf("unsynced: %d bytes, %d names, want 1 of the truncated file and 7 of another, and 2", bytes, names)
	}
	d.Inject(Rule{Op: OpSync, PowerCut: true})
	synced := make(chan error, 1)
	go func() { synced <- errors.Join(f.Sync(), f.Close()) }()
	<-d.PowerOff()
	harness.Pause(t, 20*time.Millisecond)
	select {
	case err := <-synced:
		t.Errorf("a sync without power returned: %v", err)
	default:
	}
	must(t, d.Remount())
	if err := <-synced; !errors.Is(err, syscall.EIO) {
		t.Errorf("a sync without power: %v, want EIO", err)
	}
	for name, want := range map[string]string{"d/kept": "synced", "d/gone": "old", "d/nameless": "(not there)"} {
		if got := get(in(name)); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	d.Clear()
	put(t, in("d/kept"), "again", true)
	must(t, d.PowerCut())
	must(t, d.Remount())
	if got := get(in("d/kept")); got != "again" {
		t.Errorf("second cut: %q", got)
	}
}

// TestFaultyKill keeps what was written, up to the middle of one write or its
// end, which then nobody hears of.
func TestFaultyKill(t *testing.T) {
	for keep, want := range map[int]string{2: "01ab", 4: "01abcd"} {
		d := NewFaulty(t, FaultyOptions{})
		f := create(t, filepath.Join(d.Dir(), "f"))
		_, err := f.WriteAt([]byte("0123"), 0)
		must(t, err)
		d.Inject(Rule{Op: OpWrite, PowerCut: true, Keep: keep})
		wrote := make(chan error, 1)
		go func() { _, err := f.WriteAt([]byte("abcd"), 2); wrote <- errors.Join(err, f.Close()) }()
		<-d.PowerOff()
		must(t, d.Remount())
		if err := <-wrote; err == nil {
			t.Error("the write without power succeeded")
		}
		if got := get(f.Name()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestFaultyMapping sees written bytes through a mapping, as bolt does. It maps
// in another process.
func TestFaultyMapping(t *testing.T) {
	if name := os.Getenv(helperVariable); filepath.IsAbs(name) {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		must(t, err)
		must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
		must(t, unix.Fallocate(int(f.Fd()), 0, 0, 64<<10))
		_, err = f.WriteAt(bytes.Repeat([]byte("a"), 64<<10), 0)
		must(t, err)
		p, err := unix.Mmap(int(f.Fd()), 0, 64<<10, unix.PROT_READ, unix.MAP_SHARED)
		must(t, err)
		for i := range 16 {
			_, err = f.WriteAt([]byte("b"), int64(i)<<12)
			must(t, err)
			must(t, unix.Fdatasync(int(f.Fd())))
			if p[i<<12] != 'b' || p[i<<12+1] != 'a' {
				t.Errorf("page %d is mapped as %.2q", i, p[i<<12:])
			}
		}
		return
	}
	d := NewFaulty(t, FaultyOptions{LoseUnsynced: true})
	name := filepath.Join(d.Dir(), "bolt")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaultyMapping$")
	cmd.Env = append(os.Environ(), helperVariable+"="+name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.SetLoss(Loss{KeepNames: true})
	must(t, d.PowerCut())
	must(t, d.Remount())
	if got := get(name); len(got) != 64<<10 || strings.Count(got, "b") != 16 {
		t.Errorf("%d bytes, %d of them b", len(got), strings.Count(got, "b"))
	}
}

// TestFaultyVFS runs the operations of storage code on it.
func TestFaultyVFS(t *testing.T) {
	d := NewFaulty(t, FaultyOptions{LoseUnsynced: true})
	fsys := vfs.OS()
	in := func(name string) string { return filepath.Join(d.Dir(), name) }
	must(t, vfs.MkdirAllSync(fsys, in("x/y")))
	for _, content := range []string{"first", "second"} {
		must(t, vfs.WriteFileAtomic(fsys, in("x/y/f"), []byte(content)))
	}
	l, err := fsys.Lock(in("x/lock"))
	must(t, err)
	if _, err := fsys.Lock(in("x/lock")); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	must(t, l.Close())
	if free, err := fsys.Free(d.Dir()); free == 0 || err != nil {
		t.Errorf("free: %d, %v", free, err)
	}
	f, err := fsys.OpenWrite(in("x/y/f"))
	must(t, err)
	p := make([]byte, 10)
	if n, err := f.ReadAt(p, 0); n != 6 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v", n, err)
	}
	must(t, f.Close())
	must(t, d.PowerCut())
	must(t, d.Remount())
	if got := get(in("x/y/f")); got != "second" {
		t.Errorf("after a cut: %q", got)
	}
	must(t, fsys.RemoveAll(in("x")))
	if got := get(in("x/y/f")); got != "(not there)" {
		t.Errorf("removed: %q", got)
	}
}

// TestFaultyHole syncs a file that was cut and has grown again: what was cut
// off must not come back in the hole.
func TestFaultyHole(t *testing.T) {
	d := NewFaulty(t, FaultyOptions{LoseUnsynced: true})
	name := filepath.Join(d.Dir(), "f")
	put(t, name, "0123456789", true)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	must(t, f.Truncate(2))
	_, err = f.WriteAt([]byte("x"), 8)
	must(t, err)
	must(t, errors.Join(f.Sync(), f.Close()))
	must(t, d.PowerCut())
	must(t, d.Remount())
	if got, want := get(name), "01\x00\x00\x00\x00\x00\x00x"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
