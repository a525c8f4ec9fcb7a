package segment

import (
	"errors"
	"testing"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	join := func(bs ...record.Batch) []byte {
		var p []byte
		for _, b := range bs {
			p = append(p, b...)
		}
		return p
	}
	for _, tc := range []struct {
		name    string
		p       []byte
		wantErr error
		wantEnd int64
	}{
		{name: "nothing", p: nil, wantEnd: 6},
		{name: "one", p: batch(6, 2, 3, 1), wantEnd: 8},
		{name: "two of two epochs", p: join(batch(6, 2, 3, 1), batch(8, 1, 4, 1)), wantEnd: 9},
		{name: "gap", p: batch(7, 1, 3, 1), wantErr: ErrGap, wantEnd: 6},
		{name: "overlap", p: batch(5, 2, 3, 1), wantErr: ErrGap, wantEnd: 6},
		{name: "gap within", p: join(batch(6, 2, 3, 1), batch(9, 1, 3, 1)), wantErr: ErrGap, wantEnd: 6},
		{name: "older epoch", p: batch(6, 1, 2, 1), wantErr: ErrEpochOrder, wantEnd: 6},
		{name: "older epoch within", p: join(batch(6, 2, 4, 1), batch(8, 1, 3, 1)), wantErr: ErrEpochOrder, wantEnd: 6},
		{name: "cut short", p: batch(6, 2, 3, 9)[:70], wantErr: record.ErrShort, wantEnd: 6},
	} {
		l := mustOpen(t, small(vfs.NewMem()))
		fill(t, l, 2, 3)
		err := l.Append(tc.p)
		if !errors.Is(err, tc.wantErr) || l.EndOffset() != tc.wantEnd {
			t.Errorf("%s: %v, end %d; want %v, %d", tc.name, err, l.EndOffset(), tc.wantErr, tc.wantEnd)
		}
		var where *Error
		if err != nil && (!errors.As(err, &where) || where.Op != "append" || where.Path != testDir) {
			t.Errorf("%s: %v does not say where", tc.name, err)
		}
	}
}

// TestStartWithinBatch resets a log to an offset in the middle of a batch, as
// a follower of a leader does whose records were deleted up to there (K11).
func TestStartWithinBatch(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := mustOpen(t, small(disk))
	must(t, l.ResetTo(105))
	if err := l.Append(batch(100, 5, 1, 1)); !errors.Is(err, ErrGap) {
		t.Errorf("batch that ends at the start: %v, want ErrGap", err)
	}
	must(t, l.Append(batch(100, 10, 1, 1)))
	if err := l.Append(batch(100, 20, 1, 1)); !errors.Is(err, ErrGap) {
		t.Errorf("second batch that overlaps: %v, want ErrGap", err)
	}
	m := checkpoint(t, l)
	l.TrimTail(0)
	for _, l := range []*Log{l, mustOpen(t, small(disk.Crash(vfs.Loss{})).at(m))} {
		chunks, err := l.Read(105, 1000, 110, true)
		if err != nil || len(chunks) != 1 || record.Batch(chunks[0]).BaseOffset() != 100 {
			t.Errorf("read: %v, %v", chunks, err)
		}
		if _, err := l.Read(104, 1000, 110, true); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Errorf("read before the start: %v", err)
		}
	}
}

func TestTruncateRefuses(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, small(vfs.NewMem()))
	fill(t, l, 4, 1)
	l.AdvanceStart(5)
	if err := l.TruncateTo(4); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("below the start: %v", err)
	}
	must(t, l.TruncateTo(12))
	must(t, l.TruncateTo(100))
	if l.EndOffset() != 12 {
		t.Errorf("end %d, want 12", l.EndOffset())
	}
	if err := l.ResetTo(-1); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("negative start: %v", err)
	}
}

// TestClose refuses writes afterwards, and Delete leaves nothing.
func TestClose(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := mustOpen(t, small(disk))
	fill(t, l, 30, 1)
	must(t, l.Flush())
	l.TrimTail(0)
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Append(batch(l.EndOffset(), 1, 1, 1)); err == nil {
		t.Error("append after close succeeded")
	}
	if err := l.TruncateTo(3); err == nil {
		t.Error("truncation after close succeeded")
	}
	if _, err := readAll(l); err != nil {
		t.Errorf("read after close: %v", err)
	}
	must(t, l.Delete())
	if _, _, err := disk.Stat(testDir); !vfs.IsNotExist(err) {
		t.Errorf("directory after delete: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	for _, tc := range []struct {
		name string
		o    Options
	}{
		{name: "no file system", o: Options{Dir: testDir}},
		{name: "no directory", o: Options{FS: disk}},
		{name: "segments too large", o: Options{FS: disk, Dir: testDir, SegmentBytes: 1 << 31}},
		{name: "negative index interval", o: Options{FS: disk, Dir: testDir, IndexIntervalBytes: -1}},
		{name: "mark that ends before it starts", o: Options{FS: disk, Dir: testDir, Mark: Mark{Start: 2, End: 1}}},
		{name: "mark with an epoch behind its end", o: Options{FS: disk, Dir: testDir, Mark: Mark{Epochs: []EpochStart{{1, 1}}}}},
	} {
		if _, err := Open(tc.o); err == nil {
			t.Errorf("%s: opened", tc.name)
		}
	}
}
