//go:build linux || darwin

package vfs

import (
	"fmt"
	"syscall"
)

// freeOS counts what an unprivileged process may use.
func freeOS(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}
