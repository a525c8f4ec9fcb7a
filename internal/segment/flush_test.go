package segment

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

// TestDiskFullIsTriedAgain fills the disk in the middle of a flush: the log
// stays whole, and the flush succeeds once there is room.
func TestDiskFullIsTriedAgain(t *testing.T) {
	t.Parallel()
	for free := range int64(32) {
		disk := vfs.NewMem()
		l := mustOpen(t, small(disk))
		fill(t, l, 40, 1)
		want, err := readAll(l)
		must(t, err)
		disk.SetFree(free * 120)
		if err := l.Flush(); !vfs.IsNoSpace(err) {
			t.Fatalf("flush with %d bytes free: %v, want a full disk", free*120, err)
		}
		fill(t, l, 1, 1)
		disk.SetFree(1 << 20)
		must(t, l.Flush())
		l.TrimTail(0)
		got, err := readFrom(l, 0, 1000)
		must(t, err)
		if string(got[:len(want)]) != string(want) || l.Unflushed() != 0 {
			t.Fatalf("%d bytes free: log is not what it was", free*120)
		}
	}
}

// TestFirstFailurePoisons fails a flush or a sync, after which nothing is
// written any more while reads go on.
func TestFirstFailurePoisons(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		rule vfs.Rule
	}{
		{name: "write", rule: vfs.Rule{Op: vfs.OpWrite, Times: 1, Err: syscall.EIO}},
		{name: "short write", rule: vfs.Rule{Op: vfs.OpWrite, Times: 1, Short: 5, Err: syscall.EIO}},
		{name: "create", rule: vfs.Rule{Op: vfs.OpCreate, Times: 1, Err: syscall.EIO}},
		{name: "sync", rule: vfs.Rule{Op: vfs.OpSync, Times: 1, Err: syscall.EIO}},
		{name: "sync on a full disk", rule: vfs.Rule{Op: vfs.OpSync, Times: 1, Err: syscall.ENOSPC}},
		{name: "directory", rule: vfs.Rule{Op: vfs.OpSyncDir, Path: testDir, Times: 1, Err: syscall.EIO}},
	} {
		fault := vfs.NewFault(vfs.NewMem())
		l := mustOpen(t, small(fault))
		fill(t, l, 3, 1)
		fault.Inject(tc.rule)
		m := l.Mark(0)
		if err := l.Sync(m); !errors.Is(err, ErrFailed) || !errors.Is(err, tc.rule.Err) {
			t.Errorf("%s: %v, want ErrFailed because of %v", tc.name, err, tc.rule.Err)
		}
		ops := fault.Ops()
		if err := l.Sync(m); !errors.Is(err, ErrFailed) {
			t.Errorf("%s: second sync: %v, want ErrFailed", tc.name, err)
		}
		if err := l.Append(batch(9, 1, 1, 1)); !errors.Is(err, ErrFailed) {
			t.Errorf("%s: append: %v, want ErrFailed", tc.name, err)
		}
		if got := fault.Ops(); got != ops {
			t.Errorf("%s: %d operations after the failure", tc.name, got-ops)
		}
		if _, err := readAll(l); err != nil {
			t.Errorf("%s: read: %v", tc.name, err)
		}
	}
}

// TestStaleMark cuts the log between a mark and its sync.
func TestStaleMark(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		flushed int
		cut     int64
		grow    bool
		wantErr error
	}{
		{name: "not cut", cut: 100},
		{name: "cut in memory", cut: 9, wantErr: ErrStaleMark},
		{name: "cut in memory and grown again", cut: 9, grow: true, wantErr: ErrStaleMark},
		{name: "cut in a file", flushed: 6, cut: 9, wantErr: ErrStaleMark},
		{name: "cut in a file and grown again", flushed: 6, cut: 9, grow: true, wantErr: ErrStaleMark},
	} {
		l := mustOpen(t, small(vfs.NewMem()))
		fill(t, l, tc.flushed, 1)
		must(t, l.Flush())
		fill(t, l, 6-tc.flushed, 1)
		m := l.Mark(0)
		must(t, l.TruncateTo(tc.cut))
		if tc.grow {
			fill(t, l, 6, 2)
		}
		if err := l.Sync(m); !errors.Is(err, tc.wantErr) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.wantErr)
		}
		must(t, l.Sync(l.Mark(0)))
		if l.Dirty() {
			t.Errorf("%s: dirty after a sync", tc.name)
		}
	}
}

