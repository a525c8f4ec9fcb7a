package segment

import (
	"io/fs"
	"path/filepath"

	"github.com/chronik-project/chronik/internal/vfs"
)

// Close closes the files. What was not flushed is in the write-ahead log. No
// write is possible afterwards.
func (l *Log) Close() error {
	w := <-l.writing
	defer func() { l.writing <- w }()
	l.mu.Lock()
	if l.err == nil {
		l.err = l.fail("write", -1, fs.ErrClosed)
	}
	l.mu.Unlock()
	return w.close()
}

// Delete closes the log and removes its directory. A checkpoint that still
// lists the partition will find it missing, unless replay meets its removal.
func (l *Log) Delete() error {
	if err := l.Close(); err != nil {
		return err
	}
	if err := l.o.FS.RemoveAll(l.o.Dir); err != nil {
		return l.fail("delete", -1, err)
	}
	if err := l.o.FS.SyncDir(filepath.Dir(l.o.Dir)); err != nil && !vfs.IsNotExist(err) {
		return l.fail("delete", -1, err)
	}
	return nil
}
