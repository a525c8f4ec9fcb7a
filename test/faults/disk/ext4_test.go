//go:build faults && linux

package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file and syncs it and its name, or neither.
func put(t testing.TB, name, content string, synced bool) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	_, err = f.WriteString(content)
	must(t, err)
	if synced {
		must(t, f.Sync())
		dir, err := os.Open(filepath.Dir(name))
		must(t, err)
		must(t, dir.Sync())
		must(t, dir.Close())
	}
	must(t, f.Close())
}

func get(name string) string {
	p, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return "(not there)"
	}
	if err != nil {
		return err.Error()
	}
	return string(p)
}

func TestExt4PowerCut(t *testing.T) {
	d := NewExt4(t, Ext4Options{Bytes: 32 << 20})
	kept, lost := filepath.Join(d.Dir(), "kept"), filepath.Join(d.Dir(), "lost")
	put(t, kept, "synced", true)
	put(t, lost, "not synced", false)
	f, err := os.OpenFile(kept, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("not synced"), 6)
	must(t, err)
	must(t, d.PowerCut())
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync without power: %v, want EIO", err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("wrote without power")
	}
	must(t, f.Close())
	must(t, d.Remount())
	if a, b := get(kept), get(lost); a != "synced" || b != "(not there)" {
		t.Errorf("after the cut: %q and %q", a, b)
	}
	put(t, lost, "not synced", false)
	must(t, d.Remount())
	if b := get(lost); b != "not synced" {
		t.Errorf("after a clean remount: %q", b)
	}
}

// TestExt4Cycle bounds what the disk adds to a test of power cuts.
func TestExt4Cycle(t *testing.T) {
	const cycles = 50
	d := NewExt4(t, Ext4Options{Bytes: 64 << 20})
	var longest time.Duration
	start := time.Now()
	for i := range cycles {
		put(t, filepath.Join(d.Dir(), fmt.Sprint(i)), "synced", true)
		begin := time.Now()
		must(t, d.PowerCut())
		must(t, d.Remount())
		longest = max(longest, time.Since(begin))
	}
	mean := time.Since(start) / cycles
	t.Logf("a write, a cut and a mount take %v, at most %v", mean, longest)
	if mean > 100*time.Millisecond {
		t.Errorf("a cycle takes %v, want less than 100 ms", mean)
	}
	for i := range cycles {
		if got := get(filepath.Join(d.Dir(), fmt.Sprint(i))); got != "synced" {
			t.Errorf("file %d: %q", i, got)
		}
	}
}

// TestUnmountWaits for a user that is about to go.
func TestUnmountWaits(t *testing.T) {
	d := NewExt4(t, Ext4Options{Bytes: 32 << 20})
	f, err := os.Create(filepath.Join(d.Dir(), "open"))
	must(t, err)
	timer := time.AfterFunc(50*time.Millisecond, func() { report(t, f.Close()) })
	defer timer.Stop()
	must(t, d.Remount())
	if got := get(f.Name()); got != "" {
		t.Errorf("%q", got)
	}
}

func TestFull(t *testing.T) {
	const leave = 256 << 10
	for name, d := range map[string]Fillable{
		"ext4":  NewExt4(t, Ext4Options{Bytes: 32 << 20}),
		"tmpfs": NewTmpfs(t, 16<<20),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(d.Dir(), "f")
			must(t, d.Fill(leave))
			must(t, os.WriteFile(file, make([]byte, leave/2), 0o644))
			if err := os.WriteFile(file, make([]byte, 2*leave), 0o644); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("write of more than is free: %v, want ENOSPC", err)
			}
			must(t, os.Remove(file))
			must(t, d.Fill(0))
			if err := os.WriteFile(file, make([]byte, 64<<10), 0o644); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("write to a full disk: %v, want ENOSPC", err)
			}
			must(t, d.Free())
			must(t, os.WriteFile(file, make([]byte, 2*leave), 0o644))
		})
	}
}

