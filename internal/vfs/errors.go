package vfs

import (
	"errors"
	"io/fs"
	"syscall"
)

// IsNotExist reports whether err says that a file is not there.
func IsNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// IsNoSpace reports whether err says that the disk, or the quota on it, is
// full. Such a write may be tried again elsewhere once there is room; any
// other failed write may not.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota)
}
