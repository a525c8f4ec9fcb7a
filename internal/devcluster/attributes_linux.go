package devcluster

import "syscall"

// attributes put a broker into a process group of its own, so that Ctrl-C on
// the terminal reaches the command that owns the cluster and not each broker
// at once, and let it end when that command dies without stopping it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