// TestFilesStayUntilCommitted truncates, resets and expires, and finds every
// byte of the last mark on disk until the next checkpoint.
func TestFilesStayUntilCommitted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(l *Log) error
	}{
		{name: "truncate within a file", change: func(l *Log) error { return l.TruncateTo(75) }},
		{name: "truncate at a file", change: func(l *Log) error { return l.TruncateTo(l.Segments()[2].Base) }},
		{name: "reset", change: func(l *Log) error { return l.ResetTo(500) }},
		{name: "advance", change: func(l *Log) error { l.AdvanceStart(80); return nil }},
		{name: "retain", change: func(l *Log) error {
			_, err := l.Retain(time.UnixMilli(1e12), Retention{Bytes: 1}, 1000)
			return err
		}},
		{name: "truncate after advance", change: func(l *Log) error { l.AdvanceStart(80); return l.TruncateTo(85) }},
		{name: "reset after advance", change: func(l *Log) error { l.AdvanceStart(80); return l.ResetTo(20) }},
	} {
		disk := vfs.NewMem()
		l := mustOpen(t, small(disk))
		fill(t, l, 60, 1)
		m := checkpoint(t, l)
		want, err := readAll(l)
		must(t, err)
		must(t, tc.change(l))
		fill(t, l, 20, 2)
		m2 := l.Mark(0)
		must(t, l.Sync(m2))
		after, err := readAll(l)
		must(t, err)

		old := mustOpen(t, small(disk.Crash(vfs.Loss{})).at(m))
		if got, err := readAll(old); string(got) != string(want) || err != nil {
			t.Errorf("%s: before the checkpoint: %d bytes, %v; want %d", tc.name, len(got), err, len(want))
		}
		must(t, l.Committed(m2))
		if got, err := readAll(l); string(got) != string(after) || err != nil {
			t.Errorf("%s: after the checkpoint: %d bytes, %v; want %d", tc.name, len(got), err, len(after))
		}
		l2 := mustOpen(t, small(disk.Crash(vfs.Loss{})).at(m2))
		if got, err := readAll(l2); string(got) != string(after) || err != nil {
			t.Errorf("%s: reopened: %d bytes, %v; want %d", tc.name, len(got), err, len(after))
		}
		checkFiles(t, tc.name, disk, l)
	}
}

