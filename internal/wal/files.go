package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/chronik-project/chronik/internal/vfs"
)

// Names of the files in a log's directory. The sequence in the name is given
// once, and is part of every CRC in the file.
const (
	fileSuffix = ".wal"
	tempSuffix = ".tmp"
)

func fileName(sequence uint64) string { return fmt.Sprintf("%010d%s", sequence, fileSuffix) }

// fileInfo is a log file as it was found.
type fileInfo struct {
	sequence uint64
	path     string
	bytes    int64
	state    headerState
	start    LSN // where its first frame is, if it is used
}

// pos is the place of an LSN in the file.
func (f *fileInfo) pos(lsn LSN) int64 { return fileHeaderBytes + int64(lsn-f.start) }

// capacity is an LSN that no frame in the file can reach beyond.
func (f *fileInfo) capacity() LSN { return f.start + LSN(max(f.bytes-fileHeaderBytes, 0)) }

// listFiles finds the log files in a directory, by sequence, and the temporary
// files that an earlier process left.
func listFiles(fsys vfs.FS, dir string) (files []fileInfo, temps []string, err error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		if vfs.IsNotExist(err) {
			return nil, nil, nil
		}
		return nil, nil, &Error{Op: "list", File: dir, Err: err}
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, tempSuffix) {
			temps = append(temps, path)
			continue
		}
		sequence, err := strconv.ParseUint(strings.TrimSuffix(name, fileSuffix), 10, 64)
		if err != nil || name != fileName(sequence) {
			continue // not ours
		}
		f, err := inspect(fsys, path, sequence)
		if err != nil {
			return nil, nil, &Error{Op: "open", File: path, Err: err}
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b fileInfo) int {
		if a.sequence < b.sequence {
			return -1
		}
		return 1
	})
	return files, temps, nil
}

// inspect reads the block at the start of a file.
func inspect(fsys vfs.FS, path string, sequence uint64) (info fileInfo, err error) {
	f, err := fsys.Open(path)
	if err != nil {
		return fileInfo{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info = fileInfo{sequence: sequence, path: path}
	if info.bytes, err = f.Size(); err != nil {
		return fileInfo{}, err
	}
	block := make([]byte, fileHeaderBytes)
	n, err := f.ReadAt(block, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fileInfo{}, err
	}
	info.state, info.start, err = decodeFileHeader(block[:n], sequence)
	return info, err
}

// window reads a file front to back through a buffer that grows to the largest
// frame.
type window struct {
	f     vfs.File
	bytes int64  // size of the file
	buf   []byte // content from off on
	off   int64
}

// windowBytes is how much is read at once.
const windowBytes = 1 << 20

func openWindow(fsys vfs.FS, info *fileInfo) (*window, error) {
	f, err := fsys.Open(info.path)
	if err != nil {
		return nil, &Error{Op: "open", File: info.path, Err: err}
	}
	return &window{f: f, bytes: info.bytes}, nil
}

// at returns n bytes at a position, or nil if the file ends before. They are
// valid until the next call.
func (w *window) at(pos int64, n int) ([]byte, error) {
	if n < 0 || pos < 0 || pos+int64(n) > w.bytes {
		return nil, nil
	}
	if pos < w.off || pos+int64(n) > w.off+int64(len(w.buf)) {
		if err := w.fill(pos, n); err != nil {
			return nil, err
		}
	}
	return w.buf[pos-w.off:][:n], nil
}

// seek finds the first place from pos on where a frame can start: one whose
// LSN field holds its position plus shift. It returns -1 if there is none.
func (w *window) seek(pos, shift int64) (int64, error) {
	for pos+frameHeaderBytes <= w.bytes {
		p, err := w.at(pos, int(min(windowBytes, w.bytes-pos)))
		if err != nil {
			return -1, err
		}
		last := len(p) - frameHeaderBytes
		for i := 0; i <= last; i += 8 {
			if int64(binary.LittleEndian.Uint64(p[i+atLSN:])) == pos+int64(i)+shift {
				return pos + int64(i), nil
			}
		}
		pos += int64(last/8+1) * 8
	}
	return -1, nil
}

func (w *window) fill(pos int64, n int) error {
	size := min(max(int64(n), windowBytes), w.bytes-pos)
	if int64(cap(w.buf)) < size {
		w.buf = make([]byte, size)
	}
	w.buf = w.buf[:size]
	w.off = pos
	if _, err := w.f.ReadAt(w.buf, pos); err != nil {
		w.buf = w.buf[:0]
		return &Error{Op: "read", File: w.f.Name(), Err: err}
	}
	return nil
}

func (w *window) close() error { return w.f.Close() }
