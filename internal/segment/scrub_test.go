package segment

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

func atOnce(int64) error { return nil }

// scrubbed is a log of several files with indexes, all on disk, none in memory.
func scrubbed(t *testing.T, fsys vfs.FS) *Log {
	t.Helper()
	l := mustOpen(t, small(fsys))
	fill(t, l, 20, 1)
	fill(t, l, 20, 4)
	checkpoint(t, l)
	l.TrimTail(0)
	return l
}

func contentOf(t *testing.T, fsys vfs.FS, path string) []byte {
	t.Helper()
	p, err := vfs.ReadFile(fsys, path)
	must(t, err)
	return p
}

// TestScrubFindsEveryBit flips a bit of every byte of every file: of a log that is
// found, of an index it is repaired.
func TestScrubFindsEveryBit(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := scrubbed(t, disk)
	if done, err := l.Scrub(atOnce); err != nil || done.Indexes > 0 || done.Bytes < l.SizeBytes() {
		t.Fatalf("%+v, %v", done, err)
	}
	names, err := disk.ReadDir(testDir)
	must(t, err)
	logs, indexes := 0, 0
	for _, name := range names {
		path := filepath.Join(testDir, name)
		content := contentOf(t, disk, path)
		for at := range content {
			bit := int64(at)*8 + int64(rand.IntN(8))
			must(t, disk.FlipBit(path, bit))
			done, err := l.Scrub(atOnce)
			if strings.HasSuffix(name, indexSuffix) {
				indexes++
				if err != nil || done.Indexes != 1 || !bytes.Equal(contentOf(t, disk, path), content) {
					t.Fatalf("%s, byte %d: %+v, %v", name, at, done, err)
				}
				continue
			}
			logs++
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Fatalf("%s, byte %d of %d: %v, want %v and the file's name", name, at, len(content), err, ErrCorrupt)
			}
			must(t, disk.FlipBit(path, bit))
		}
	}
	if logs < 3000 || indexes < 200 {
		t.Errorf("%d bytes of logs, %d of indexes: little is tested", logs, indexes)
	}
	if !l.Dirty() {
		t.Error("no sync is due for an index that was made anew")
	}
}

// TestScrubReadsLittleOfADamagedLength: it is not made to read, and keep, the rest
// of a file.
func TestScrubReadsLittleOfADamagedLength(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	o := small(disk)
	o.SegmentBytes = 1 << 30
	l := mustOpen(t, o)
	for range 40 {
		must(t, l.Append(batch(l.EndOffset(), 1, 1, 200<<10)))
	}
	must(t, l.Append(batch(l.EndOffset(), 1, 4, 2*scrubBytes)))
	must(t, l.Append(batch(l.EndOffset(), 1, 4, 3*scrubBytes)))
	checkpoint(t, l)
	if _, err := l.Scrub(atOnce); err != nil {
		t.Errorf("large batches: %v", err)
	}
	must(t, disk.FlipBit(l.files.live[0].logPath(testDir), 8*9+6)) // 4 MiB longer
	largest := int64(0)
	_, err := l.Scrub(func(n int64) error { largest = max(largest, n); return nil })
	if !errors.Is(err, ErrCorrupt) || largest > 1<<20 {
		t.Errorf("%v, and read %d bytes at once", err, largest)
	}
}

func TestScrubFindsFilesThatAreGone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		harm func(fsys *vfs.Mem, path string) error
		bad  bool
	}{
		{name: "segment removed", bad: true, harm: func(fsys *vfs.Mem, path string) error { return fsys.Remove(path + logSuffix) }},
		{name: "segment cut", bad: true, harm: func(fsys *vfs.Mem, path string) error { return cutFile(fsys, path+logSuffix, 400) }},
		{name: "segment cut between batches", bad: true, harm: func(fsys *vfs.Mem, path string) error { return cutFile(fsys, path+logSuffix, 0) }},
		{name: "index removed", harm: func(fsys *vfs.Mem, path string) error { return fsys.Remove(path + indexSuffix) }},
		{name: "index cut", harm: func(fsys *vfs.Mem, path string) error { return cutFile(fsys, path+indexSuffix, 40) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			disk := vfs.NewMem()
			l := scrubbed(t, disk)
			must(t, tt.harm(disk, filepath.Join(testDir, l.files.live[1].String())))
			done, err := l.Scrub(atOnce)
			if tt.bad != errors.Is(err, ErrCorrupt) || !tt.bad && done.Indexes != 1 {
				t.Errorf("%+v, %v", done, err)
			}
			if done, err = l.Scrub(atOnce); !tt.bad && (err != nil || done.Indexes > 0) {
				t.Errorf("once more: %+v, %v", done, err)
			}
		})
	}
}

