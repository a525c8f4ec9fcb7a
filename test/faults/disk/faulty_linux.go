package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// FaultyOptions say what a [Faulty] disk is. Zero means the default.
type FaultyOptions struct {
	// LoseUnsynced makes a power cut lose what was not synced. It costs a
	// second copy of all files, and a sync the time to write to it. Without
	// it a power cut keeps what was written: it is then like a kill of all
	// processes in the middle of an operation.
	LoseUnsynced bool
	// In is the directory that holds the files.
	//
	// The default is /dev/shm.
	In string
}

// Faulty is a disk that does what it is told to. It is a FUSE file system over
// a directory, served by the test process, and implements [Volatile]. Its
// methods are safe for concurrent use.
//
// The kernel hands it each write, sync, truncation and change to a name, in
// writes of at most 1 MiB. It caches what was read: reads are seen, and counted,
// when a file is read for the first time since it was opened or since a rule
// for reads was injected.
//
// The test process must not start another one in a directory of the disk, nor
// map its files: it would wait for itself. While operations hang it should not
// use the disk at all; it could not be killed then.
type Faulty struct {
	work   *workspace
	rules  rules
	shadow *shadow // nil if nothing is lost
	life   atomic.Pointer[life]

	mu     sync.Mutex
	server *fuse.Server // guarded by mu; nil while unmounted
	root   *node        // guarded by mu
	loss   Loss         // guarded by mu
}

var _ Volatile = (*Faulty)(nil)

// NewFaulty makes and mounts a disk, which ends with the test.
func NewFaulty(t testing.TB, o FaultyOptions) *Faulty {
	t.Helper()
	w := newWorkspace(t, o.In)
	t.Cleanup(func() { report(t, w.close()) })
	d := &Faulty{work: w}
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	must(os.Mkdir(d.live(), 0o755))
	if o.LoseUnsynced {
		s, err := newShadow(filepath.Join(w.dir, "durable"))
		must(err)
		d.shadow = s
	}
	t.Cleanup(func() { report(t, d.close()) })
	must(d.Remount())
	return d
}

// Dir implements [Disk]. It is the root of the file system.
func (d *Faulty) Dir() string { return d.work.mountPoint() }

// live is the directory behind the file system.
func (d *Faulty) live() string { return filepath.Join(d.work.dir, "live") }

// Inject puts a rule to work. Of the rules that match an operation, the one
// that was injected first decides. It panics on a malformed pattern.
func (d *Faulty) Inject(r Rule) *Injection {
	i, err := d.rules.inject(r)
	if err != nil {
		panic(fmt.Sprintf("pattern %q: %v", r.Path, err))
	}
	if r.acts() && (r.Op == "" || r.Op == OpRead) {
		d.dropCaches()
	}
	return i
}

// Clear removes all rules.
func (d *Faulty) Clear() { d.rules.remove(func(*Injection) bool { return true }) }

// Count is how many operations of a kind there were since the disk was made.
func (d *Faulty) Count(op Op) int64 { return d.rules.count(op) }

// Unsynced is how many bytes, and changes to names, a power cut would lose now.
func (d *Faulty) Unsynced() (bytes int64, names int) {
	if d.shadow == nil {
		return 0, 0
	}
	return d.shadow.unsynced()
}

// SetLoss says what the next power cuts spare.
func (d *Faulty) SetLoss(l Loss) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loss = l
}

// PowerCut implements [Volatile]. All operations hang from now on, also those
// under way, until Remount: so no process can tell that from a slow disk.
func (d *Faulty) PowerCut() error {
	d.powerOff()
	return nil
}

// PowerOff is closed when the power is cut, be it by a rule. Remount makes a
// new one.
func (d *Faulty) PowerOff() <-chan struct{} { return d.life.Load().off }

func (d *Faulty) powerOff() {
	l := d.life.Load()
	l.once.Do(func() {
		if d.shadow != nil {
			d.shadow.powerOff()
		}
		close(l.off)
	})
}

// Remount implements [Volatile].
func (d *Faulty) Remount() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.unmount(); err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Stat(d.live(), &st); err != nil {
		return err
	}
	loopback := &fs.LoopbackRoot{Path: d.live(), Dev: st.Dev}
	d.root = &node{LoopbackNode: &fs.LoopbackNode{RootData: loopback}, disk: d}
	loopback.RootNode = d.root
	if d.shadow != nil {
		d.root.inode.Store(d.shadow.root)
	}
	d.life.Store(newLife())
	return d.mount()
}

