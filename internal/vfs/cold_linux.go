package vfs

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// directAlign is what offset, length and memory of a direct read are multiples
// of: enough for any disk.
const directAlign = 4096

func (fsys osFS) openCold(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_DIRECT, 0)
	if errors.Is(err, syscall.EINVAL) { // not every file system can
		return fsys.Open(name)
	}
	if err != nil {
		return nil, err
	}
	return &directFile{osFile: osFile{f}}, nil
}

// directFile reads around the page cache.
type directFile struct {
	osFile
	buf      atomic.Pointer[[]byte] // aligned; nil while a read has it
	buffered atomic.Bool            // direct reads are refused after all
}

// ReadAt implements [io.ReaderAt].
func (f *directFile) ReadAt(p []byte, off int64) (int, error) {
	if f.buffered.Load() {
		return f.osFile.ReadAt(p, off)
	}
	start := off &^ (directAlign - 1)
	end := (off + int64(len(p)) + directAlign - 1) &^ (directAlign - 1)
	buf := f.aligned(int(end - start))
	defer f.buf.Store(&buf)
	n, err := f.osFile.ReadAt(buf[:end-start], start)
	if errors.Is(err, syscall.EINVAL) {
		if err := f.stopDirect(); err != nil {
			return 0, err
		}
		return f.osFile.ReadAt(p, off)
	}
	n = copy(p, buf[min(int(off-start), n):n])
	switch {
	case n == len(p):
		return n, nil
	case err == nil:
		return n, io.EOF
	default:
		return n, err
	}
}

// aligned returns memory for a direct read.
func (f *directFile) aligned(size int) []byte {
	if kept := f.buf.Swap(nil); kept != nil && cap(*kept) >= size {
		return (*kept)[:cap(*kept)]
	}
	p := make([]byte, size+directAlign)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(p)))) & (directAlign - 1)
	return p[skip : skip+size : skip+size]
}

// stopDirect makes the file an ordinary one.
func (f *directFile) stopDirect() error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var flagErr syscall.Errno
	err = raw.Control(func(fd uintptr) {
		var flags uintptr
		if flags, _, flagErr = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0); flagErr == 0 {
			_, _, flagErr = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFL, flags&^syscall.O_DIRECT)
		}
	})
	if err != nil {
		return err
	}
	if flagErr != 0 {
		return flagErr
	}
	f.buffered.Store(true)
	return nil
}
