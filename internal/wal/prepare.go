package wal

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/chronik-project/chronik/internal/vfs"
)

// Steps of preparing a file. They are small, so that upkeep is never late for
// a background sync, and synced often, so that no round has to wait behind
// megabytes of zeros.
const (
	prepareStepBytes = 1 << 20
	prepareSyncBytes = 4 << 20
)

// preparation writes a new file full of zeros, step by step. Until it is done
// the file has a temporary name, so nothing half-made is ever found.
type preparation struct {
	log     *Log
	f       vfs.File
	path    string
	bytes   int64
	written int64
	zeros   []byte
}

func (l *Log) startPreparing(bytes int64) (*preparation, error) {
	l.mu.Lock()
	l.files.prepared++
	path := filepath.Join(l.o.Dir, fmt.Sprintf("prepare-%d%s", l.files.prepared, tempSuffix))
	l.mu.Unlock()
	f, err := l.o.FS.Create(path)
	if err != nil {
		return nil, &Error{Op: "create", File: path, Err: err}
	}
	return &preparation{log: l, f: f, path: path, bytes: bytes, zeros: make([]byte, min(bytes, prepareStepBytes))}, nil
}

// step writes a piece, or, after the last one, gives the file its name.
func (p *preparation) step() (f fileInfo, done bool, err error) {
	if p.written < p.bytes {
		n := min(p.bytes-p.written, int64(len(p.zeros)))
		if _, err := p.f.WriteAt(p.zeros[:n], p.written); err != nil {
			return fileInfo{}, false, &Error{Op: "create", File: p.path, Err: err}
		}
		p.written += n
		if p.written%prepareSyncBytes != 0 && p.written < p.bytes {
			return fileInfo{}, false, nil
		}
		if err := p.f.Sync(); err != nil {
			return fileInfo{}, false, &Error{Op: "sync", File: p.path, Err: err}
		}
		return fileInfo{}, false, nil
	}
	err = p.f.Close()
	p.f = nil
	if err != nil {
		return fileInfo{}, false, &Error{Op: "close", File: p.path, Err: err}
	}
	if f, err = p.log.rename(p.path, p.bytes); err == nil {
		err = p.log.syncDir()
	}
	return f, err == nil, err
}

// abandon removes what there is of the file.
func (p *preparation) abandon() error {
	var err error
	if p.f != nil {
		err = p.f.Close()
	}
	return errors.Join(err, vfs.RemoveIfExists(p.log.o.FS, p.path))
}
