//go:build !unix

package vfs

import (
	"errors"
	"fmt"
	"io"
)

// errQuota is not known here.
var errQuota = errors.New("quota exceeded")

func lockOS(name string) (io.Closer, error) {
	return nil, fmt.Errorf("lock %s: %w", name, errors.ErrUnsupported)
}
