package segment

import (
	"errors"
	"fmt"
	"testing"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

// bases lists the base offsets of the batches in chunks.
func bases(t *testing.T, chunks [][]byte) string {
	t.Helper()
	got := []int64{}
	for _, rest := range chunks {
		for len(rest) > 0 {
			var b record.Batch
			var err error
			b, rest, err = record.Next(rest)
			must(t, err)
			got = append(got, b.BaseOffset())
		}
	}
	return fmt.Sprint(got)
}

// TestRead asks the same of batches in memory and in a file.
func TestRead(t *testing.T) {
	t.Parallel()
	size := len(batch(0, 3, 1, 4))
	for _, tc := range []struct {
		name    string
		offset  int64
		bytes   int
		limit   int64
		minOne  bool
		want    string
		wantErr error
	}{
		{name: "from the start", offset: 0, bytes: 2 * size, limit: 30, want: "[0 3]"},
		{name: "a byte short", offset: 0, bytes: 2*size - 1, limit: 30, want: "[0]"},
		{name: "from within a batch", offset: 7, bytes: 2 * size, limit: 30, want: "[6 9]"},
		{name: "up to the limit", offset: 9, bytes: 1 << 20, limit: 15, want: "[9 12]"},
		{name: "limit within a batch", offset: 9, bytes: 1 << 20, limit: 14, want: "[9]"},
		{name: "limit within the first batch", offset: 9, bytes: 1 << 20, limit: 11, minOne: true, want: "[]"},
		{name: "limit behind the end", offset: 27, bytes: 1 << 20, limit: 1 << 40, want: "[27]"},
		{name: "at the limit", offset: 9, bytes: 1 << 20, limit: 9, minOne: true, want: "[]"},
		{name: "above the limit", offset: 12, bytes: 1 << 20, limit: 9, minOne: true, want: "[]"},
		{name: "first batch too large", offset: 0, bytes: size - 1, limit: 30, want: "[]"},
		{name: "first batch too large, but one", offset: 0, bytes: size - 1, limit: 30, minOne: true, want: "[0]"},
		{name: "no bytes", offset: 0, bytes: 0, limit: 30, want: "[]"},
		{name: "no bytes, but one", offset: 0, bytes: 0, limit: 30, minOne: true, want: "[0]"},
		{name: "at the end", offset: 30, bytes: 1 << 20, limit: 30, minOne: true, want: "[]"},
		{name: "behind the end", offset: 31, bytes: 1 << 20, limit: 40, wantErr: ErrOffsetOutOfRange, want: "[]"},
		{name: "before the start", offset: -1, bytes: 1 << 20, limit: 30, wantErr: ErrOffsetOutOfRange, want: "[]"},
	} {
		for _, inMemory := range []bool{true, false} {
			l := mustOpen(t, Options{FS: vfs.NewMem(), Dir: testDir, IndexIntervalBytes: 250})
			fill(t, l, 10, 1)
			must(t, l.Flush())
			if !inMemory {
				l.TrimTail(0)
			}
			chunks, err := l.Read(tc.offset, tc.bytes, tc.limit, tc.minOne)
			if got := bases(t, chunks); got != tc.want || !errors.Is(err, tc.wantErr) {
				t.Errorf("%s, in memory %v: %s, %v; want %s, %v", tc.name, inMemory, got, err, tc.want, tc.wantErr)
			}
		}
	}
}

// TestReadFromMemoryDoesNoIO breaks the disk for reading.
func TestReadFromMemoryDoesNoIO(t *testing.T) {
	t.Parallel()
	fault := vfs.NewFault(vfs.NewMem())
	l := mustOpen(t, small(fault))
	fill(t, l, 50, 1)
	must(t, l.Flush())
	l.TrimTail(500)
	fill(t, l, 2, 1)
	for _, op := range []vfs.Op{vfs.OpOpen, vfs.OpRead} {
		fault.Inject(vfs.Rule{Op: op, Err: errors.New("disk was touched")})
	}
	if _, err := l.Read(l.EndOffset()-3, 1000, l.EndOffset(), true); err != nil {
		t.Errorf("recent batch: %v", err)
	}
	if _, _, _, err := l.Preceding(l.EndOffset() - 3); err != nil {
		t.Errorf("recent epoch: %v", err)
	}
	must(t, l.TruncateTo(l.EndOffset()-3))
	if _, err := l.Read(0, 1000, l.EndOffset(), true); err == nil {
		t.Error("old batch was read without a disk")
	}
}

// TestReadDamaged finds damage of headers on the way, and gives up rather than
// serve something else.
func TestReadDamaged(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := mustOpen(t, Options{FS: disk, Dir: testDir, IndexIntervalBytes: 250})
	fill(t, l, 10, 1)
	must(t, l.Flush())
	l.TrimTail(0)
	size := int64(len(batch(0, 3, 1, 4)))
	name := fileName{}.logPath(testDir)
	must(t, disk.FlipBit(name, (3*size+1)*8)) // base offset of the fourth batch
	chunks, err := l.Read(3, 1<<20, 30, true)
	if got := bases(t, chunks); got != "[3 6]" || err != nil {
		t.Errorf("read up to the damage: %s, %v", got, err)
	}
	for _, offset := range []int64{9, 12} {
		if _, err := l.Read(offset, 1<<20, 30, true); !errors.Is(err, ErrCorrupt) {
			t.Errorf("read from %d: %v, want ErrCorrupt", offset, err)
		}
	}
}

// TestLargeReadsAreBounded asks for more than a call may take from a file.
func TestLargeReadsAreBounded(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, Options{FS: vfs.NewMem(), Dir: testDir})
	for l.SizeBytes() < 2*maxReadBytes {
		must(t, l.Append(batch(l.EndOffset(), 1, 1, 1<<20)))
	}
	must(t, l.Flush())
	l.TrimTail(0)
	chunks, err := l.Read(0, 1<<30, l.EndOffset(), true)
	must(t, err)
	if n := len(chunks[0]); n > maxReadBytes || n < maxReadBytes/2 {
		t.Errorf("read %d bytes, want up to %d", n, maxReadBytes)
	}
}
