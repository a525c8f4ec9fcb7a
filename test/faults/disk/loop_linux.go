package disk

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// loopControl hands out the numbers of free loop devices.
const loopControl = "/dev/loop-control"

// loopDevice is a file as a block device. The kernel detaches it by itself when
// the last user is gone, be it unmounted or killed.
type loopDevice struct {
	number int
	// file is open until the device is mounted.
	file *os.File
	// backing is the file's name as the kernel tells it, which tells it from
	// that of whoever takes the number next.
	backing string
}

// attach makes a loop device of an image.
func attach(image *os.File) (*loopDevice, error) {
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = control.Close() }() // nothing was written
	var d *loopDevice
	err = patiently(func() error { // others take devices too
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return fmt.Errorf("free loop device: %w", err)
		}
		d, err = configure(number, image)
		return err
	})
	return d, err
}

func configure(number int, image *os.File) (*loopDevice, error) {
	d := &loopDevice{number: number}
	f, err := os.OpenFile(d.path(), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = unix.IoctlLoopConfigure(int(f.Fd()), &unix.LoopConfig{
		Fd:   uint32(image.Fd()),
		Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("configure %s: %w", d.path(), err), f.Close())
	}
	d.file = f
	if d.backing, err = d.readBacking(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return d, nil
}

func (d *loopDevice) path() string { return fmt.Sprintf("/dev/loop%d", d.number) }

// release lets go of the device: from now on only a mount holds it.
func (d *loopDevice) release() error { return d.file.Close() }

// awaitDetached waits until the device is gone. If it stays, something still
// holds the file system, most likely another mount namespace, and the image
// must not be mounted a second time.
func (d *loopDevice) awaitDetached() error {
	return patiently(func() error {
		backing, err := d.readBacking()
		switch {
		case errors.Is(err, os.ErrNotExist) || err == nil && backing != d.backing:
			return nil
		case err != nil:
			return err
		default:
			return fmt.Errorf("%s is unmounted here and in use elsewhere: %w", d.path(), unix.EBUSY)
		}
	})
}

func (d *loopDevice) readBacking() (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", d.number))
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) { // detached while it was read
		err = os.ErrNotExist
	}
	return strings.TrimSpace(string(text)), err
}
