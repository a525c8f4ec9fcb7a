package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// workspacePattern names the directories of disks.
const workspacePattern = "chronik-disk-*"

// busyLimit bounds the wait for processes that are just dying, and for the
// kernel to let a device go. A test makes it shorter.
var busyLimit = 10 * time.Second

// workspace is a disk's own directory: its mount point, what is behind it, and
// a lock that tells it from what a killed test has left.
type workspace struct {
	dir  string
	lock *os.File
}

// parentDir is where disks are made: in memory, if there is such a place,
// because a test's disk need not survive the machine.
func parentDir(in string) string {
	const memory = "/dev/shm"
	var st unix.Statfs_t
	switch {
	case in != "":
		return in
	case unix.Statfs(memory, &st) == nil && st.Type == unix.TMPFS_MAGIC:
		return memory
	default:
		return os.TempDir()
	}
}

func newWorkspace(t testing.TB, in string) *workspace {
	t.Helper()
	w, err := openWorkspace(parentDir(in))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func openWorkspace(parent string) (*workspace, error) {
	if err := sweep(parent); err != nil {
		return nil, fmt.Errorf("disks of killed tests: %w", err)
	}
	dir, err := os.MkdirTemp(parent, workspacePattern)
	if err != nil {
		return nil, err
	}
	w := &workspace{dir: dir}
	if w.lock, err = lockFile(filepath.Join(dir, "lock"), os.O_CREATE); err != nil {
		return nil, err
	}
	if w.lock == nil {
		return nil, fmt.Errorf("%s is taken for a disk of a killed test", dir)
	}
	return w, os.Mkdir(w.mountPoint(), 0o755)
}

func (w *workspace) mountPoint() string { return filepath.Join(w.dir, "mnt") }

// close removes the directory. Nothing is mounted in it any more.
func (w *workspace) close() error {
	return errors.Join(os.RemoveAll(w.dir), w.lock.Close())
}

// lockFile returns nil without an error if another process has the lock.
func lockFile(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|flag, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweep unmounts and removes what killed tests have left. A directory without
// a lock is just being made.
func sweep(parent string) error {
	left, err := filepath.Glob(filepath.Join(parent, workspacePattern))
	if err != nil {
		return err
	}
	for _, dir := range left {
		lock, err := lockFile(filepath.Join(dir, "lock"), 0)
		if errors.Is(err, os.ErrNotExist) || err == nil && lock == nil {
			continue
		}
		if err != nil {
			return err
		}
		w := &workspace{dir: dir, lock: lock}
		if err := errors.Join(detach(w.mountPoint()), w.close()); err != nil {
			return err
		}
	}
	return nil
}

// detach unmounts whatever is mounted on dir, in use or not. Operations that
// hang on a FUSE file system fail.
func detach(dir string) error {
	for {
		err := unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil // nothing (more) is mounted there
		}
		if err != nil {
			return fmt.Errorf("detach %s: %w", dir, err)
		}
	}
}

// unmount waits for the last user to die.
func unmount(dir string) error {
	return patiently(func() error {
		if err := unix.Unmount(dir, unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
		return nil
	})
}

// patiently repeats step while it says EBUSY.
func patiently(step func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), busyLimit)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		err := step()
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
