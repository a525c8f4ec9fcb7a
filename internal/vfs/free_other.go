//go:build !linux && !darwin

package vfs

import (
	"errors"
	"fmt"
)

func freeOS(dir string) (uint64, error) {
	return 0, fmt.Errorf("free space of %s: %w", dir, errors.ErrUnsupported)
}