// TestRemovedFilesDoNotComeBack removes a file of a generation that later marks
// include, starts anew before its removal is synced, lets the log grow over its
// offsets, and loses power.
func TestRemovedFilesDoNotComeBack(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	o := Options{FS: disk, Dir: testDir}
	l := mustOpen(t, o)
	fill(t, l, 10, 1)
	checkpoint(t, l)
	must(t, l.TruncateTo(15))
	fill(t, l, 3, 2)
	checkpoint(t, l)
	must(t, l.TruncateTo(9))
	o.Mark = checkpoint(t, l)
	l = mustOpen(t, o)
	fill(t, l, 5, 3)
	o.Mark = checkpoint(t, l)
	want, err := readAll(l)
	must(t, err)
	o.FS = disk.Crash(vfs.Loss{})
	if got, err := readAll(mustOpen(t, o)); string(got) != string(want) || err != nil {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
}

// checkFiles expects nothing on disk but the live segments.
func checkFiles(t *testing.T, name string, disk *vfs.Mem, l *Log) {
	t.Helper()
	names, err := disk.ReadDir(testDir)
	must(t, err)
	bytes := int64(0)
	for _, n := range names {
		size, _, err := disk.Stat(testDir + "/" + n)
		must(t, err)
		if _, ok := parseFileName(n); ok {
			bytes += size
		}
	}
	live := int64(0)
	for _, s := range l.Segments() {
		live += s.Bytes
	}
	if bytes != live || len(names) != 2*len(l.Segments()) {
		t.Errorf("%s: %d bytes in %v, want %d in %d segments", name, bytes, names, live, len(l.Segments()))
	}
}

// slowFS lets a test act while a flush has written and not published yet.
type slowFS struct {
	vfs.FS
	written func()
}

type slowFile struct {
	vfs.File
	fs *slowFS
}

func (s *slowFS) Create(name string) (vfs.File, error) {
	f, err := s.FS.Create(name)
	return slowFile{f, s}, err
}

func (s *slowFS) OpenWrite(name string) (vfs.File, error) {
	f, err := s.FS.OpenWrite(name)
	return slowFile{f, s}, err
}

func (f slowFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if f.fs.written != nil {
		f.fs.written()
	}
	return n, err
}

// TestCutDuringFlush truncates at every moment of a flush.
func TestCutDuringFlush(t *testing.T) {
	t.Parallel()
	for _, cut := range []int64{0, 9, 15, 33, 60, 119} {
		for moment := range 20 {
			disk := vfs.NewMem()
			slow := &slowFS{FS: disk}
			l := mustOpen(t, small(slow))
			m := model{}
			add := func(n int) {
				for range n {
					b := batch(m.end, 3, 1, 4)
					m.append(b)
					must(t, l.Append(b))
				}
			}
			add(5)
			must(t, l.Flush())
			add(35)
			writes := 0
			slow.written = func() {
				if writes++; writes == moment+1 {
					slow.written = nil
					must(t, l.TruncateTo(cut))
					m.truncate(cut)
					add(2)
				}
			}
			must(t, l.Flush())
			slow.written = nil
			if err := m.compare(l); err != nil {
				t.Fatalf("cut to %d after %d writes: %v", cut, moment+1, err)
			}
			mark := checkpoint(t, l)
			l.TrimTail(0)
			if err := m.compare(l); err != nil {
				t.Fatalf("cut to %d after %d writes, from files: %v", cut, moment+1, err)
			}
			checkFiles(t, "after the flush", disk, l)
			if err := m.compare(mustOpen(t, small(disk.Crash(vfs.Loss{})).at(mark))); err != nil {
				t.Fatalf("cut to %d after %d writes, reopened: %v", cut, moment+1, err)
			}
		}
	}
}

// TestConcurrentUse appends, flushes, checkpoints, trims, retains and reads at
// once; it is for the race detector, and checks that readers see whole batches.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, small(vfs.NewMem()))
	done := make(chan struct{})
	var mu sync.Mutex // as the partition has one
	var wg sync.WaitGroup
	until := func(f func(rng *rand.Rand) error) {
		seed := rand.Uint64()
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := f(rng); err != nil {
					t.Errorf("seed %d: %v", seed, err)
					return
				}
			}
		})
	}
	until(func(*rand.Rand) error { return l.Flush() })
	until(func(*rand.Rand) error {
		mu.Lock()
		m := l.Mark(0)
		mu.Unlock()
		if err := l.Sync(m); err != nil {
			if errors.Is(err, ErrStaleMark) {
				return nil
			}
			return err
		}
		return l.Committed(m)
	})
	until(func(rng *rand.Rand) error {
		l.TrimTail(rng.Int64N(1000))
		_, err := l.Retain(time.UnixMilli(0), Retention{Bytes: 4000}, l.EndOffset()-30)
		return err
	})
	for range 2 {
		until(func(rng *rand.Rand) error {
			start, end := l.StartOffset(), l.EndOffset()
			_, err := readFrom(l, start+rng.Int64N(end-start+1), 500)
			if errors.Is(err, ErrOffsetOutOfRange) {
				return nil
			}
			if _, _, err := l.OffsetForTimestamp(rng.Int64N(end*10+1), end); err != nil {
				return err
			}
			return err
		})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 600 {
		mu.Lock()
		err := l.Append(batch(l.EndOffset(), 3, 1, rng.IntN(50)))
		if rng.IntN(50) == 0 {
			start, end := l.StartOffset(), l.EndOffset()
			err = errors.Join(err, l.TruncateTo(max(start, end-rng.Int64N(20))))
		}
		mu.Unlock()
		if err != nil && !errors.Is(err, ErrOffsetOutOfRange) {
			t.Error(err)
			break
		}
	}
	close(done)
	wg.Wait()
	must(t, l.Close())
	if err := l.Append(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
}
