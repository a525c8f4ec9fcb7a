package disk

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Ext4Options say how large a disk is and where. Zero means the default.
type Ext4Options struct {
	// Bytes is the size of the disk, at least 8 MiB. The image is sparse.
	//
	// The default is 256 MiB.
	Bytes int64
	// In is the directory that holds the image.
	//
	// The default is /dev/shm, so that the disk itself costs no time; what
	// ext4 does, and loses, is the same.
	In string
}

// Ext4 is a disk of its own with a real ext4 on a loop device. It implements
// [Volatile] and [Fillable]. Its methods are safe for concurrent use.
//
// A power cut drops what ext4 has not handed to the device: unsynced data and
// names, the running and the committing transaction. It does not drop or
// reorder what the device was given without a flush; [Faulty] is stricter.
type Ext4 struct {
	work    *workspace
	image   *os.File
	ballast ballast

	mu       sync.Mutex
	mounted  bool        // guarded by mu
	device   *loopDevice // guarded by mu; nil once it is detached
	throttle int64       // guarded by mu
}

var (
	_ Volatile = (*Ext4)(nil)
	_ Fillable = (*Ext4)(nil)
)

// NewExt4 makes and mounts a disk, which ends with the test.
func NewExt4(t testing.TB, o Ext4Options) *Ext4 {
	t.Helper()
	w := newWorkspace(t, o.In)
	t.Cleanup(func() { report(t, w.close()) })
	image, err := newImage(parentDir(o.In), cmp.Or(o.Bytes, 256<<20))
	if err != nil {
		t.Fatal(err)
	}
	d := &Ext4{work: w, image: image, ballast: ballast{mount: w.mountPoint()}}
	t.Cleanup(func() { report(t, d.close()) })
	if err := d.Remount(); err != nil {
		t.Fatal(err)
	}
	return d
}

func report(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// Dir implements [Disk]. It is not the root of the file system.
func (d *Ext4) Dir() string { return filepath.Join(d.work.mountPoint(), "data") }

// shutdown is the ioctl that stops a file system at once, and noLogFlush lets
// it do so without a last word to the journal.
const (
	shutdown   = 0x8004587d // FS_IOC_SHUTDOWN
	noLogFlush = 2          // FS_SHUTDOWN_FLAGS_NOLOGFLUSH
)

// PowerCut implements [Volatile]. Every later operation on the disk fails with
// EIO until Remount.
func (d *Ext4) PowerCut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := os.Open(d.work.mountPoint())
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush); err != nil {
		err = fmt.Errorf("shut %s down: %w", d.work.mountPoint(), err)
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// Writeback starts to write everything out and waits for it, as the kernel does
// from time to time. A power cut meanwhile keeps some of what was not synced.
func (d *Ext4) Writeback() error {
	f, err := os.Open(d.work.mountPoint())
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// Unmount takes the disk away, cleanly unless the power was cut.
func (d *Ext4) Unmount() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unmount()
}

// unmount makes sure that the file system is gone from memory: what it has
// cached must not survive a power cut. REQUIRES: d.mu is held.
func (d *Ext4) unmount() error {
	if d.device == nil {
		return nil
	}
	if d.mounted {
		if err := errors.Join(d.setThrottle(0), unmount(d.work.mountPoint())); err != nil {
			return err
		}
		d.mounted = false
	}
	if err := d.device.awaitDetached(); err != nil {
		return err
	}
	d.device = nil
	return nil
}

// Remount implements [Volatile]: ext4 replays its journal, no check is run.
func (d *Ext4) Remount() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.unmount(); err != nil {
		return err
	}
	device, err := attach(d.image)
	if err != nil {
		return err
	}
	err = unix.Mount(device.path(), d.work.mountPoint(), "ext4", unix.MS_NOATIME, "errors=remount-ro")
	if err = errors.Join(err, device.release()); err != nil {
		return fmt.Errorf("mount %s: %w", device.path(), err)
	}
	d.device, d.mounted = device, true
	if err := d.setThrottle(d.throttle); err != nil {
		return err
	}
	return d.prepare()
}

// prepare makes the directory on a new disk.
func (d *Ext4) prepare() error {
	if err := os.Mkdir(d.Dir(), 0o755); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		return err
	}
	root, err := os.Open(d.work.mountPoint())
	if err != nil {
		return err
	}
	return errors.Join(root.Sync(), root.Close())
}

// Fill implements [Fillable].
func (d *Ext4) Fill(leave int64) error { return d.ballast.fill(leave) }

// Free implements [Fillable].
func (d *Ext4) Free() error { return d.ballast.free() }

// close unmounts the disk, by force if something still uses it.
func (d *Ext4) close() error {
	err := d.Unmount()
	if err != nil {
		err = errors.Join(err, detach(d.work.mountPoint()))
	}
	return errors.Join(err, d.image.Close())
}
