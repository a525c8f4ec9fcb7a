package vfs

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestCrashKeepsWhatWasSynced and nothing else.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	m := NewMem()
	must(t, MkdirAllSync(m, "d"))
	kept := write(t, m, "d/kept", "synced")
	must(t, kept.Sync())
	must(t, write(t, m, "d/empty", "not synced").Close())
	must(t, write(t, m, "d/gone", "old").Sync())
	must(t, write(t, m, "d/old", "renamed").Sync())
	must(t, m.SyncDir("d"))

	_, err := kept.WriteAt([]byte("and more"), 4)
	must(t, err)
	must(t, m.Remove("d/gone"))
	must(t, m.Rename("d/old", "d/new"))
	must(t, write(t, m, "d/nameless", "content is synced").Sync())
	must(t, m.MkdirAll("e"))
	_, err = m.Lock("d/lock")
	must(t, err)

	after := m.Crash(Loss{})
	for name, want := range map[string]string{
		"d/kept": "synced", "d/empty": "", "d/gone": "old", "d/old": "renamed",
		"d/new": "(not there)", "d/nameless": "(not there)", "e/x": "(not there)",
	} {
		if got := read(after, name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	if l, err := after.Lock("d/lock"); err != nil {
		t.Errorf("lock survived the crash: %v", err)
	} else {
		must(t, l.Close())
	}
	// The old file system goes on and does not touch the new one.
	must(t, kept.Sync())
	must(t, m.SyncDir("d"))
	if got := read(after, "d/kept"); got != "synced" {
		t.Errorf("after a later sync: %q", got)
	}
	if got := read(m.Crash(Loss{}), "d/kept"); got != "syncand more" {
		t.Errorf("second crash: %q", got)
	}
}

// TestCrashKeepsBytes tears at every byte, across two files.
func TestCrashKeepsBytes(t *testing.T) {
	t.Parallel()
	m := NewMem()
	for _, name := range []string{"a", "b"} {
		must(t, write(t, m, name, "....").Sync())
	}
	must(t, m.SyncDir("."))
	a, err := m.OpenWrite("a")
	must(t, err)
	b, err := m.OpenWrite("b")
	must(t, err)
	for _, w := range []struct {
		f   File
		p   string
		off int64
	}{{f: a, p: "12"}, {f: b, p: "34", off: 2}, {f: a, p: "5", off: 3}} {
		_, err := w.f.WriteAt([]byte(w.p), w.off)
		must(t, err)
	}
	if n := m.UnsyncedBytes(); n != 5 {
		t.Fatalf("%d unsynced bytes, want 5", n)
	}
	for keep, want := range []string{".... ....", "1... ....", "12.. ....", "12.. ..3.", "12.. ..34", "12.5 ..34", "12.5 ..34"} {
		after := m.Crash(Loss{KeepBytes: int64(keep)})
		if got := read(after, "a") + " " + read(after, "b"); got != want {
			t.Errorf("kept %d bytes: %q, want %q", keep, got, want)
		}
	}
}

// TestCrashKeepsTruncation takes it as a change like others.
func TestCrashKeepsTruncation(t *testing.T) {
	t.Parallel()
	m := NewMem()
	f := write(t, m, "a", "12345")
	must(t, f.Sync())
	must(t, m.SyncDir("."))
	must(t, f.Truncate(2))
	_, err := f.WriteAt([]byte("x"), 2)
	must(t, err)
	if got := read(m.Crash(Loss{}), "a"); got != "12345" {
		t.Errorf("nothing kept: %q", got)
	}
	if got := read(m.Crash(Loss{KeepBytes: 1}), "a"); got != "12x" {
		t.Errorf("all kept: %q", got)
	}
	must(t, f.Sync())
	if got := read(m.Crash(Loss{}), "a"); got != "12x" {
		t.Errorf("synced: %q", got)
	}
}

// TestRandomLoss tears between sectors, and keeps names in their order.
func TestRandomLoss(t *testing.T) {
	t.Parallel()
	m := NewMem()
	f := write(t, m, "f", strings.Repeat("-", 2000))
	must(t, f.Sync())
	must(t, m.SyncDir("."))
	_, err := f.WriteAt([]byte(strings.Repeat("x", 1500)), 200)
	must(t, err)
	for _, name := range []string{"1", "2", "3"} {
		must(t, write(t, m, name, "").Close())
	}
	contents, names := map[string]bool{}, map[string]bool{}
	for seed := range uint64(300) {
		after := m.Crash(Loss{Rand: rand.New(rand.NewPCG(seed, 1))})
		got := read(after, "f")
		contents[got] = true
		for i := range got {
			if same := i == 0 || i%sectorBytes == 0 || i == 200 || i == 1700 || got[i] == got[i-1]; !same {
				t.Fatalf("seed %d: torn within a sector, at %d", seed, i)
			}
		}
		list, err := after.ReadDir(".")
		must(t, err)
		if all := []string{"1", "2", "3", "f"}; !slices.Equal(list, append(slices.Clone(all[:len(list)-1]), "f")) {
			t.Fatalf("seed %d: names %v are not a beginning of %v", seed, list, all)
		}
		names[strings.Join(list, " ")] = true
	}
	if len(contents) != 16 || len(names) != 4 {
		t.Errorf("%d contents and %d lists of names, want 16 and 4", len(contents), len(names))
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	m := NewMem()
	f := write(t, m, "a", "1234")
	m.SetFree(3)
	if n, err := f.WriteAt([]byte("56789"), 2); n != 5 || err != nil {
		t.Errorf("write of what fits: %d, %v", n, err)
	}
	if n, err := f.WriteAt([]byte("abc"), 6); n != 1 || !IsNoSpace(err) {
		t.Errorf("write of more: %d, %v", n, err)
	}
	if err := f.Truncate(100); !IsNoSpace(err) {
		t.Errorf("growth: %v", err)
	}
	if n, err := f.WriteAt([]byte("over"), 0); n != 4 || err != nil {
		t.Errorf("overwrite: %d, %v", n, err)
	}
	must(t, f.Truncate(2))
	if free, err := m.Free("."); free != 5 || err != nil {
		t.Errorf("free %d, %v, want 5", free, err)
	}
	must(t, m.Remove("a"))
	if free, err := m.Free("."); free != 7 || err != nil {
		t.Errorf("free %d, %v, want 7", free, err)
	}
}

func TestFault(t *testing.T) {
	t.Parallel()
	disk := NewMem()
	fault := NewFault(disk)
	f := write(t, fault, "a", "1234")
	fault.Inject(Rule{Op: OpWrite, Path: "a", Skip: 1, Times: 1, Err: syscall.EIO, Short: 2})
	fault.Inject(Rule{Op: OpRead, Flip: true, Times: 1})
	for i, wantErr := range []error{nil, syscall.EIO, nil} {
		if _, err := f.WriteAt([]byte("abc"), int64(3*i)); !errors.Is(err, wantErr) {
			t.Errorf("write %d: %v, want %v", i, err, wantErr)
		}
	}
	if got, want := read(fault, "a"), "abca"+"c"+"\x00abc"; got != want {
		t.Errorf("content %q, want a flipped bit in the middle: %q", got, want)
	}
	if got := read(fault, "a"); got != "abcab\x00abc" {
		t.Errorf("content without a flip %q", got)
	}
	if ops := fault.Ops(); ops != 5 {
		t.Errorf("%d operations, want create and 4 writes", ops)
	}
	fault.StopAfter(5)
	if err := f.Sync(); !errors.Is(err, ErrStopped) {
		t.Errorf("sync after the stop: %v", err)
	}
	fault.Clear()
	fault.Inject(Rule{Op: OpSync, Err: syscall.EIO})
	must(t, fault.SyncDir("."))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	fault.Inject(Rule{Err: syscall.ENOSPC})
	for what, err := range map[string]error{
		"open": second(fault.Open("a")), "open write": second(fault.OpenWrite("a")), "create": second(fault.Create("b")),
		"rename": fault.Rename("a", "b"), "remove": fault.Remove("a"), "remove all": fault.RemoveAll("a"),
		"mkdir": fault.MkdirAll("c"), "list": second(fault.ReadDir(".")), "sync dir": fault.SyncDir("."),
		"truncate": f.Truncate(1), "read": second(f.ReadAt(make([]byte, 1), 0)),
	} {
		if !IsNoSpace(err) {
			t.Errorf("%s: %v, want the injected error", what, err)
		}
	}
	if _, _, err := fault.Stat("a"); !IsNoSpace(err) {
		t.Errorf("stat: %v", err)
	}
}

func TestFlipBit(t *testing.T) {
	t.Parallel()
	m := NewMem()
	must(t, write(t, m, "a", "@@").Sync())
	must(t, m.SyncDir("."))
	must(t, m.FlipBit("a", 8))
	if got := read(m, "a") + read(m.Crash(Loss{}), "a"); got != "@A@A" {
		t.Errorf("content %q, before and after a crash", got)
	}
	if err := m.FlipBit("b", 0); !IsNotExist(err) {
		t.Errorf("flip in nothing: %v", err)
	}
}
