package segment

import (
	"errors"
	"io"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

// TimestampOffset is a record found by time.
type TimestampOffset struct {
	Offset          int64
	TimestampMillis int64
	Epoch           cluster.Epoch
}

// OffsetForTimestamp finds the first record below limit whose timestamp is at
// least millis. In a compressed batch it settles for the first record: a reader
// that starts there misses nothing.
func (l *Log) OffsetForTimestamp(millis, limit int64) (TimestampOffset, bool, error) {
	start, files, recent := l.snapshot(limit)
	w := window{millis: millis, start: start, limit: limit}
	for _, f := range files {
		if f.maxTimestamp < millis {
			continue
		}
		found, ok, err := l.findInFile(f, w)
		if vfs.IsNotExist(err) && !l.holds(&f) {
			continue // has expired meanwhile
		}
		if err != nil {
			return TimestampOffset{}, false, l.fail("find timestamp", f.base, err)
		}
		if ok {
			return found, true, nil
		}
	}
	for _, b := range recent {
		if found, ok := w.find(b); ok {
			return found, true, nil
		}
	}
	return TimestampOffset{}, false, nil
}

// MaxTimestamp finds the first record below limit with the largest timestamp.
func (l *Log) MaxTimestamp(limit int64) (TimestampOffset, bool, error) {
	_, files, recent := l.snapshot(limit)
	latest := noTimestamp
	for _, f := range files {
		if f.end > limit {
			// Only a part of the file counts.
			x, _, err := l.extentUpTo(f.fileName, f.extent, limit)
			if err != nil {
				return TimestampOffset{}, false, l.fail("find timestamp", f.base, err)
			}
			f.extent = x
		}
		latest = max(latest, f.maxTimestamp)
	}
	for _, b := range recent {
		if b.NextOffset() <= limit {
			latest = max(latest, b.MaxTimestamp())
		}
	}
	if latest < 0 {
		return TimestampOffset{}, false, nil
	}
	return l.OffsetForTimestamp(latest, limit)
}

// snapshot lists where the records below limit are: in files, and behind those
// in memory.
func (l *Log) snapshot(limit int64) (start int64, files []holding, recent []record.Batch) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, f := range l.files.live {
		if f.base < limit {
			files = append(files, holding{fileName: f.fileName, extent: f.extent})
		}
	}
	recent = slices.Clone(l.tail.batches[l.tail.find(l.files.flushed):])
	n := 0
	for n < len(recent) && recent[n].BaseOffset() < limit {
		n++
	}
	return l.span.start, files, recent[:n]
}

// findInFile is window.find over the batches of a file.
func (l *Log) findInFile(f holding, w window) (found TimestampOffset, ok bool, err error) {
	err = l.walk(f.fileName, f.extent, func(e indexEntry) bool { return e.maxTimestamp < w.millis }, func(s *scanner, _ extent) error {
		for {
			b, size, err := s.header()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if w.mayHold(b) {
				if b, err = s.batch(); err != nil {
					return err
				}
				if found, ok = w.find(b); ok {
					return nil
				}
			}
			s.skip(b, size)
		}
	})
	return found, ok, err
}

// window is what a lookup by time looks for: records of that time or later,
// within the offsets.
type window struct {
	millis       int64
	start, limit int64
}

// mayHold judges a batch by its header.
func (w window) mayHold(b record.Batch) bool {
	return b.MaxTimestamp() >= w.millis && b.NextOffset() > w.start && b.BaseOffset() < w.limit
}

// errFound ends the iteration over records.
var errFound = errors.New("found")

// find looks for the first record in a batch.
func (w window) find(b record.Batch) (TimestampOffset, bool) {
	if !w.mayHold(b) {
		return TimestampOffset{}, false
	}
	found := TimestampOffset{
		Offset: max(b.BaseOffset(), w.start), TimestampMillis: b.FirstTimestamp(), Epoch: cluster.Epoch(b.LeaderEpoch()),
	}
	err := b.Each(func(r record.Record) error {
		if r.Timestamp < w.millis || r.Offset < w.start {
			return nil
		}
		found.Offset, found.TimestampMillis = r.Offset, r.Timestamp
		return errFound
	})
	// Compressed or unreadable records leave the beginning of the batch.
	return found, err != nil && found.Offset < w.limit
}
