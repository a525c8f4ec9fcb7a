package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// privateVariable is set in a process that runs in its own mount namespace.
const privateVariable = "CHRONIK_DISK_PRIVATE"

// Private runs the tests, run being testing.M's Run or a function that calls
// it, in a process with a mount namespace of its own, and returns their exit
// status. Disks do work without: but a process that clones the mount namespace
// of the machine meanwhile, as containers and other tests do, keeps each disk
// alive that is mounted then, and such a disk cannot lose its power any more.
// Besides, all mounts end with the process, however it ends.
func Private(run func() int) int {
	if os.Getenv(privateVariable) != "" {
		return run()
	}
	// The child is to die with this process, and for the kernel that is the
	// thread which started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), privateVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	default:
		_, _ = fmt.Fprintln(os.Stderr, "tests in a mount namespace of their own:", err)
		return 1
	}
}
