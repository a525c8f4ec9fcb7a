package vfs

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"
)

// TestForgottenWrites fails a sync as the kernel does: the bytes are read, and a
// later sync that succeeds does not bring them to the disk.
func TestForgottenWrites(t *testing.T) {
	t.Parallel()
	for _, forget := range []bool{false, true} {
		disk := NewMem()
		fault := NewFault(disk)
		fault.Inject(Rule{Op: OpSync, Times: 1, Err: syscall.EIO, Forget: forget})
		f, err := fault.Create("f")
		must(t, err)
		must(t, disk.SyncDir(""))
		_, err = f.WriteAt([]byte("abc"), 0)
		must(t, err)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("sync: %v", err)
		}
		if got := read(disk, "f"); got != "abc" {
			t.Errorf("read %q, want abc", got)
		}
		_, err = f.WriteAt([]byte("z"), 2)
		must(t, err)
		must(t, f.Sync())
		want := "abz"
		if forget {
			want = "\x00\x00z"
		}
		if got := read(disk.Crash(Loss{}), "f"); got != want {
			t.Errorf("forgetful %v: the disk holds %q, want %q", forget, got, want)
		}
	}
}

// TestFaultAtAnIndex fails the change with a given number, whatever it is, and
// tells who watches.
func TestFaultAtAnIndex(t *testing.T) {
	t.Parallel()
	fault := NewFault(NewMem())
	fault.Inject(Rule{Op: OpChange, After: 2, Times: 1, Err: syscall.EIO})
	var seen []string
	fault.Watch(func(op Op, path string, failed error) { seen = append(seen, fmt.Sprint(op, path, failed != nil)) })
	must(t, fault.MkdirAll("d"))
	_, err := fault.Create("d/f")
	must(t, err)
	if _, _, err := fault.Stat("d/f"); err != nil {
		t.Errorf("a look changes nothing and does not count: %v", err)
	}
	if err := fault.SyncDir("d"); !errors.Is(err, syscall.EIO) {
		t.Errorf("the third change: %v", err)
	}
	must(t, fault.SyncDir("d"))
	want := []string{
		fmt.Sprint(OpMkdir, "d", false), fmt.Sprint(OpCreate, "d/f", false), fmt.Sprint(OpStat, "d/f", false),
		fmt.Sprint(OpSyncDir, "d", true), fmt.Sprint(OpSyncDir, "d", false),
	}
	if !slices.Equal(seen, want) {
		t.Errorf("seen %v, want %v", seen, want)
	}
}

// TestWriteFileAtomicFails fails each operation in each way: there is the old
// content or the new one, also after a loss of power; the new one for certain if
// no error was returned.
func TestWriteFileAtomicFails(t *testing.T) {
	t.Parallel()
	rules := []Rule{
		{Op: OpChange, Times: 1, Err: syscall.EIO, Forget: true},
		{Op: OpChange, Err: syscall.EIO, Forget: true},
		{Op: OpChange, Times: 1, Err: syscall.ENOSPC},
		{Op: OpChange, Err: syscall.ENOSPC},
		{Op: OpWrite, Times: 1, Err: io.ErrShortWrite, Short: 2},
	}
	for i, rule := range rules {
		for rule.After = range int64(6) {
			disk := NewMem()
			must(t, MkdirAllSync(disk, "d"))
			must(t, WriteFileAtomic(disk, "d/f", []byte("old")))
			fault := NewFault(disk)
			fault.Inject(rule)
			err := WriteFileAtomic(fault, "d/f", []byte("new"))
			for _, got := range []string{read(disk, "d/f"), read(disk.Crash(Loss{}), "d/f")} {
				if got != "new" && (err == nil || got != "old") {
					t.Errorf("rule %d at operation %d: %v, and the file holds %q", i, rule.After, err, got)
				}
			}
			must(t, WriteFileAtomic(disk, "d/f", []byte("next")))
			if got := read(disk.Crash(Loss{}), "d/f"); got != "next" {
				t.Errorf("rule %d at operation %d: then it holds %q", i, rule.After, got)
			}
		}
	}
}
