package wal

import (
	"errors"
	"path/filepath"
)

// fileSet is the log's files. All of it is guarded by Log.mu.
type fileSet struct {
	// used hold frames, by start. The last of them is never released: its
	// header is what remembers how far the log has come.
	used []fileInfo
	// released are no longer needed and wait for upkeep.
	released []fileInfo
	// ready are full of zeros or of frames of an earlier use, in the order of
	// use, which is that of their sequences.
	ready []fileInfo
	// current is the path of the file that is being written.
	current string
	// sequence is the largest one given.
	sequence uint64
	// prepared numbers the temporary files.
	prepared int
	// wanted is the size of a file that Run waits for, zero if it does not.
	wanted int64
	// changed has room for one token, left when ready or the reason for its
	// being empty changes.
	changed chan struct{}
}

// release moves the files below upTo to the released ones.
func (s *fileSet) release(upTo LSN) bool {
	n := 0
	for n+1 < len(s.used) && s.used[n+1].start <= upTo {
		n++
	}
	s.released = append(s.released, s.used[:n]...)
	s.used = s.used[n:]
	return n > 0
}

// nextReady takes the file that is used next, if it has room for a frame of
// this size.
func (l *Log) nextReady(size int64) (fileInfo, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.files.ready) == 0 || l.files.ready[0].bytes < fileHeaderBytes+size {
		return fileInfo{}, false
	}
	f := l.files.ready[0]
	l.files.ready = l.files.ready[1:]
	l.files.wanted = 0
	return f, true
}

// publish appends files to the ready ones.
func (l *Log) publish(files ...fileInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files.ready = append(l.files.ready, files...)
	l.state.noSpace = nil
	notify(l.files.changed)
}

// rename gives a file that holds nothing of value its place in the order of
// use. The new name must be on disk before a frame with the new sequence is.
func (l *Log) rename(oldPath string, bytes int64) (fileInfo, error) {
	l.mu.Lock()
	l.files.sequence++
	sequence := l.files.sequence
	l.mu.Unlock()
	f := fileInfo{sequence: sequence, path: filepath.Join(l.o.Dir, fileName(sequence)), bytes: bytes}
	if err := l.o.FS.Rename(oldPath, f.path); err != nil {
		return fileInfo{}, &Error{Op: "rename", File: oldPath, Err: err}
	}
	return f, nil
}

func (l *Log) syncDir() error {
	if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
		return &Error{Op: "sync", File: l.o.Dir, Err: err}
	}
	return nil
}

// recycle makes files ready to be used again, and removes those that are of
// another size or too many.
func (l *Log) recycle(files []fileInfo) error {
	l.mu.Lock()
	room := l.o.RecycleFiles - len(l.files.ready)
	l.mu.Unlock()
	var ready []fileInfo
	for _, f := range files {
		if f.bytes != l.o.FileBytes || len(ready) >= room {
			if err := l.o.FS.Remove(f.path); err != nil {
				return &Error{Op: "remove", File: f.path, Err: err}
			}
			continue
		}
		next, err := l.rename(f.path, f.bytes)
		if err != nil {
			return err
		}
		ready = append(ready, next)
	}
	if len(ready) == 0 {
		return nil
	}
	if err := l.syncDir(); err != nil {
		return err
	}
	l.publish(ready...)
	return nil
}

// createFile prepares a file in one go.
func (l *Log) createFile(bytes int64) (fileInfo, error) {
	p, err := l.startPreparing(bytes)
	if err != nil {
		return fileInfo{}, err
	}
	for {
		f, done, err := p.step()
		if err != nil {
			return fileInfo{}, errors.Join(err, p.abandon())
		}
		if done {
			return f, nil
		}
	}
}
