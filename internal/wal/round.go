package wal

import "slices"

// pageBytes is the size of a page of the kernel's cache. Rounds are padded to
// it: the kernel would have to read the rest of a page that is written in part.
const pageBytes = 4096

// round gathers the frames that go to disk together.
type round struct {
	buf     []byte // frames without durable LSN and CRC
	start   LSN
	entries int
	payload int // bytes that the budget gets back
	sync    bool
	synced  notes // told after the sync
	written notes // told after the write
	small   int   // how many times in a row the buffer was far too large
}

// Shrinking of buffers that a burst has blown up.
const (
	roundKeepBytes   = 1 << 20 // never shrunk below
	roundSmallLimit  = 64      // rounds
	roundSmallFactor = 8
)

func newRound() *round { return &round{synced: newNotes(), written: newNotes()} }

// add appends an entry as a frame of size bytes.
func (r *round) add(e *Entry, lsn LSN, size int) {
	n := len(r.buf)
	if n == 0 {
		r.start = lsn
	}
	r.buf = slices.Grow(r.buf, size+pageBytes)[:n+size] // a page more, for padding
	putFrame(r.buf[n:], e, lsn)
	r.entries++
	r.sync = r.sync || !e.Async
	if e.Notify == nil {
		return
	}
	if e.Async {
		r.written.add(e)
	} else {
		r.synced.add(e)
	}
}

// reset empties the round for its next turn.
func (r *round) reset() {
	if cap(r.buf) > roundKeepBytes && len(r.buf) < cap(r.buf)/roundSmallFactor {
		r.small++
	} else {
		r.small = 0
	}
	r.buf = r.buf[:0]
	if r.small >= roundSmallLimit {
		r.buf, r.small = nil, 0
	}
	r.entries, r.payload, r.sync = 0, 0, false
	r.synced.reset()
	r.written.reset()
}

// notes are the notifications of a round, one for each notifier and generation.
type notes struct {
	list  []note
	index map[noteKey]int
}

type noteKey struct {
	notifier   Notifier
	generation uint64
}

type note struct {
	noteKey
	end int64
}

func newNotes() notes { return notes{index: map[noteKey]int{}} }

func (s *notes) add(e *Entry) {
	key := noteKey{e.Notify, e.Generation}
	if last := len(s.list) - 1; last >= 0 && s.list[last].noteKey == key {
		s.list[last].end = max(s.list[last].end, e.End)
		return
	}
	if i, ok := s.index[key]; ok {
		s.list[i].end = max(s.list[i].end, e.End)
		return
	}
	s.index[key] = len(s.list)
	s.list = append(s.list, note{key, e.End})
}

func (s *notes) reset() {
	clear(s.list)
	s.list = s.list[:0]
	clear(s.index)
}
