//go:build !unix

package devcluster

import "syscall"

// attributes are the system's own.
func attributes() *syscall.SysProcAttr { return nil }