// mount serves the file system. The library opens the device in a way that a
// child would inherit, and a broker that held it would keep the disk of a
// killed test alive. REQUIRES: d.mu is held.
func (d *Faulty) mount() error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	server, err := fs.Mount(d.Dir(), d.root, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, FsName: "chronik-faulty", Name: "faulty",
		MaxWrite: 1 << 20, DisableXAttrs: true, AllowOther: true,
	}})
	if err != nil {
		return fmt.Errorf("mount %s: %w", d.Dir(), err)
	}
	d.server = server
	return errors.Join(keepFromChildren(), d.firstFlush())
}

// firstFlush closes a file, which makes the kernel ask whether that matters:
// see [handle.Flush]. Neither the rules nor the shadow know of this file.
func (d *Faulty) firstFlush() error {
	const name = "flush"
	behind := filepath.Join(d.live(), name)
	if err := os.WriteFile(behind, nil, 0o600); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(d.Dir(), name))
	if err == nil {
		err = f.Close()
	}
	d.life.Load().begun.Store(true)
	return errors.Join(err, os.Remove(behind))
}

// keepFromChildren lets no child inherit the device.
func keepFromChildren() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); target == "/dev/fuse" {
			var fd int
			if _, err := fmt.Sscan(e.Name(), &fd); err != nil {
				return err
			}
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// unmount lets go of all that hang, waits until the kernel has nothing to ask
// any more, and takes away what a power cut has lost. REQUIRES: d.mu is held.
func (d *Faulty) unmount() error {
	if d.server == nil {
		return nil
	}
	l := d.life.Load()
	l.end.Do(func() { close(l.over) })
	if err := unmount(d.Dir()); err != nil {
		return err
	}
	d.server.Wait()
	d.server = nil
	select {
	case <-l.off:
		if d.shadow != nil {
			return d.shadow.powerOn(d.live(), d.loss)
		}
	default:
	}
	return nil
}

func (d *Faulty) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.unmount()
	if err != nil {
		err = errors.Join(err, detach(d.Dir()))
	}
	return err
}

// dropCaches makes the kernel ask again for what it has read.
func (d *Faulty) dropCaches() {
	d.mu.Lock()
	root := d.root
	d.mu.Unlock()
	var walk func(n *fs.Inode)
	walk = func(n *fs.Inode) {
		for _, child := range n.Children() {
			walk(child)
		}
		if !n.IsDir() {
			_ = n.NotifyContent(0, 0) // it fails for what the kernel has forgotten
		}
	}
	walk(root.EmbeddedInode())
}

// begin is where an operation meets the rules. It returns the rule that says
// how to do it, or the error with which it ends undone.
func (d *Faulty) begin(ctx context.Context, op Op, name string) (Rule, syscall.Errno) {
	l := d.life.Load()
	if !l.begun.Load() {
		return Rule{}, 0
	}
	if errno := l.hang(ctx); errno != 0 {
		return Rule{}, errno
	}
	i := d.rules.match(op, name)
	if i == nil {
		return Rule{}, 0
	}
	if i.rule.Delay > 0 {
		timer := time.NewTimer(i.rule.Delay)
		defer timer.Stop()
		if errno := l.await(ctx, timer.C, nil); errno != 0 {
			return Rule{}, errno
		}
	}
	if i.rule.Hang {
		if errno := l.await(ctx, nil, i.removed); errno != 0 {
			return Rule{}, errno
		}
	}
	if i.rule.PowerCut && (op != OpWrite || i.rule.Keep == 0) {
		d.powerOff()
		return Rule{}, l.hang(ctx)
	}
	return i.rule, 0
}

// simple is begin for operations that are done as a whole or not at all.
func (d *Faulty) simple(ctx context.Context, op Op, name string) syscall.Errno {
	rule, errno := d.begin(ctx, op, name)
	if errno != 0 {
		return errno
	}
	return rule.Err
}

// done keeps the outcome of an operation back if the power is off.
func (d *Faulty) done(ctx context.Context, errno syscall.Errno) syscall.Errno {
	if off := d.life.Load().hang(ctx); off != 0 {
		return off
	}
	return errno
}
