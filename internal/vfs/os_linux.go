package vfs

import (
	"errors"
	"os"
	"syscall"
)

// datasync flushes the data, and only the metadata that is needed to read it
// back: on a file that was written before, that spares a journal commit.
func datasync(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var syncErr error
	err = raw.Control(func(fd uintptr) {
		for {
			if syncErr = syscall.Fdatasync(int(fd)); !errors.Is(syncErr, syscall.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return syncErr
}
