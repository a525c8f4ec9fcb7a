package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// placeVariable holds the place of a process that is to become a broker.
const placeVariable = "CHRONIK_FAULTS_PLACE"

// place is where and as what a process becomes a broker. It changes nothing for
// any other process, and the process stays the same: signals meet the broker.
type place struct {
	Binary    string
	Namespace string // of the network, a file
	Etc       string // directory of what comes in the place of files in /etc
	Group     string // directory of the memory cgroup; may be empty
	OpenFiles uint64 // limit; 0 is that of the test
}

// command is this program, about to become a broker.
func (p place) command(args, env []string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...) //nolint:noctx // it is ended by the cluster alone
	cmd.Env = append(append(os.Environ(), env...), placeVariable+"="+string(text), stageVariable+"="+stageBroker)
	return cmd, nil
}

// become turns this process into a broker, or says why it cannot.
func become() error {
	// Namespaces are the thread's, and the thread that calls exec stays.
	runtime.LockOSThread()
	var p place
	if err := json.Unmarshal([]byte(os.Getenv(placeVariable)), &p); err != nil {
		return fmt.Errorf("%s: %w", placeVariable, err)
	}
	if err := errors.Join(os.Unsetenv(placeVariable), os.Unsetenv(stageVariable)); err != nil {
		return err
	}
	if err := p.enter(); err != nil {
		return fmt.Errorf("go to the broker's host: %w", err)
	}
	if err := p.limit(); err != nil {
		return fmt.Errorf("limits of the broker: %w", err)
	}
	// It was that of another thread.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("end with the test: %w", err)
	}
	err := syscall.Exec(p.Binary, append([]string{p.Binary}, os.Args[1:]...), os.Environ())
	return fmt.Errorf("start %s: %w", p.Binary, err)
}

func (p place) enter() error {
	space, err := os.Open(p.Namespace)
	if err != nil {
		return err
	}
	defer func() { _ = space.Close() }() // read only
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network of %s: %w", p.Namespace, err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	// A mount that the test makes or ends is made or ended here too, so that a
	// disk that was unmounted is unmounted, and nothing from here gets out.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	for name := range etc {
		if err := unix.Mount(filepath.Join(p.Etc, name), filepath.Join("/etc", name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount /etc/%s: %w", name, err)
		}
	}
	return nil
}

func (p place) limit() error {
	if p.OpenFiles > 0 {
		limit := syscall.Rlimit{Cur: p.OpenFiles, Max: p.OpenFiles}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("open files: %w", err)
		}
	}
	if p.Group != "" {
		// The process that writes 0 is meant.
		if err := os.WriteFile(filepath.Join(p.Group, "cgroup.procs"), []byte("0"), 0o644); err != nil { //nolint:gosec // the kernel's file
			return fmt.Errorf("memory: %w", err)
		}
	}
	return nil
}
