package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"
)

// memFile is an open file of a Mem.
type memFile struct {
	mem      *Mem
	node     *memNode
	name     string
	readOnly bool
	closed   atomic.Bool
}

func (f *memFile) Name() string { return f.name }

// usable refuses operations after Close and, for those that change the file,
// through a handle that was opened for reading.
func (f *memFile) usable(op string, writes bool) error {
	switch {
	case f.closed.Load():
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	case writes && f.readOnly:
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrPermission}
	default:
		return nil
	}
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usable("read", false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	f.mem.mu.Lock()
	defer f.mem.mu.Unlock()
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.usable("write", true); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrInvalid}
	}
	f.mem.mu.Lock()
	defer f.mem.mu.Unlock()
	grow := max(off+int64(len(p))-int64(len(f.node.data)), 0)
	if grow <= f.mem.room {
		f.mem.write(f.node, p, off)
		return len(p), nil
	}
	fits := max(int64(len(p))-(grow-max(f.mem.room, 0)), 0)
	f.mem.write(f.node, p[:fits], off)
	return int(fits), fmt.Errorf("write %s: %w", f.name, syscall.ENOSPC)
}

// write changes a file and remembers the change until the next Sync.
// REQUIRES: m.mu is held.
func (m *Mem) write(n *memNode, p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	m.order++
	c := dataChange{order: m.order, off: off, data: append([]byte{}, p...)}
	n.writes = append(n.writes, c)
	before := len(n.data)
	n.data = c.apply(n.data)
	m.room -= int64(len(n.data) - before)
}

// truncate is write for a change of size. REQUIRES: m.mu is held.
func (m *Mem) truncate(n *memNode, size int64) {
	m.order++
	c := dataChange{order: m.order, off: size}
	n.writes = append(n.writes, c)
	before := len(n.data)
	n.data = c.apply(n.data)
	m.room -= int64(len(n.data) - before)
}

// apply makes the change to a file's content, which may move.
func (c dataChange) apply(content []byte) []byte {
	end := c.off + int64(len(c.data))
	if grow := end - int64(len(content)); grow > 0 {
		content = append(content, make([]byte, grow)...)
	}
	if c.data == nil {
		return content[:c.off:c.off]
	}
	copy(content[c.off:], c.data)
	return content
}

func (f *memFile) Sync() error {
	if err := f.usable("sync", false); err != nil {
		return err
	}
	f.mem.mu.Lock()
	defer f.mem.mu.Unlock()
	for _, c := range f.node.writes {
		f.node.durable = c.apply(f.node.durable)
	}
	f.node.writes = nil
	return nil
}

// forget takes the unsynced changes for done, as the kernel does when it could
// not write them back: they are read until the power goes, and never synced.
func (f *memFile) forget() {
	f.mem.mu.Lock()
	defer f.mem.mu.Unlock()
	f.node.writes = nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.usable("truncate", true); err != nil {
		return err
	}
	if size < 0 {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: fs.ErrInvalid}
	}
	f.mem.mu.Lock()
	defer f.mem.mu.Unlock()
	if size-int64(len(f.node.data)) > f.mem.room {
		return fmt.Errorf("truncate %s: %w", f.name, syscall.ENOSPC)
	}
	f.mem.truncate(f.node, size)
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.usable("stat", false); err != nil {
		return 0, err
	}
	f.mem.mu.Lock()
	defer f.mem.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *memFile) Close() error {
	if f.closed.Swap(true) {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}