// TestSlow writes and syncs half a second's worth.
func TestSlow(t *testing.T) {
	const rate = 2 << 20
	d := NewExt4(t, Ext4Options{Bytes: 64 << 20})
	write := func() time.Duration {
		start := time.Now()
		f, err := os.Create(filepath.Join(d.Dir(), "f"))
		must(t, err)
		_, err = f.Write(bytes.Repeat([]byte("x"), rate/2))
		must(t, err)
		must(t, f.Sync())
		must(t, f.Close())
		return time.Since(start)
	}
	fast := write()
	must(t, d.Slow(rate))
	slow := write()
	must(t, d.Remount())
	again := write()
	must(t, d.Slow(0))
	after := write()
	t.Logf("1 MiB and sync: %v; at 2 MiB/s %v, remounted %v; then %v", fast, slow, again, after)
	for _, d := range []time.Duration{slow, again} {
		if d < 300*time.Millisecond || d > 3*time.Second {
			t.Errorf("slowed down to 2 MiB/s, 1 MiB took %v", d)
		}
	}
	if fast > 250*time.Millisecond || after > 250*time.Millisecond {
		t.Errorf("at full speed, 1 MiB took %v and %v", fast, after)
	}
}

// helperVariable makes a process of this test binary play a part, which it then
// tells by a line on its standard output.
const helperVariable = "CHRONIK_DISK_HELPER"

// TestKilledTest leaves disks, which the next one finds and frees.
func TestKilledTest(t *testing.T) {
	if os.Getenv(helperVariable) == "killed" {
		ext4 := NewExt4(t, Ext4Options{Bytes: 32 << 20})
		must(t, ext4.Slow(1<<20))
		faulty := NewFaulty(t, FaultyOptions{})
		put(t, filepath.Join(faulty.Dir(), "closed"), "", false)
		create(t, filepath.Join(faulty.Dir(), "open")) // and it does not wait for itself to close this
		must(t, exec.Command("sleep", "5").Start())    // it must not keep a disk alive
		_, err := fmt.Println("mounted", ext4.device.number,
			ext4.work.dir, NewTmpfs(t, 1<<20).work.dir, faulty.work.dir)
		must(t, err)
		must(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledTest$")
	cmd.Env = append(os.Environ(), helperVariable+"=killed")
	out, err := cmd.Output()
	var number int
	dirs := make([]string, 3)
	if n, scanErr := fmt.Sscanf(string(out), "mounted %d %s %s %s", &number, &dirs[0], &dirs[1], &dirs[2]); n != 4 {
		t.Fatalf("the killed test said %q: %v, %v", out, scanErr, err)
	}
	var image string
	if backing, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", number)); err == nil {
		image = string(backing)
	} else {
		t.Errorf("the disk of the killed test is not on loop%d: %v", number, err)
	}
	left := 0
	for _, dir := range dirs {
		if mounted(t, dir) {
			left++
		}
	}
	if left != len(dirs) {
		t.Errorf("the killed test left %d mounts, want all %d", left, len(dirs))
	}
	start := time.Now()
	if _, err := os.ReadDir(filepath.Join(dirs[2], "mnt")); !errors.Is(err, syscall.ENOTCONN) || time.Since(start) > 3*time.Second {
		t.Errorf("a disk that nobody serves any more: %v after %v, want ENOTCONN", err, time.Since(start))
	}
	NewTmpfs(t, 1<<20)
	for _, dir := range dirs {
		if _, err := os.Stat(dir); mounted(t, dir) || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}
	// Its number may be somebody else's by now, its file is not.
	if backing, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", number)); err == nil && string(backing) == image {
		t.Errorf("loop%d still holds %s", number, backing)
	}
}

// mounted tells whether anything is mounted below a directory.
func mounted(t *testing.T, dir string) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	return strings.Contains(string(text), " "+dir+"/")
}

// TestInUseElsewhere: a disk that another mount namespace still has does not
// come back as if it had lost power.
func TestInUseElsewhere(t *testing.T) {
	defer func(before time.Duration) { busyLimit = before }(busyLimit)
	busyLimit = 200 * time.Millisecond
	d := NewExt4(t, Ext4Options{Bytes: 32 << 20})
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	must(t, d.PowerCut())
	for range 2 {
		if err := d.Remount(); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("remounted although another namespace has the disk: %v", err)
		}
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	busyLimit = 10 * time.Second
	must(t, d.Remount())
}
