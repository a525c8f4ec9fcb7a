package wal

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isStopped(err error) bool { return errors.Is(err, vfs.ErrStopped) }

// TestFirstFailurePoisons fails one operation of a round and expects that
// nobody is told, and that nothing is tried again (W1, W2).
func TestFirstFailurePoisons(t *testing.T) {
	t.Parallel()
	eio := error(syscall.EIO)
	for _, tc := range []struct {
		name  string
		rule  vfs.Rule
		cause error
	}{
		{name: "sync", rule: vfs.Rule{Op: vfs.OpSync, Times: 1, Err: eio}, cause: eio},
		{name: "write", rule: vfs.Rule{Op: vfs.OpWrite, Times: 1, Err: eio}, cause: eio},
		{name: "short write", rule: vfs.Rule{Op: vfs.OpWrite, Times: 1, Short: 20, Err: syscall.ENOSPC}, cause: syscall.ENOSPC},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			fault := vfs.NewFault(vfs.NewMem())
			d, _, _ := mustStart(t, small(fault), 0)
			must(t, d.append(payload(0, 10), false))
			must(t, d.round())
			fault.Inject(tc.rule)
			must(t, d.append(payload(1, 10), false))
			err := d.commit(t.Context())
			if !errors.Is(err, ErrFailed) || !errors.Is(err, tc.cause) {
				t.Fatalf("commit: %v, want ErrFailed and %v", err, tc.cause)
			}
			if d.told.end != 1 {
				t.Errorf("told of %d entries, want 1", d.told.end)
			}
			select {
			case <-d.Failed():
			default:
				t.Error("Failed is not closed")
			}
			ops := fault.Ops()
			if err := d.append(payload(2, 10), false); !errors.Is(err, ErrFailed) {
				t.Errorf("append: %v, want ErrFailed", err)
			}
			if err := d.Reserve(t.Context(), 1); !errors.Is(err, ErrFailed) {
				t.Errorf("reserve: %v, want ErrFailed", err)
			}
			if err := d.Run(t.Context()); !errors.Is(err, ErrFailed) {
				t.Errorf("run: %v, want ErrFailed", err)
			}
			if err := d.WaitSynced(t.Context(), d.End()); !errors.Is(err, ErrFailed) {
				t.Errorf("wait: %v, want ErrFailed", err)
			}
			if got := fault.Ops(); got != ops {
				t.Errorf("%d operations after the failure, want none", got-ops)
			}
		})
	}
}

// TestDiskFull fills the disk while the next file is prepared: appends are
// refused, what was admitted still goes out, and room lets it go on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	must(t, d.append(payload(0, 10), false))
	disk.SetFree(10 << 10)
	must(t, d.round())
	if d.told.end != 1 {
		t.Errorf("told of %d entries, want 1: the open file has room", d.told.end)
	}
	err := d.append(payload(1, 10), false)
	var where *Error
	if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &where) || where.Op != "create" {
		t.Errorf("append: %v, want ErrNoSpace for a create", err)
	}
	if err := d.Reserve(t.Context(), 1); !errors.Is(err, ErrNoSpace) {
		t.Errorf("reserve: %v, want ErrNoSpace", err)
	}
	if _, err := d.Append(Entry{Kind: KindDelete, TP: testTP}); err != nil {
		t.Errorf("delete: %v, want it to be admitted: it makes room", err)
	}
	names, err := disk.ReadDir(testDir)
	must(t, err)
	if len(names) != 1 {
		t.Errorf("files %v, want nothing half-created", names)
	}
	disk.SetFree(1 << 20)
	d.upkeep.retryAt = d.upkeep.retryAt.Add(-spaceRetryInterval)
	must(t, d.round())
	must(t, d.append(payload(1, 10), false))
	must(t, d.round())
	if d.told.end != 2 || d.Stats().NoSpace {
		t.Errorf("told of %d entries, want 2; %+v", d.told.end, d.Stats())
	}
}

// TestStaleFramesOfRecycledFiles fills files with frames, recycles them, and
// crashes when the new use of a file has written less than the old one.
func TestStaleFramesOfRecycledFiles(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	for i := range 60 {
		must(t, d.append(payload(i, 1000), false))
		must(t, d.round())
		if i%10 == 9 {
			must(t, d.Release(d.Durable()))
			must(t, d.tend())
		}
	}
	from := d.Durable()
	must(t, d.Release(from))
	must(t, d.append(payload(60, 10), false))
	must(t, d.round())
	if n := d.Stats().Ready; n == 0 {
		t.Fatal("no file was recycled")
	}
	_, frames, res := mustStart(t, small(disk.Crash(vfs.Loss{})), from)
	if len(frames) != 1 || res.Corrupt || res.TornBytes != 0 {
		t.Errorf("replayed %d frames, want 1; %+v", len(frames), res)
	}
}