func cutFile(fsys vfs.FS, path string, to int64) error {
	f, err := fsys.OpenWrite(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(to), f.Close())
}

// TestScrubAsksTwice: what only a cable damaged is no damage, and neither is an
// operating system that has no file to spare.
func TestScrubAsksTwice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		rule  vfs.Rule
		bad   bool
		fails bool
	}{
		{name: "one read fails", rule: vfs.Rule{Op: vfs.OpRead, Path: logSuffix, Err: syscall.EIO, Times: 1}},
		{name: "a sector is lost", rule: vfs.Rule{Op: vfs.OpRead, Path: logSuffix, Err: syscall.EIO}, bad: true},
		{name: "too many open files", rule: vfs.Rule{Op: vfs.OpOpen, Path: logSuffix, Err: syscall.EMFILE}, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fault := vfs.NewFault(vfs.NewMem())
			l := scrubbed(t, fault)
			fault.Inject(tt.rule)
			_, err := l.Scrub(atOnce)
			if errors.Is(err, ErrCorrupt) != tt.bad || (err != nil) != (tt.bad || tt.fails) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestScrubStops between two reads when it is told to.
func TestScrubStops(t *testing.T) {
	t.Parallel()
	l := scrubbed(t, vfs.NewMem())
	stop := errors.New("stop")
	for after := range 5 {
		n := 0
		_, err := l.Scrub(func(int64) error {
			if n++; n > after {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) || n != after+1 {
			t.Errorf("after %d reads: %v, and %d more reads", after, err, n-after-1)
		}
	}
}

// TestScrubWhileTheLogChanges: whatever is appended, rolled, cut, reset or deleted
// between two reads is no damage.
func TestScrubWhileTheLogChanges(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for run := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, run))
		disk := vfs.NewMem()
		l := scrubbed(t, disk)
		change := func() {
			switch n := rng.IntN(10); {
			case n < 4:
				fill(t, l, 1+rng.IntN(8), 4)
			case n < 6:
				must(t, l.Flush())
				l.TrimTail(0)
			case n < 7:
				must(t, l.TruncateTo(l.StartOffset()+rng.Int64N(l.EndOffset()-l.StartOffset()+1)))
			case n < 8:
				l.AdvanceStart(l.StartOffset() + rng.Int64N(l.EndOffset()-l.StartOffset()+1))
			case n < 9:
				checkpoint(t, l)
			default:
				if rng.IntN(4) == 0 {
					must(t, l.ResetTo(l.EndOffset()+3))
				}
			}
		}
		for range 10 {
			done, err := l.Scrub(func(int64) error {
				if rng.IntN(3) == 0 {
					change()
				}
				return nil
			})
			if err != nil || done.Indexes > 0 {
				t.Fatalf("seed %d, run %d: %+v, %v", seed, run, done, err)
			}
		}
	}
}

// TestScrubBesideAWriter is for the race detector.
func TestScrubBesideAWriter(t *testing.T) {
	t.Parallel()
	l := scrubbed(t, vfs.NewMem())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 200 {
			fill(t, l, 3, 4)
			must(t, l.Flush())
			if i%10 == 0 {
				l.AdvanceStart(l.EndOffset() - 50)
				checkpoint(t, l)
			}
		}
	})
	for range 20 {
		if done, err := l.Scrub(atOnce); err != nil || done.Indexes > 0 {
			t.Errorf("%+v, %v", done, err)
		}
	}
	wg.Wait()
}
