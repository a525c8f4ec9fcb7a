package segment

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

// maxReadBytes bounds what one call of Read brings from a file, whatever a
// client asks for.
const maxReadBytes = 8 << 20

// Read returns whole batches, from the one that holds offset up to those that
// end at limit at most, of maxBytes in all; with minOne the first one may
// exceed maxBytes. It returns nothing at the end of the log and at limit. Recent
// batches come from memory, older ones from a file, and a call does not go
// beyond the end of either. The bytes are shared: do not change them.
//
// Errors: ErrOffsetOutOfRange, ErrCorrupt, and those of the file system.
func (l *Log) Read(offset int64, maxBytes int, limit int64, minOne bool) ([][]byte, error) {
	q := query{offset: offset, limit: limit, bytes: int64(max(maxBytes, 0)), minOne: minOne}
	for {
		recent, f, err := l.lookUp(&q)
		if err != nil || f == nil {
			return recent, err
		}
		chunk, err := l.readFile(f, q)
		if err == nil {
			if len(chunk) == 0 {
				return nil, nil
			}
			return [][]byte{chunk}, nil
		}
		if !vfs.IsNotExist(err) || l.holds(f) {
			return nil, l.fail("read", offset, err)
		}
		// Retention or a truncation was faster, and the file is gone.
	}
}

// query is what a Read is asked for.
type query struct {
	offset, limit, bytes int64
	minOne               bool
}

// holding is a segment as it was when it was looked up.
type holding struct {
	fileName
	extent
	epochs epochs // of the log, where the batches are to be checked
}

// lookUp finds the batches in memory, or else the file that holds the offset.
// There is neither at the end of the log.
func (l *Log) lookUp(q *query) (recent [][]byte, f *holding, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if q.offset < l.span.start || q.offset > l.span.end {
		return nil, nil, l.fail("read", q.offset, fmt.Errorf("log spans [%d, %d): %w", l.span.start, l.span.end, ErrOffsetOutOfRange))
	}
	q.limit = min(q.limit, l.span.end)
	if q.offset >= q.limit || q.bytes == 0 && !q.minOne {
		return nil, nil, nil
	}
	if l.tail.holds(q.offset) {
		return q.choose(l.tail.batches[l.tail.find(q.offset):]), nil, nil
	}
	found := l.files.find(q.offset)
	if found == nil {
		return nil, nil, l.fail("read", q.offset, fmt.Errorf("no file holds it: %w", ErrCorrupt))
	}
	return nil, &holding{fileName: found.fileName, extent: found.extent, epochs: slices.Clone(l.epochs)}, nil
}

// holds reports whether a file is still part of the log.
func (l *Log) holds(f *holding) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, live := range l.files.live {
		if live.fileName == f.fileName {
			return true
		}
	}
	return false
}

// choose takes the first of the batches, as many as the query allows.
func (q *query) choose(batches []record.Batch) [][]byte {
	n, left := 0, q.bytes
	for n < len(batches) && batches[n].NextOffset() <= q.limit {
		left -= int64(len(batches[n]))
		if left < 0 && (n > 0 || !q.minOne) {
			break
		}
		n++
	}
	if n == 0 {
		return nil
	}
	chosen := make([][]byte, n)
	for i, b := range batches[:n] {
		chosen[i] = b
	}
	return chosen
}

// readFile is choose for batches in a file: they are one piece of memory.
func (l *Log) readFile(f *holding, q query) (chunk []byte, err error) {
	err = l.walk(f.fileName, f.extent, func(e indexEntry) bool { return e.offset <= q.offset }, func(s *scanner, _ extent) error {
		s.chunk = min(q.bytes+l.o.IndexIntervalBytes, maxReadBytes)
		for {
			b, size, err := s.header()
			if err != nil {
				return err
			}
			if b.NextOffset() > q.offset {
				break
			}
			s.skip(b, size)
		}
		chunk, err = q.chooseFrom(s, f.epochs)
		return err
	})
	return chunk, err
}

// chooseFrom returns the batches from where the scanner is: what has been read
// along with the first of them, not more. All of them are checked: a damaged
// batch is neither served nor replicated.
func (q *query) chooseFrom(s *scanner, v epochs) ([]byte, error) {
	_, size, err := s.header()
	if err != nil || size > q.bytes && !q.minOne {
		return nil, err
	}
	p, err := s.peek(size)
	if err != nil {
		return nil, err
	}
	b := record.Batch(p[:size:size])
	if err := v.check(b); err != nil { // before its offsets are believed
		return nil, s.corrupt(err.Error())
	}
	if b.NextOffset() > q.limit {
		return nil, nil
	}
	p = s.buffered()
	return p[:q.fitting(p, v)], nil
}

// fitting is how many of the bytes are whole batches that the query allows.
// What follows may be cut short, or damaged: the next read will tell.
func (q *query) fitting(p []byte, v epochs) int {
	n, next := 0, record.Batch(p).BaseOffset()
	for n < len(p) {
		b, _, err := record.Next(p[n:])
		if err != nil || b.BaseOffset() != next || b.NextOffset() > q.limit || n > 0 && int64(n+len(b)) > q.bytes {
			return n
		}
		if n > 0 && v.check(b) != nil {
			return n
		}
		n, next = n+len(b), b.NextOffset()
	}
	return n
}

// walk runs fn over the batches of a segment, from the last one that the index
// knows for which below is true. If the index leads astray, fn runs once more
// from the first batch on.
func (l *Log) walk(n fileName, known extent, below func(indexEntry) bool, fn func(s *scanner, from extent) error) (err error) {
	f, err := l.o.FS.Open(n.logPath(l.o.Dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	x, err := openIndex(l.o.FS, n, l.o.Dir)
	if err != nil {
		return err
	}
	from, err := x.extentBelow(n, known.entries, below)
	if err := errors.Join(err, x.close()); err != nil {
		return err
	}
	for {
		s := &scanner{f: f, pos: from.bytes, next: from.end, bytes: known.bytes, chunk: scanBytes}
		err := fn(s, from)
		if errors.Is(err, io.EOF) {
			err = s.corrupt("the log ends early")
		}
		if !errors.Is(err, ErrCorrupt) || from.entries == 0 {
			return err
		}
		from = emptyExtent(n)
	}
}

// Preceding is Last for the batch that ends at offset; ok is false if the log
// does not hold it.
func (l *Log) Preceding(offset int64) (epoch cluster.Epoch, crc uint32, ok bool, err error) {
	b, f := l.precedingInMemory(offset)
	if f != nil {
		var x extent
		if x, b, err = l.extentUpTo(f.fileName, f.extent, offset); err != nil {
			if vfs.IsNotExist(err) && !l.holds(f) {
				return cluster.NoEpoch, 0, false, nil
			}
			return cluster.NoEpoch, 0, false, l.fail("read", offset, err)
		}
		b.known = b.known && x.end == offset
	}
	return b.epoch, b.crc, b.known, nil
}

// precedingInMemory finds the batch before offset, or the file that holds it.
func (l *Log) precedingInMemory(offset int64) (lastBatch, *holding) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case offset == l.span.end:
		return l.span.last, nil
	case offset <= l.span.start || offset > l.span.end:
		return lastBatch{}, nil
	case l.tail.holds(offset - 1):
		b := l.tail.batches[l.tail.find(offset-1)]
		if b.NextOffset() != offset {
			return lastBatch{}, nil
		}
		return lastOf(b), nil
	}
	f := l.files.find(offset - 1)
	if f == nil {
		return lastBatch{}, nil
	}
	return lastBatch{}, &holding{fileName: f.fileName, extent: f.extent}
}
