package testcluster

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

// Disk is a broker's disk: it keeps what was synced when the power fails, takes
// its time to sync, and freezes.
type Disk struct {
	mu     sync.Mutex
	mem    *vfs.Mem      // guarded by mu; what the next process finds
	sync   time.Duration // guarded by mu; how long a sync takes
	thawed chan struct{} // guarded by mu; closed unless frozen
}

func newDisk(sync time.Duration) *Disk {
	d := &Disk{mem: vfs.NewMem(), sync: sync, thawed: make(chan struct{})}
	close(d.thawed)
	return d
}

// SetSync sets how long each sync takes from now on.
func (d *Disk) SetSync(latency time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sync = latency
}

// Freeze lets every sync wait until Thaw. Writes and reads still succeed, as the
// page cache lets them.
func (d *Disk) Freeze() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isThawed() {
		d.thawed = make(chan struct{})
	}
}

// Thaw undoes Freeze.
func (d *Disk) Thaw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.isThawed() {
		close(d.thawed)
	}
}

// Space is what disks have free at first.
const Space = 1 << 40

// Fill leaves that much free space, however much was free before.
func (d *Disk) Fill(free int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mem.SetFree(free)
}

// isThawed REQUIRES: d.mu is held.
func (d *Disk) isThawed() bool {
	select {
	case <-d.thawed:
		return true
	default:
		return false
	}
}

// losePower leaves what was synced and, of the rest, what r decides.
func (d *Disk) losePower(r *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mem = d.mem.Crash(vfs.Loss{Rand: r})
}

// replace puts in an empty disk.
func (d *Disk) replace() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mem = vfs.NewMem()
}

// mount is a disk as one process sees it, until that process is gone.
type mount struct {
	*vfs.Fault
	disk *Disk
	ctx  context.Context //nolint:containedctx // ends with the process, which a file operation cannot be told otherwise
	gone context.CancelFunc
}

func (d *Disk) mount() *mount {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &mount{Fault: vfs.NewFault(d.mem), disk: d}
	m.ctx, m.gone = context.WithCancel(context.Background())
	return m
}

// unmount fails everything that changes the disk from now on.
func (m *mount) unmount() {
	m.StopAfter(0)
	m.gone()
}

// await takes as long as a sync does.
func (m *mount) await() error {
	m.disk.mu.Lock()
	latency, thawed := m.disk.sync, m.disk.thawed
	m.disk.mu.Unlock()
	timer := time.NewTimer(latency)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.ctx.Done():
		return vfs.ErrStopped
	}
	select {
	case <-thawed:
		return nil
	case <-m.ctx.Done():
		return vfs.ErrStopped
	}
}

// Open implements [vfs.FS].
func (m *mount) Open(name string) (vfs.File, error) { return m.slow(m.Fault.Open(name)) }

// OpenWrite implements [vfs.FS].
func (m *mount) OpenWrite(name string) (vfs.File, error) { return m.slow(m.Fault.OpenWrite(name)) }

// Create implements [vfs.FS].
func (m *mount) Create(name string) (vfs.File, error) { return m.slow(m.Fault.Create(name)) }

func (m *mount) slow(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &slowFile{File: f, mount: m}, nil
}

// SyncDir implements [vfs.FS].
func (m *mount) SyncDir(dir string) error {
	if err := m.await(); err != nil {
		return err
	}
	return m.Fault.SyncDir(dir)
}

// slowFile is an open file whose syncs take time.
type slowFile struct {
	vfs.File
	mount *mount
}

// Sync implements [vfs.File].
func (f *slowFile) Sync() error {
	if err := f.mount.await(); err != nil {
		return err
	}
	return f.File.Sync()
}