// TestBitFlips damages every byte of a log in turn. A damaged frame is
// corruption if the log went on after it was synced, and a torn tail if
// nothing says so; frames before the damage are delivered in any case.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	var ends []LSN
	for i := range 4 {
		must(t, d.append(payload(i, 20), false))
		must(t, d.round())
		ends = append(ends, d.End())
	}
	name := d.cur.path
	for pos := range int64(fileHeaderBytes) + int64(d.End()) {
		if pos >= headerEnd && pos < fileHeaderBytes {
			continue // unused
		}
		after := disk.Crash(vfs.Loss{})
		must(t, after.FlipBit(name, pos*8+pos%8))
		_, frames, res := mustStart(t, small(after), 0)
		if err := checkPrefix(frames, d.sent, 0); err != nil {
			t.Fatalf("byte %d: %v", pos, err)
		}
		hit := 0 // the frame that holds the byte
		for pos >= fileHeaderBytes+int64(ends[hit]) {
			hit++
		}
		switch {
		case pos < headerEnd:
			if !res.Corrupt {
				t.Errorf("byte %d of the header: %+v, want corrupt", pos, res)
			}
		case isPadding(pos, d.sent, ends):
			if res.Corrupt || len(frames) != 4 {
				t.Errorf("padding byte %d: %d frames, %+v", pos, len(frames), res)
			}
		case hit == 3:
			if res.Corrupt || len(frames) != 3 {
				t.Errorf("byte %d of the last frame: %d frames, %+v, want a torn tail", pos, len(frames), res)
			}
		case !res.Corrupt || len(frames) != hit || res.CorruptAt != endBefore(ends, hit):
			t.Errorf("byte %d of frame %d: %d frames, %+v, want corrupt at %d", pos, hit, len(frames), res, endBefore(ends, hit))
		}
	}
}

func endBefore(ends []LSN, i int) LSN {
	if i == 0 {
		return 0
	}
	return ends[i-1]
}

func isPadding(pos int64, sent [][]byte, ends []LSN) bool {
	for i, end := range ends {
		used := int64(endBefore(ends, i)) + frameHeaderBytes + int64(len(sent[i]))
		if pos-fileHeaderBytes >= used && pos-fileHeaderBytes < int64(end) {
			return true
		}
	}
	return false
}

// TestCorruptLogGoesOnBehindTheDamage appends after corruption was found, and
// finds the corruption again until a checkpoint lies behind it.
func TestCorruptLogGoesOnBehindTheDamage(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	for i := range 40 {
		must(t, d.append(payload(i, 1000), false))
		must(t, d.round())
	}
	end := d.End()
	must(t, disk.FlipBit(d.files.used[0].path, (fileHeaderBytes+frameHeaderBytes)*8))
	d, frames, res := mustStart(t, small(disk), 0)
	if !res.Corrupt || res.CorruptAt != 0 || len(frames) != 0 || res.End < end {
		t.Fatalf("%d frames, %+v, want corrupt at 0 and an end from %d on", len(frames), res, end)
	}
	must(t, d.append(payload(0, 10), false))
	must(t, d.round())
	disk = disk.Crash(vfs.Loss{})
	if _, _, again := mustStart(t, small(disk), 0); !again.Corrupt {
		t.Errorf("%+v, want corrupt again", again)
	}
	d, frames, res = mustStart(t, small(disk), res.End)
	if res.Corrupt || len(frames) != 1 {
		t.Errorf("%d frames, %+v, want the one after the damage", len(frames), res)
	}
	must(t, d.Release(res.End))
	must(t, d.append(payload(1, 10), false))
	must(t, d.round())
	must(t, d.Release(d.Durable()))
	must(t, d.tend())
	if n := d.Stats().Files; n != 1 {
		t.Errorf("%d files in use, want 1: the damaged ones are released", n)
	}
}

// TestMissingFiles loses files that a checkpoint relies on.
func TestMissingFiles(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	for i := range 40 {
		must(t, d.append(payload(i, 1000), false))
		must(t, d.round())
	}
	used := d.files.used
	for _, tc := range []struct {
		name   string
		remove []fileInfo
		from   LSN
		want   LSN
	}{
		{name: "the first", remove: used[:1], from: 0, want: 0},
		{name: "one in the middle", remove: used[1:2], from: 0, want: used[1].start},
		{name: "the one of the checkpoint", remove: used[1:2], from: used[1].start + 1056, want: used[1].start},
		{name: "all", remove: used, from: used[1].start, want: used[1].start},
	} {
		after := disk.Crash(vfs.Loss{})
		for _, f := range tc.remove {
			must(t, after.Remove(f.path))
		}
		_, _, res := mustStart(t, small(after), tc.from)
		if !res.Corrupt || res.CorruptAt != tc.want {
			t.Errorf("%s: %+v, want corrupt at %d", tc.name, res, tc.want)
		}
	}
}

