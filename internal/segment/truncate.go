package segment

import (
	"errors"
	"fmt"
	"io"
)

// TruncateTo cuts the log so that it ends at offset, or at the start of the
// batch that holds offset, even if the log started within that batch: where it
// ends depends on the batches alone, so that replay comes to the same end
// although moves of the start are not written ahead. It changes no file: the records are gone from the
// log, but stay on disk until a checkpoint no longer needs them. It may read a
// file to find the place.
//
// Errors: ErrOffsetOutOfRange below the start of the log, ErrCorrupt, ErrFailed.
func (l *Log) TruncateTo(offset int64) error {
	for {
		c, err := l.planCut(offset)
		if err != nil || c == nil {
			return err
		}
		if err := l.findCut(c); err != nil {
			return l.fail("truncate", offset, err)
		}
		if c.f != nil && !c.last.known && l.StartOffset() < c.boundary {
			offset = c.boundary // now it is known where the batch before ends
			continue
		}
		if l.applyCut(c) {
			return nil
		}
	}
}

// cut is a place to cut a log at.
type cut struct {
	boundary int64 // start of a batch
	last     lastBatch
	// f is the file that the boundary, or the batch before it, has to be looked
	// up in, nil if memory knows it all.
	f      *file
	known  extent
	within extent
}

// planCut finds the cut as far as memory knows it; nil if there is nothing to
// cut.
func (l *Log) planCut(offset int64) (*cut, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case l.err != nil:
		return nil, l.err
	case offset >= l.span.end:
		return nil, nil
	case offset < l.span.start:
		return nil, l.fail("truncate", offset, fmt.Errorf("log starts at %d: %w", l.span.start, ErrOffsetOutOfRange))
	}
	c := &cut{boundary: offset}
	if l.tail.holds(offset) {
		i := l.tail.find(offset)
		c.boundary = l.tail.batches[i].BaseOffset()
		if i > 0 {
			c.last = lastOf(l.tail.batches[i-1])
			if c.boundary >= l.files.flushed {
				return c, nil
			}
		}
	}
	// The batch before the boundary is in a file, or the boundary is.
	if c.f = l.files.find(c.boundary - 1); c.f != nil {
		c.known = c.f.extent
	}
	return c, nil
}

// findCut looks the boundary up in the file.
func (l *Log) findCut(c *cut) (err error) {
	if c.f == nil {
		return nil
	}
	x, last, err := l.extentUpTo(c.f.fileName, c.known, c.boundary)
	if err != nil {
		return err
	}
	c.within, c.boundary = x, x.end
	c.last = last
	return nil
}

// extentUpTo is the part of a segment that ends at offset at most, and its last
// batch.
func (l *Log) extentUpTo(n fileName, known extent, offset int64) (x extent, last lastBatch, err error) {
	err = l.walk(n, known, func(e indexEntry) bool { return e.offset < offset }, func(s *scanner, from extent) error {
		x, last = from, lastBatch{}
		for {
			b, bytes, err := s.header()
			if errors.Is(err, io.EOF) || err == nil && b.NextOffset() > offset {
				return nil
			}
			if err != nil {
				return err
			}
			last = lastOf(b)
			s.skip(b, bytes)
			x.add(b, bytes, l.o.IndexIntervalBytes)
		}
	})
	return x, last, err
}

// applyCut makes the cut, unless the file has gone meanwhile.
func (l *Log) applyCut(c *cut) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.files
	if c.f != nil && s.find(c.boundary-1) != c.f && c.boundary > c.f.base {
		return false
	}
	if c.boundary <= l.span.start {
		l.empty(c.boundary)
		return true
	}
	l.span.end, l.span.last = c.boundary, c.last
	l.epochs = l.epochs.truncate(c.boundary)
	l.tail.cut(c.boundary)
	l.state.lowest = min(l.state.lowest, c.boundary)
	if c.boundary < max(s.flushed, s.flushing) {
		s.cut(min(c.boundary, s.flushed), c.within)
		l.state.lowest = min(l.state.lowest, s.flushed)
	}
	return true
}

// empty drops everything and lets the log start at an offset. REQUIRES: l.mu is
// held.
func (l *Log) empty(start int64) {
	l.span = span{start: start, end: start}
	l.epochs = nil
	l.tail = tail{}
	l.files.reset(start)
	l.state.lowest = -1
}

// ResetTo empties the log and lets it start at an offset.
func (l *Log) ResetTo(start int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if start < 0 {
		return l.fail("reset", start, ErrOffsetOutOfRange)
	}
	l.empty(start)
	return nil
}

// AdvanceStart moves the start of the log up to offset, at most to its end.
// Files go with the next checkpoint.
func (l *Log) AdvanceStart(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(offset)
}

// advance is AdvanceStart. REQUIRES: l.mu is held.
func (l *Log) advance(offset int64) {
	offset = min(offset, l.span.end)
	if offset <= l.span.start {
		return
	}
	l.span.start = offset
	l.epochs = l.epochs.advance(offset)
	l.files.expire(offset)
}
