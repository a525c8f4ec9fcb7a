package segment

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

// TestRetain applies retention to four segments of 48 records each, which end
// at 48, 96, 144 and 180; the record at offset n has the timestamp 10 n.
func TestRetain(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli
	for _, tc := range []struct {
		name        string
		now         time.Time
		keep        Retention
		below       int64
		wantDeleted int
		wantStart   int64
		wantErr     error
	}{
		{name: "everything", now: at(1e9), below: 180},
		{name: "by time, all young", now: at(1000), keep: Retention{Time: time.Second}, below: 180},
		{name: "by time, youngest record just young enough", now: at(1470), keep: Retention{Time: time.Second}, below: 180},
		{name: "by time, one", now: at(1471), keep: Retention{Time: time.Second}, below: 180, wantDeleted: 1, wantStart: 48},
		{name: "by time, but for the limit", now: at(1e9), keep: Retention{Time: time.Second}, below: 100, wantDeleted: 2, wantStart: 96},
		{name: "by time, the active one too", now: at(1e9), keep: Retention{Time: time.Second}, below: 180, wantDeleted: 4, wantStart: 180},
		{name: "clock jumped", now: at(1e9), keep: Retention{Time: time.Second, Limit: 3}, below: 180, wantErr: ErrClockJump},
		{name: "clock within the limit", now: at(1e9), keep: Retention{Time: time.Second, Limit: 4}, below: 180, wantDeleted: 4, wantStart: 180},
		{name: "by size, exactly", keep: Retention{Bytes: 180 / 3 * 94}, below: 180},
		{name: "by size, one segment more", keep: Retention{Bytes: (180 - 48) / 3 * 94}, below: 180, wantDeleted: 1, wantStart: 48},
		{name: "by size, but for the limit", keep: Retention{Bytes: 1}, below: 47},
		{name: "by size, never the active one", keep: Retention{Bytes: 1}, below: 180, wantDeleted: 3, wantStart: 144},
		{name: "clock jumped, but by size", now: at(1e9), keep: Retention{Time: time.Second, Bytes: 1, Limit: 1}, below: 180, wantErr: ErrClockJump},
	} {
		l := mustOpen(t, small(vfs.NewMem()))
		fill(t, l, 60, 1)
		must(t, l.Flush())
		if n := len(batch(0, 3, 1, 4)); n != 94 || len(l.Segments()) != 4 {
			t.Fatalf("batches of %d bytes in %d segments, want 94 in 4", n, len(l.Segments()))
		}
		deleted, err := l.Retain(tc.now, tc.keep, tc.below)
		if deleted != tc.wantDeleted || l.StartOffset() != tc.wantStart || !errors.Is(err, tc.wantErr) {
			t.Errorf("%s: deleted %d, start %d, %v; want %d, %d, %v", tc.name, deleted, l.StartOffset(), err, tc.wantDeleted, tc.wantStart, tc.wantErr)
		}
		fill(t, l, 3, 2)
		checkpoint(t, l)
		if _, err := readAll(l); err != nil {
			t.Errorf("%s: read: %v", tc.name, err)
		}
	}
}

// TestRetainWithoutTimestamps keeps what has no age.
func TestRetainWithoutTimestamps(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, small(vfs.NewMem()))
	for l.EndOffset() < 100 {
		must(t, l.Append(record.NewBuilder(l.EndOffset()).Append(nil, []byte("value"), nil, noTimestamp).Bytes()))
	}
	must(t, l.Flush())
	if n, err := l.Retain(time.UnixMilli(1e12), Retention{Time: time.Hour}, 1000); n != 0 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, small(vfs.NewMem()))
	fill(t, l, 60, 1)
	must(t, l.Flush())
	fill(t, l, 10, 1)
	if got := l.SizeBytes(); got != 70*94 {
		t.Errorf("size %d, want %d", got, 70*94)
	}
	if got := l.Unflushed(); got != 10*94 {
		t.Errorf("unflushed %d, want %d", got, 10*94)
	}
	for _, tc := range []struct{ from, to, want int64 }{
		{from: 0, to: 210, want: 70 * 94},
		{from: 0, to: 48, want: 16 * 94},
		{from: 24, to: 72, want: 16 * 94},
		{from: 180, to: 210, want: 10 * 94},
		{from: 174, to: 183, want: 3 * 94},
		{from: 207, to: 1000, want: 94},
		{from: 210, to: 210, want: 0},
		{from: 100, to: 50, want: 0},
	} {
		if got := l.BytesBetween(tc.from, tc.to); got != tc.want {
			t.Errorf("bytes between %d and %d: %d, want %d", tc.from, tc.to, got, tc.want)
		}
	}
	l.TrimTail(0)
	if got := l.TailBytes(); got != 10*94 {
		t.Errorf("tail of %d bytes, want the unflushed %d", got, 10*94)
	}
	must(t, l.Flush())
	l.TrimTail(300)
	if got := l.TailBytes(); got != 3*94 {
		t.Errorf("tail of %d bytes, want %d", got, 3*94)
	}
}

// TestSetSegmentBytes changes the size of segments while a log is open.
func TestSetSegmentBytes(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, small(vfs.NewMem()))
	fill(t, l, 10, 1)
	must(t, l.Flush())
	for _, n := range []int64{200, 0, -1, 1 << 40} {
		l.SetSegmentBytes(n)
	}
	fill(t, l, 6, 1)
	must(t, l.Flush())
	bases := []int64{}
	for _, s := range l.Segments() {
		bases = append(bases, s.Base)
	}
	if got := fmt.Sprint(bases); got != "[0 30 39]" {
		t.Errorf("segments start at %s, want the old one sealed and three batches in each new one", got)
	}
}