// TestKilledBeforeSync kills only the process between write and sync, starts
// it again, and only then loses power: what was replayed must still be there,
// even though the first sync after the restart finds clean pages.
func TestKilledBeforeSync(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	must(t, d.append(payload(0, 10), false))
	must(t, d.round())
	must(t, d.append(payload(1, 10), false))
	must(t, d.write(t.Context(), d.takeRound()))

	_, frames, _ := mustStart(t, small(disk), 0)
	if len(frames) != 2 {
		t.Fatalf("replayed %d frames, want 2", len(frames))
	}
	_, frames, _ = mustStart(t, small(disk.Crash(vfs.Loss{})), 0)
	if len(frames) != 2 {
		t.Errorf("replayed %d frames after power loss, want the 2 that were replayed before", len(frames))
	}
}

// TestHardenWritesAgain expects the bytes that no later frame vouches for to be
// written again, not only synced: a kernel that failed to write a page back
// calls it clean.
func TestHardenWritesAgain(t *testing.T) {
	t.Parallel()
	for rounds := 1; rounds <= 2; rounds++ { // with and without the header
		fault := vfs.NewFault(vfs.NewMem())
		d, _, _ := mustStart(t, small(fault), 0)
		for i := range rounds {
			must(t, d.append(payload(i, 10), false))
			must(t, d.round())
		}
		fault.Inject(vfs.Rule{Op: vfs.OpWrite, Path: d.cur.path, Err: fs.ErrInvalid})
		if _, _, _, err := start(small(fault), 0); !errors.Is(err, fs.ErrInvalid) || !errors.Is(err, ErrFailed) {
			t.Errorf("%d rounds: replay: %v, want the failure of a second write", rounds, err)
		}
	}
}

// TestDiesBeforeNamesAreSynced kills the process after each operation that
// prepares files, goes on without a power loss, and only then has one: frames
// must not be in a file whose name is lost.
func TestDiesBeforeNamesAreSynced(t *testing.T) {
	t.Parallel()
	for ops := range int64(30) {
		disk := vfs.NewMem()
		fault := vfs.NewFault(disk)
		fault.StopAfter(ops)
		if d, _, _, err := start(small(fault), 0); err == nil {
			if err := d.tend(); err != nil && !isStopped(err) {
				t.Fatal(err)
			}
		}
		d, _, _ := mustStart(t, small(disk), 0)
		must(t, d.append(payload(0, 10), false))
		must(t, d.commit(t.Context()))
		_, frames, res := mustStart(t, small(disk.Crash(vfs.Loss{})), 0)
		if len(frames) != 1 || res.Corrupt {
			t.Errorf("died after %d operations: %d frames, %+v; want the one that was synced", ops, len(frames), res)
		}
	}
}

// TestFailureInTheBackground comes between the write of a round and its
// notifications: nobody is told of it any more.
func TestFailureInTheBackground(t *testing.T) {
	t.Parallel()
	d, _, _ := mustStart(t, small(vfs.NewMem()), 0)
	must(t, d.append(payload(0, 10), true))
	must(t, d.append(payload(1, 10), false))
	cause := d.fail(syscall.EIO)
	if err := d.commit(t.Context()); !errors.Is(err, cause) || d.wrote.end+d.told.end != 0 {
		t.Errorf("commit: %v; told of %d and %d, want of nothing", err, d.wrote.end, d.told.end)
	}
	if d.Durable() != 0 {
		t.Errorf("durable up to %d, want nothing", d.Durable())
	}
}

// TestSpaceFromARecycledFile fills the disk and then releases a file, which is
// the next one. Nothing is due after that: upkeep once went on at full speed,
// because it was still to try the full disk again and never did.
func TestSpaceFromARecycledFile(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	for i := range 20 {
		must(t, d.append(payload(i, 1000), false))
		must(t, d.round())
	}
	d.files.ready = nil
	disk.SetFree(0)
	must(t, d.tend())
	if !d.Stats().NoSpace || d.upkeep.nextDue().IsZero() {
		t.Fatal("the disk is not full")
	}
	must(t, d.Release(d.Durable()))
	must(t, d.tend())
	d.upkeep.retryAt = d.upkeep.retryAt.Add(-2 * spaceRetryInterval)
	must(t, d.tend())
	if at := d.upkeep.nextDue(); d.Stats().NoSpace || time.Now().After(at) {
		t.Errorf("no space: %v; due at %v", d.Stats().NoSpace, at)
	}
}
