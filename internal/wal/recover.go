package wal

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/chronik-project/chronik/internal/vfs"
)

// pendingFiles is what Open found in the directory.
type pendingFiles struct {
	files   []fileInfo
	temps   []string
	witness LSN // so much has been on disk
}

// ReplayResult says what [Log.Replay] found at the end of the log.
type ReplayResult struct {
	// End is where the log ends and the next frame goes.
	End LSN
	// TornBytes is how much was cut behind End: frames of a round that power
	// loss interrupted, which nobody was told of.
	TornBytes int64
	// Corrupt says that frames from CorruptAt on were on disk once and cannot
	// be read any more. What was replayed up to there is sound, but every
	// partition may miss acknowledged records. The log can be appended to, far
	// behind the damage; until a checkpoint lies behind it too, each Replay
	// reports it again.
	Corrupt bool
	// CorruptAt is where the first such frame starts.
	CorruptAt LSN
}

// Replay calls fn with every frame from from on, which is a position that a
// checkpoint holds or zero, cuts a torn tail, and makes what it delivered
// durable. It must be called exactly once, before anything is appended. An
// error of fn ends it.
//
// A log never goes on in a file that an earlier process wrote to: the torn
// frames there would be valid again as soon as new ones ended where they
// start. So cutting a tail needs no write at all.
func (l *Log) Replay(from LSN, fn func(Frame) error) (ReplayResult, error) {
	l.mu.Lock()
	again := l.state.replayed || l.state.closed
	l.mu.Unlock()
	if again {
		return ReplayResult{}, ErrClosed
	}
	s := &scanner{fs: l.o.FS, files: l.pending.files, fn: fn, witness: l.pending.witness}
	if err := s.run(from); err != nil {
		return ReplayResult{}, err
	}
	result := s.result()
	if s.corrupt {
		result.End = max(result.End, s.witness)
		for _, f := range s.files {
			if f.state == headerUsed {
				result.End = max(result.End, f.capacity())
			}
		}
	} else if err := l.harden(s); err != nil {
		return ReplayResult{}, l.fail(err)
	}
	if err := l.settle(s, result.End); err != nil {
		return ReplayResult{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marks = marks{durable: result.End, written: result.End, end: result.End}
	l.state.replayed = true
	l.logReplay(result)
	return result, nil
}

func (l *Log) logReplay(r ReplayResult) {
	attrs := []any{
		slog.Int64("end", int64(r.End)), slog.Int64("torn_bytes", r.TornBytes),
		slog.Int("files", len(l.files.used)), slog.Int("ready", len(l.files.ready)),
	}
	if r.Corrupt {
		l.o.Logger.Error("write-ahead log is corrupt", append(attrs, slog.Int64("corrupt_at", int64(r.CorruptAt)))...)
		return
	}
	l.o.Logger.Info("write-ahead log replayed", attrs...)
}

// harden makes the frames durable that no later frame proves to be. The
// process that wrote them may have died between write and sync, or have seen
// the sync fail: then the kernel calls the pages clean although they are not
// on disk. So they are written once more before they are synced.
func (l *Log) harden(s *scanner) (err error) {
	if s.at < 0 {
		return nil
	}
	info := &s.files[s.at]
	start := max(s.durable, info.start)
	if start >= s.end {
		return nil
	}
	f, err := l.o.FS.OpenWrite(info.path)
	if err != nil {
		return &Error{Op: "open", File: info.path, LSN: start, Err: err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if start == info.start { // nothing proves the header either
		if _, err := f.WriteAt(encodeFileHeader(info.sequence, info.start), 0); err != nil {
			return &Error{Op: "write", File: info.path, LSN: start, Err: err}
		}
	}
	buf := make([]byte, min(int64(s.end-start), windowBytes))
	for lsn := start; lsn < s.end; lsn += LSN(len(buf)) {
		buf = buf[:min(int64(len(buf)), int64(s.end-lsn))]
		if _, err := f.ReadAt(buf, info.pos(lsn)); err != nil {
			return &Error{Op: "read", File: info.path, LSN: lsn, Err: err}
		}
		if _, err := f.WriteAt(buf, info.pos(lsn)); err != nil {
			return &Error{Op: "write", File: info.path, LSN: lsn, Err: err}
		}
	}
	if err := f.Sync(); err != nil {
		return &Error{Op: "sync", File: info.path, LSN: s.end, Err: err}
	}
	return nil
}

// settle sorts the files into those in use, those ready to be used next and
// those that can go, and opens the one that the log goes on in at end.
func (l *Log) settle(s *scanner, end LSN) error {
	if err := vfs.MkdirAllSync(l.o.FS, l.o.Dir); err != nil {
		return &Error{Op: "create", File: l.o.Dir, LSN: end, Err: err}
	}
	for _, name := range l.pending.temps {
		if err := vfs.RemoveIfExists(l.o.FS, name); err != nil {
			return &Error{Op: "remove", File: name, LSN: end, Err: err}
		}
	}
	l.mu.Lock()
	idle := l.sortFiles(s, end)
	l.mu.Unlock()
	if err := l.recycle(idle); err != nil {
		return fmt.Errorf("settle the files of the log: %w", err)
	}
	next, ok := l.nextReady(1)
	if !ok {
		var err error
		if next, err = l.createFile(l.o.FirstFileBytes); err != nil {
			return err
		}
	}
	return l.use(next, end)
}

// sortFiles fills the set of files and returns those that are not in use. They
// need a new sequence before they are: one that was ready when power was lost
// may have got frames and not its header, and these frames would be valid again
// if the file were used from the same start. REQUIRES: l.mu is held.
func (l *Log) sortFiles(s *scanner, end LSN) (idle []fileInfo) {
	for i, f := range s.files {
		l.files.sequence = max(l.files.sequence, f.sequence)
		empty := !s.corrupt && i == s.at && s.frames == 0 && f.start == end
		switch {
		case f.state == headerUsed && !empty:
			l.files.used = append(l.files.used, f)
		case s.corrupt && f.state == headerDamaged:
			f.start = end // unknown; so it is kept until a checkpoint lies behind the damage
			l.files.used = append(l.files.used, f)
		default:
			idle = append(idle, f)
		}
	}
	return idle
}

// use makes a file the one that rounds are written to.
func (l *Log) use(info fileInfo, start LSN) error {
	f, err := l.o.FS.OpenWrite(info.path)
	if err != nil {
		return &Error{Op: "open", File: info.path, LSN: start, Err: err}
	}
	info.start, info.state = start, headerUsed
	l.cur = openFile{fileInfo: info, f: f, off: fileHeaderBytes}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files.current = info.path
	return nil
}
