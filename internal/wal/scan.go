package wal

import (
	"errors"
	"hash/crc32"
	"slices"

	"github.com/chronik-project/chronik/internal/vfs"
)

// Scan reads the log in a directory from a position on, calls fn with every
// frame, and says how the log ends. It changes nothing, so tools can use it on
// a copy, or on the log of a stopped broker.
func Scan(fsys vfs.FS, dir string, from LSN, fn func(Frame) error) (ReplayResult, error) {
	files, _, err := listFiles(fsys, dir)
	if err != nil {
		return ReplayResult{}, err
	}
	witness, _, err := readWitness(fsys, dir)
	if err != nil {
		return ReplayResult{}, err
	}
	s := scanner{fs: fsys, files: files, fn: fn, witness: witness}
	err = s.run(from)
	return s.result(), err
}

// scanner walks the frames of a log and judges its end.
type scanner struct {
	fs    vfs.FS
	files []fileInfo // by sequence
	fn    func(Frame) error
	// witness is how much of the log has been on disk at least.
	witness LSN

	at      int // index of the file that the walk is in, -1 for none
	end     LSN // where the next frame is expected
	durable LSN // everything below was synced once, as frames and headers prove
	frames  int // valid frames seen in the current file
	closed  bool
	torn    int64
	corrupt bool
}

func (s *scanner) result() ReplayResult {
	r := ReplayResult{End: s.end, TornBytes: s.torn, Corrupt: s.corrupt}
	if s.corrupt {
		r.CorruptAt = s.end
	}
	return r
}

// run walks from a position to the end of the log. The position was durable
// when it was chosen.
func (s *scanner) run(from LSN) error {
	err := s.find(from)
	s.corrupt = s.corrupt || err == nil && s.end < s.witness
	return err
}

// find looks for the file that a position is in, and walks from there.
func (s *scanner) find(from LSN) error {
	s.at, s.end, s.durable = -1, from, from
	for i, f := range s.files {
		if f.state == headerUsed && f.start <= from {
			s.at = i
		}
	}
	if s.at < 0 {
		// A log begins at zero. If no file reaches back to from, it is gone.
		s.corrupt = from > 0 || s.anyUsed()
		if s.corrupt {
			return nil
		}
		return s.judge(nil)
	}
	return s.walk(from)
}

func (s *scanner) anyUsed() bool {
	return slices.ContainsFunc(s.files, func(f fileInfo) bool { return f.state == headerUsed })
}

// walk reads frames file by file.
func (s *scanner) walk(from LSN) (err error) {
	w, err := openWindow(s.fs, &s.files[s.at])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	reached, err := s.reaches(w, from)
	if err != nil {
		return err
	}
	if !reached {
		s.corrupt = true
		return nil
	}
	for {
		if next := s.nextFile(); next >= 0 {
			nw, err := openWindow(s.fs, &s.files[next])
			if err != nil {
				return err
			}
			if err := w.close(); err != nil {
				return errors.Join(err, nw.close())
			}
			w = nw
			s.at, s.frames, s.closed = next, 0, false
			s.durable = max(s.durable, s.end)
			continue
		}
		ok, err := s.frame(w)
		if err != nil {
			return err
		}
		if !ok {
			return s.judge(w)
		}
	}
}

// reaches checks, if no frame starts at from, that the frames before do reach
// it: otherwise it lies in a file that has lost its header.
func (s *scanner) reaches(w *window, from LSN) (bool, error) {
	f := &s.files[s.at]
	if h, _, err := readFrame(w, f, from); err != nil || h.kind != 0 {
		return err == nil, err
	}
	for s.end = f.start; s.end < from; {
		h, _, err := readFrame(w, f, s.end)
		if err != nil {
			return false, err
		}
		if h.kind == 0 {
			break
		}
		s.end += LSN(h.bytes())
		s.frames++
		s.closed = h.kind == kindClose
	}
	return s.end == from, nil
}

