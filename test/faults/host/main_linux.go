package host

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chronik-project/chronik/test/harness"
)

// stageVariable tells a process of the test program what it is: nothing is set
// for the one that go test starts.
const stageVariable = "CHRONIK_FAULTS_STAGE"

const (
	stageWorld  = "world"  // like the one that go test starts, but of one test of [MainOf]
	stageInit   = "init"   // process 1 of the namespaces: makes them a world
	stageTests  = "tests"  // runs the tests
	stageBroker = "broker" // goes to a host and becomes a broker
)

// tools are the commands that the network is made with.
var tools = []string{"ip", "tc", "nft"}

// Main builds the binary, runs the tests in namespaces of their own and returns
// their exit status. Processes, mounts and networks that they leave behind end
// with them, and with any of the processes in between.
//
// Inside, the module cache is all the go command has: there is no network.
func Main(m *testing.M) int {
	switch stage := os.Getenv(stageVariable); stage {
	case "", stageWorld:
		return outside()
	case stageInit:
		return first()
	case stageTests:
		return m.Run()
	case stageBroker:
		return failed(become())
	default:
		return failed(fmt.Errorf("%s is %q", stageVariable, stage))
	}
}

func failed(err error) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, err)
	return 1
}

// possible says what is missing on this machine.
func possible(user int, find func(string) (string, error)) error {
	if user != 0 {
		return fmt.Errorf("the fault tests need root, for namespaces and mounts; this is user %d", user)
	}
	for _, tool := range tools {
		if _, err := find(tool); err != nil {
			return fmt.Errorf("the fault tests need %s: run scripts/faults.sh (%w)", strings.Join(tools, ", "), err)
		}
	}
	return nil
}

// outside is the process that go test started: it builds what needs the
// machine's own network, and stays to pass signals in and the status out.
func outside() int {
	if err := possible(os.Geteuid(), exec.LookPath); err != nil {
		return failed(err)
	}
	dir, err := os.MkdirTemp("", "chronik-faults-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory, and nothing to be done about it
	if err := harness.Build(dir); err != nil {
		return failed(err)
	}
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o755); err != nil {
		return failed(err)
	}
	sweepGroups()
	defer removeGroups(os.Getpid())
	status, err := follow(stageInit, false, &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		// Not in the terminal's group: Ctrl-C comes once, through this process.
		Setpgid:   true,
		Pdeathsig: syscall.SIGKILL,
	}, "TMPDIR="+temporary, fmt.Sprintf("%s=%d", groupVariable, os.Getpid()))
	if err != nil {
		return failed(err)
	}
	return status
}

// first is process 1. When it ends, the kernel ends every other process of the
// namespaces.
func first() int {
	if err := settle(); err != nil {
		return failed(fmt.Errorf("make a world for the tests: %w", err))
	}
	status, err := follow(stageTests, true, nil, "GOPROXY=off")
	if err != nil {
		return failed(err)
	}
	return status
}

// settle mounts what must be the namespaces' own.
func settle() error {
	// What the machine unmounts is unmounted here too; nothing gets out.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	// What a test unmounts is unmounted for its brokers too: see (place).enter.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("shared mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := os.MkdirAll(namedNamespaces, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", namedNamespaces, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", namedNamespaces, err)
	}
	return run("", "ip", "link", "set", "lo", "up")
}

// follow starts this program again in another stage, passes signals on to it
// and returns its status, in the form that shells give to that of a signal. It
// waits for every child there is if all is set: process 1 inherits orphans.
func follow(stage string, all bool, attributes *syscall.SysProcAttr, env ...string) (int, error) {
	// The death of the thread that started a process counts as the parent's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	// This process needs none of them any more, and of two the first would count.
	for _, setting := range append(env, stageVariable+"="+stage) {
		name, value, _ := strings.Cut(setting, "=")
		if err := os.Setenv(name, value); err != nil {
			return 0, err
		}
	}
	child, err := os.StartProcess(self, os.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Env:   os.Environ(),
		Sys:   attributes,
	})
	if err != nil {
		return 0, fmt.Errorf("start the tests in namespaces of their own: %w", err)
	}
	for s := range signals {
		if s != syscall.SIGCHLD {
			_ = child.Signal(s) // it may just have ended
			continue
		}
		if status, ended := reap(child.Pid, all); ended {
			return status, nil
		}
	}
	return 0, nil // not reached: nobody closes the channel
}

// reap waits for the children that have ended. One SIGCHLD may stand for many.
func reap(child int, all bool) (status int, ended bool) {
	which := child
	if all {
		which = -1
	}
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(which, &ws, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return 0, false
		}
		if pid != child {
			continue
		}
		if ws.Signaled() {
			const shell = 128
			return shell + int(ws.Signal()), true
		}
		return ws.ExitStatus(), true
	}
}
