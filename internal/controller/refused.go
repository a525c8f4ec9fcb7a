package controller

import (
	"errors"
	"strings"
	"syscall"

	"github.com/chronik-project/chronik/internal/meta"
)

// isRefused reports whether nothing listens at an address that was dialled.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "connection refused")
}

func isNotLeader(err error) bool { return errors.Is(err, meta.ErrNotLeader) }
