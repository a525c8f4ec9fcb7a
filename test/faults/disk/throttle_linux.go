package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// blkioRoot is where version 1 of the block I/O controller is mounted. Version
// 2 has no limit for its root group, where the kernel's own writers are.
const blkioRoot = "/sys/fs/cgroup/blkio"

// Slow lets the disk write so many bytes a second: data and journal, in the
// background and in fsync. Zero is full speed. It holds across Remount.
//
// It concerns processes in the block I/O group of the test, such as brokers
// that it starts, and the kernel's.
func (d *Ext4) Slow(bytesPerSecond int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.throttle = bytesPerSecond
	return d.setThrottle(bytesPerSecond)
}

// setThrottle writes the limit for the device. REQUIRES: d.mu is held.
func (d *Ext4) setThrottle(bytesPerSecond int64) error {
	if !d.mounted {
		return nil
	}
	if _, err := os.Stat(blkioRoot); bytesPerSecond == 0 && errors.Is(err, os.ErrNotExist) {
		return nil // there is no limit that could be removed
	}
	own, err := ownBlkioGroup()
	if err != nil {
		return err
	}
	const loopMajor = 7
	limit := fmt.Sprintf("%d:%d %d", loopMajor, d.device.number, bytesPerSecond)
	// Processes sync for themselves, the journal and the flusher are the kernel's.
	for _, group := range uniq(blkioRoot, filepath.Join(blkioRoot, own)) {
		name := filepath.Join(group, "blkio.throttle.write_bps_device")
		if err := os.WriteFile(name, []byte(limit), 0o644); err != nil {
			return fmt.Errorf("limit of %s to %d B/s: %w", d.device.path(), bytesPerSecond, err)
		}
	}
	return nil
}

func uniq(a, b string) []string {
	if a == b {
		return []string{a}
	}
	return []string{a, b}
}

// ownBlkioGroup is the group of this process, below blkioRoot.
func ownBlkioGroup() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(fields) == 3 && fields[1] == "blkio" {
			return fields[2], nil
		}
	}
	return "", errors.New("no blkio cgroup of version 1")
}
