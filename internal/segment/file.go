package segment

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

// noTimestamp is the timestamp of records that have none.
const noTimestamp int64 = -1

// fileName names the two files of a segment. Base is the offset of its first
// record; the generation grows whenever records that files hold are cut off.
type fileName struct {
	base       int64
	generation uint32
}

const (
	logSuffix   = ".log"
	indexSuffix = ".index"
)

func (n fileName) String() string { return fmt.Sprintf("%020d-%06d", n.base, n.generation) }

func (n fileName) logPath(dir string) string   { return filepath.Join(dir, n.String()+logSuffix) }
func (n fileName) indexPath(dir string) string { return filepath.Join(dir, n.String()+indexSuffix) }

// parseFileName reads the name of a log file.
func parseFileName(s string) (fileName, bool) {
	stem, ok := strings.CutSuffix(s, logSuffix)
	base, generation, dash := strings.Cut(stem, "-")
	if !ok || !dash {
		return fileName{}, false
	}
	b, err := strconv.ParseInt(base, 10, 64)
	if err != nil {
		return fileName{}, false
	}
	g, err := strconv.ParseUint(generation, 10, 32)
	n := fileName{base: b, generation: uint32(g)}
	return n, err == nil && b >= 0 && n.String() == stem
}

// compare orders names by generation, then by base.
func (n fileName) compare(o fileName) int {
	return cmp.Or(cmp.Compare(n.generation, o.generation), cmp.Compare(n.base, o.base))
}

// extent is how far a segment has been written. Readers look at the published
// one only, so bytes behind it may be anything.
type extent struct {
	end          int64 // offset after the last record
	bytes        int64
	entries      int64 // of the index
	indexed      int64 // position of the last entry
	maxTimestamp int64
}

// file is a segment. The extent and the flags are guarded by Log.mu.
type file struct {
	fileName
	extent
	// dirtyLog and dirtyIndex say what was written since the last sync.
	dirtyLog, dirtyIndex bool
	// cutIn is the generation that began by cutting this file off, wholly or
	// in part; zero if it was not cut.
	cutIn uint32
}

// add accounts for a batch of which at least the header is there, and returns
// an index entry if one is due.
func (x *extent) add(b record.Batch, size, interval int64) (e indexEntry, due bool) {
	if due = x.bytes-x.indexed >= interval; due {
		e = indexEntry{offset: b.BaseOffset(), maxTimestamp: x.maxTimestamp, position: x.bytes}
		x.entries++
		x.indexed = x.bytes
	}
	x.bytes += size
	x.end = b.NextOffset()
	x.maxTimestamp = max(x.maxTimestamp, b.MaxTimestamp())
	return e, due
}

// scanBytes is how much is read at once when only headers are looked at.
const scanBytes = 64 << 10

// scanner walks the batches of a segment front to back.
type scanner struct {
	f      vfs.File
	pos    int64 // of the next batch
	next   int64 // offset that it must start at; negative if that is unknown
	bytes  int64 // the walk ends here
	buf    []byte
	bufPos int64
	chunk  int64                   // bytes read at once
	before func(bytes int64) error // called before each read, if set
}

// header returns the header of the next batch and its size, without moving. The
// header is valid until the next call. It returns io.EOF at the end.
func (s *scanner) header() (record.Batch, int64, error) {
	if s.pos >= s.bytes {
		return nil, 0, io.EOF
	}
	p, err := s.peek(record.HeaderBytes)
	if err != nil {
		return nil, 0, err
	}
	size := headerSize(p)
	if size < record.HeaderBytes || size > s.bytes-s.pos {
		return nil, 0, s.corrupt(fmt.Sprintf("batch of %d bytes, %d are left", size, s.bytes-s.pos))
	}
	b := record.Batch(p)
	if b.NextOffset() <= b.BaseOffset() || s.next >= 0 && b.BaseOffset() != s.next {
		return nil, 0, s.corrupt(fmt.Sprintf("batch [%d, %d), want one from %d", b.BaseOffset(), b.NextOffset(), s.next))
	}
	return b, size, nil
}

// headerSize is the size of a batch by its header.
func headerSize(p []byte) int64 {
	const lengthEnd = 12 // base offset and length itself are not counted
	return lengthEnd + int64(int32(uint32(p[8])<<24|uint32(p[9])<<16|uint32(p[10])<<8|uint32(p[11])))
}

// batch returns the whole next batch, without moving.
func (s *scanner) batch() (record.Batch, error) {
	_, size, err := s.header()
	if err != nil {
		return nil, err
	}
	p, err := s.peek(size)
	if err != nil {
		return nil, err
	}
	b, _, err := record.Next(p)
	if err != nil {
		return nil, s.corrupt(err.Error())
	}
	return b, nil
}

// skip moves behind the batch whose header was returned.
func (s *scanner) skip(b record.Batch, size int64) {
	s.next = b.NextOffset()
	s.pos += size
}

// peek returns n bytes from the position on, which must be there. They are
// valid until the next call.
func (s *scanner) peek(n int64) ([]byte, error) {
	if s.pos+n > s.bytes {
		return nil, s.corrupt(fmt.Sprintf("%d bytes, want %d", s.bytes-s.pos, n))
	}
	if at := s.pos - s.bufPos; at < 0 || at+n > int64(len(s.buf)) {
		size := min(max(n, s.chunk), s.bytes-s.pos)
		if int64(cap(s.buf)) < size {
			s.buf = make([]byte, size)
		}
		s.buf, s.bufPos = s.buf[:size], s.pos
		if s.before != nil {
			if err := s.before(size); err != nil {
				s.buf = s.buf[:0]
				return nil, err
			}
		}
		if _, err := s.f.ReadAt(s.buf, s.pos); err != nil {
			s.buf = s.buf[:0]
			if errors.Is(err, io.EOF) {
				return nil, s.corrupt("file is too short")
			}
			return nil, err
		}
	}
	return s.buf[s.pos-s.bufPos:][:n], nil
}

// buffered is what has been read from the position on.
func (s *scanner) buffered() []byte { return s.buf[s.pos-s.bufPos:] }

func (s *scanner) corrupt(why string) error {
	return fmt.Errorf("%s at position %d: %s: %w", filepath.Base(s.f.Name()), s.pos, why, ErrCorrupt)
}