// nextFile is the later file that starts where the walk has arrived, or -1.
// It is preferred to a frame at the same place: the earlier file was cut there.
func (s *scanner) nextFile() int {
	for i := s.at + 1; i < len(s.files); i++ {
		if s.files[i].state == headerUsed && s.files[i].start == s.end {
			return i
		}
	}
	return -1
}

// frame delivers the next frame, if a valid one is there.
func (s *scanner) frame(w *window) (bool, error) {
	h, payload, err := readFrame(w, &s.files[s.at], s.end)
	if err != nil || h.kind == 0 {
		return false, err
	}
	end := s.end + LSN(h.bytes())
	s.durable = max(s.durable, h.durable)
	s.closed = h.kind == kindClose
	if !s.closed {
		f := Frame{LSN: s.end, End: end, Kind: h.kind, TP: h.tp, Payload: slices.Clone(payload)}
		if err := s.fn(f); err != nil {
			return false, err
		}
	}
	s.end = end
	s.frames++
	return true, nil
}

// readFrame reads the frame at an LSN. If there is no valid one, the kind of
// the header is zero.
func readFrame(w *window, f *fileInfo, lsn LSN) (frameHeader, []byte, error) {
	pos := f.pos(lsn)
	p, err := w.at(pos, frameHeaderBytes)
	if err != nil || p == nil {
		return frameHeader{}, nil, err
	}
	h, ok := decodeFrameHeader(p, lsn, w.bytes-pos)
	if !ok {
		return frameHeader{}, nil, nil
	}
	if p, err = w.at(pos, frameHeaderBytes+h.length); err != nil || p == nil {
		return frameHeader{}, nil, err
	}
	if crc32.Update(seedOf(f.sequence), castagnoli, p[atLength:]) != h.crc {
		return frameHeader{}, nil, nil
	}
	return h, p[frameHeaderBytes:], nil
}

// judge decides, where no valid frame follows, between a torn tail and
// corruption (W4): it looks for anything that was written when the log was
// known to be durable beyond its end.
func (s *scanner) judge(w *window) error {
	for i := s.at + 1; i < len(s.files); i++ {
		// A file gets its header when all before its start has been synced.
		if s.files[i].state == headerUsed {
			s.corrupt = true
			return nil
		}
	}
	if w != nil && !s.closed {
		if err := s.seek(w, &s.files[s.at]); err != nil {
			return err
		}
	}
	return s.judgeDamaged()
}

// judgeDamaged looks into the file behind the last used one if its header is
// neither this file's nor an old one: it may have held the frames from end on.
func (s *scanner) judgeDamaged() (err error) {
	for i := s.at + 1; i < len(s.files) && !s.corrupt; i++ {
		if s.files[i].state != headerDamaged {
			continue
		}
		f := s.files[i]
		f.start = s.end
		w, err := openWindow(s.fs, &f)
		if err != nil {
			return err
		}
		if err := errors.Join(s.seek(w, &f), w.close()); err != nil {
			return err
		}
	}
	return nil
}

// seek looks through the rest of a file, where the frame at s.end is not
// valid, for frames that are. They were torn off in the same round, unless one
// says that s.end had been synced before.
func (s *scanner) seek(w *window, f *fileInfo) error {
	for pos := f.pos(s.end); ; {
		var err error
		if pos, err = w.seek(pos, int64(f.start)-fileHeaderBytes); err != nil || pos < 0 {
			return err
		}
		lsn := f.start + LSN(pos-fileHeaderBytes)
		p, err := w.at(pos, frameHeaderBytes)
		if err != nil {
			return err
		}
		pos += 8
		h, ok := decodeFrameHeader(p, lsn, w.bytes-pos+8)
		if !ok {
			continue
		}
		s.torn = max(s.torn, int64(lsn-s.end)+int64(h.bytes()))
		valid, _, err := readFrame(w, f, lsn)
		if err != nil {
			return err
		}
		if valid.kind == 0 {
			continue
		}
		if valid.durable > s.end {
			s.corrupt = true
			return nil
		}
		pos += int64(valid.bytes()) - 8
	}
}
