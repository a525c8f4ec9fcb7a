//go:build unix && !linux

package devcluster

import "syscall"

// attributes put a broker into a process group of its own, so that Ctrl-C on
// the terminal reaches the command that owns the cluster and not each broker
// at once.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
