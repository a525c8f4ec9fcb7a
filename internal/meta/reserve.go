package meta

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"

	"github.com/chronik-project/chronik/internal/vfs"
)

// reserveFile takes up the room of one more file of the log. Data and metadata
// share a disk, and who fills it need not be this broker: without the next file
// the log would end, and the process with it.
const reserveFile = "reserve"

// reserveFS is the file system of the log's files. When there is no room for one
// it gives up the reserve.
type reserveFS struct {
	types.VFS
	dir   string // of the reserve
	bytes uint64
	log   *slog.Logger
}

// newReserveFS returns the file system of a log with files of that size. Its
// reserve in dir is set aside by [reserveFS.fill].
func newReserveFS(dir string, bytes int, log *slog.Logger) *reserveFS {
	return &reserveFS{VFS: walfs.New(), dir: dir, bytes: uint64(bytes), log: log}
}

// Create creates a file of the log. If it is the reserve that made that possible,
// the next file that finds room restores it.
func (r *reserveFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := r.VFS.Create(dir, name, size)
	if err == nil {
		r.fill()
		return f, nil
	}
	if !vfs.IsNoSpace(err) || os.Remove(r.path()) != nil {
		return nil, err
	}
	r.log.Error("the disk is full: the metadata log goes on in its reserve; free some space", slog.String("file", name))
	if gone := r.Delete(dir, name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		return nil, errors.Join(err, gone)
	}
	return r.VFS.Create(dir, name, size)
}

func (r *reserveFS) path() string { return filepath.Join(r.dir, reserveFile) }

// fill sets the reserve aside, if there is room and unless that was done.
func (r *reserveFS) fill() {
	f, err := r.VFS.Create(r.dir, reserveFile, r.bytes)
	switch {
	case errors.Is(err, fs.ErrExist):
	case err != nil:
		_ = os.Remove(r.path()) // it has not got all of its room
		r.log.Warn("no room for the metadata log's reserve; free some space", slog.Any("error", err))
	default:
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			r.log.Warn("the metadata log's reserve may be lost with the power", slog.Any("error", err))
		}
	}
}
