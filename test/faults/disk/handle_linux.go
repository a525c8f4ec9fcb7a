package disk

import (
	"context"
	"io"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// handle is an open file of a Faulty disk.
type handle struct {
	*fs.LoopbackFile
	node   *node
	opened string
}

var (
	_ fs.FileReader          = (*handle)(nil)
	_ fs.FileWriter          = (*handle)(nil)
	_ fs.FileFsyncer         = (*handle)(nil)
	_ fs.FileAllocater       = (*handle)(nil)
	_ fs.FileFlusher         = (*handle)(nil)
	_ fs.FilePassthroughFder = (*handle)(nil)
)

// PassthroughFd implements [fs.FilePassthroughFder]. With a descriptor the
// kernel would read and write past the rules.
func (h *handle) PassthroughFd() (int, bool) { return 0, false }

// Read implements [fs.FileReader].
func (h *handle) Read(ctx context.Context, buf []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	rule, errno := h.node.disk.begin(ctx, OpRead, h.name())
	if errno != 0 {
		return nil, errno
	}
	if rule.Err != 0 {
		return nil, rule.Err
	}
	result, errno := h.LoopbackFile.Read(ctx, buf, off)
	if errno == 0 && rule.Flip {
		data, status := result.Bytes(buf)
		if !status.Ok() {
			return nil, syscall.Errno(status)
		}
		if len(data) > 0 {
			data[len(data)/2] ^= 1
		}
		result = fuse.ReadResultData(data)
	}
	return result, h.node.disk.done(ctx, errno)
}

// Write implements [fs.FileWriter].
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	d := h.node.disk
	rule, errno := d.begin(ctx, OpWrite, h.name())
	if errno != 0 {
		return 0, errno
	}
	if rule.Keep != 0 || rule.Err != 0 || rule.PowerCut {
		data = data[:rule.kept(len(data))]
	}
	count := uint32(0)
	if len(data) > 0 || !rule.acts() {
		count, errno = h.LoopbackFile.Write(ctx, data, off)
	}
	if d.shadow != nil {
		d.shadow.wrote(h.node.inode.Load(), off, int(count))
	}
	if rule.PowerCut {
		d.powerOff()
	}
	if errno == 0 {
		errno = rule.Err
	}
	return count, d.done(ctx, errno)
}

// Fsync implements [fs.FileFsyncer].
func (h *handle) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	d := h.node.disk
	if errno := d.simple(ctx, OpSync, h.name()); errno != 0 {
		return errno
	}
	errno := h.LoopbackFile.Fsync(ctx, flags)
	if errno == 0 && d.shadow != nil {
		errno = fs.ToErrno(d.shadow.sync(h.node.inode.Load(), liveFile{h.LoopbackFile}))
	}
	return d.done(ctx, errno)
}

// Flush implements [fs.FileFlusher]. There is nothing to do when a file is
// closed, and the kernel, once told so, does not ask again: a test process that
// is killed while it has a file open would wait for its own answer for ever.
func (h *handle) Flush(context.Context) syscall.Errno { return syscall.ENOSYS }

// Allocate implements [fs.FileAllocater].
func (h *handle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	d := h.node.disk
	if errno := d.simple(ctx, OpAllocate, h.name()); errno != 0 {
		return errno
	}
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	if mode&^keepSize != 0 {
		return syscall.EOPNOTSUPP // holes and the like, which the shadow does not know
	}
	errno := h.LoopbackFile.Allocate(ctx, off, size, mode)
	if errno == 0 && mode == 0 && d.shadow != nil {
		d.shadow.grew(h.node.inode.Load(), int64(off+size))
	}
	return d.done(ctx, errno)
}

// grew is told that a file has at least this size.
func (s *shadow) grew(n *inode, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.cut {
		n.size = max(n.size, size)
	}
}

// liveFile reads an open file.
type liveFile struct{ f *fs.LoopbackFile }

// ReadAt implements [io.ReaderAt].
func (l liveFile) ReadAt(p []byte, off int64) (int, error) {
	result, errno := l.f.Read(context.Background(), p, off)
	if errno != 0 {
		return 0, errno
	}
	data, status := result.Bytes(p)
	switch n := copy(p, data); {
	case !status.Ok():
		return 0, syscall.Errno(status)
	case n < len(p):
		return n, io.EOF
	default:
		return n, nil
	}
}
