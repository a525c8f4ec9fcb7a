package segment

import (
	"testing"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

// timed makes a log of batches whose records have the given timestamps.
func timed(t *testing.T, batches ...[]int64) *Log {
	t.Helper()
	l := mustOpen(t, Options{FS: vfs.NewMem(), Dir: testDir, SegmentBytes: 400, IndexIntervalBytes: 150})
	for _, times := range batches {
		b := record.NewBuilder(l.EndOffset())
		for _, ms := range times {
			b.Append(nil, []byte("value"), nil, ms)
		}
		p := b.Bytes()
		p.Stamp(l.EndOffset(), 3)
		must(t, l.Append(p))
	}
	return l
}

func TestOffsetForTimestamp(t *testing.T) {
	t.Parallel()
	// Offsets:            0   1    2    3    4   5    6    7    8    9
	batches := [][]int64{{10, 20}, {30}, {25, 50}, {5}, {40}, {60}, {60}, {7}}
	for _, tc := range []struct {
		name       string
		millis     int64
		start      int64
		limit      int64
		wantOffset int64
		wantMillis int64
		wantNone   bool
	}{
		{name: "first", millis: 0, limit: 10, wantOffset: 0, wantMillis: 10},
		{name: "exact", millis: 20, limit: 10, wantOffset: 1, wantMillis: 20},
		{name: "between", millis: 21, limit: 10, wantOffset: 2, wantMillis: 30},
		{name: "within a batch", millis: 31, limit: 10, wantOffset: 4, wantMillis: 50},
		{name: "above the limit", millis: 51, limit: 7, wantNone: true},
		{name: "limit within a batch", millis: 31, limit: 4, wantNone: true},
		{name: "first of equal ones", millis: 60, limit: 10, wantOffset: 7, wantMillis: 60},
		{name: "later than all", millis: 61, limit: 10, wantNone: true},
		{name: "behind the start", millis: 0, start: 1, limit: 10, wantOffset: 1, wantMillis: 20},
		{name: "start within the batch", millis: 31, start: 5, limit: 10, wantOffset: 6, wantMillis: 40},
	} {
		for _, flushed := range []int{0, 5, 10} {
			l := timed(t, batches[:min(flushed, len(batches))]...)
			must(t, l.Flush())
			l.TrimTail(0)
			rest := timed(t, batches...)
			for _, b := range rest.tail.batches[min(flushed, len(batches)):] {
				must(t, l.Append(b))
			}
			l.AdvanceStart(tc.start)
			got, ok, err := l.OffsetForTimestamp(tc.millis, tc.limit)
			want := TimestampOffset{Offset: tc.wantOffset, TimestampMillis: tc.wantMillis, Epoch: 3}
			if err != nil || ok == tc.wantNone || ok && got != want {
				t.Errorf("%s, %d batches flushed: %+v, %v, %v; want %+v", tc.name, flushed, got, ok, err, want)
			}
		}
	}
}

func TestMaxTimestamp(t *testing.T) {
	t.Parallel()
	batches := [][]int64{{10, 20}, {30}, {25, 50}, {5}, {40}, {60}, {60}, {7}}
	for _, tc := range []struct {
		limit, wantOffset, wantMillis int64
	}{
		{limit: 10, wantOffset: 7, wantMillis: 60},
		{limit: 7, wantOffset: 4, wantMillis: 50},
		{limit: 4, wantOffset: 2, wantMillis: 30},
		{limit: 2, wantOffset: 1, wantMillis: 20},
	} {
		for _, flush := range []bool{false, true} {
			l := timed(t, batches...)
			if flush {
				must(t, l.Flush())
				l.TrimTail(0)
			}
			got, ok, err := l.MaxTimestamp(tc.limit)
			if err != nil || !ok || got.Offset != tc.wantOffset || got.TimestampMillis != tc.wantMillis {
				t.Errorf("below %d, flushed %v: %+v, %v, %v; want %d at %d", tc.limit, flush, got, ok, err, tc.wantMillis, tc.wantOffset)
			}
		}
	}
	if _, ok, err := timed(t).MaxTimestamp(10); ok || err != nil {
		t.Errorf("empty log: %v, %v", ok, err)
	}
}

// TestTimestampInCompressedBatch settles for the start of the batch.
func TestTimestampInCompressedBatch(t *testing.T) {
	t.Parallel()
	l := timed(t, []int64{10, 20})
	p := batch(2, 3, 3, 4) // timestamps 20, 30, 40
	p[22] |= 1             // gzip, it says
	must(t, l.Append(p))
	got, ok, err := l.OffsetForTimestamp(35, 5)
	if want := (TimestampOffset{Offset: 2, TimestampMillis: 20, Epoch: 3}); got != want || !ok || err != nil {
		t.Errorf("%+v, %v, %v; want %+v", got, ok, err, want)
	}
}

// TestIndexIsSynced leaves an index behind that agrees with the log in all but
// the timestamps, and loses power after the next life has made a checkpoint.
func TestIndexIsSynced(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	o := Options{FS: disk, Dir: testDir, IndexIntervalBytes: 150}
	l := mustOpen(t, o)
	add := func(l *Log, millis int64) {
		p := record.NewBuilder(l.EndOffset()).Append(nil, []byte("value"), nil, millis).Bytes()
		p.Stamp(l.EndOffset(), 1)
		must(t, l.Append(p))
	}
	add(l, 0)
	o.Mark = checkpoint(t, l)
	for range 20 {
		add(l, 0)
	}
	must(t, l.Flush())

	disk = disk.Crash(vfs.Loss{KeepBytes: 1 << 20})
	o.FS = disk
	l = mustOpen(t, o)
	for i := range int64(20) {
		add(l, 100*(i+1))
	}
	o.Mark = checkpoint(t, l)

	o.FS = disk.Crash(vfs.Loss{})
	got, ok, err := mustOpen(t, o).OffsetForTimestamp(300, 21)
	if want := (TimestampOffset{Offset: 3, TimestampMillis: 300, Epoch: 1}); got != want || !ok || err != nil {
		t.Errorf("%+v, %v, %v; want %+v", got, ok, err, want)
	}
}
