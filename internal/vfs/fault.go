package vfs

import (
	"errors"
	"io"
	"strings"
	"sync"
)

// ErrStopped is what every changing operation gives after [Fault.StopAfter].
var ErrStopped = errors.New("file system stopped")

// Op is a kind of operation that a [Rule] can match.
type Op uint8

// The kinds of operations. OpCreate to OpSyncDir change something, and are
// the ones that [Fault.Ops] counts.
const (
	OpAny Op = iota
	OpOpen
	OpRead
	OpStat
	OpList
	OpCreate
	OpWrite
	OpSync
	OpTruncate
	OpRename
	OpRemove
	OpMkdir
	OpSyncDir
	// OpChange is any of those that change something.
	OpChange
)

func (o Op) changes() bool { return o >= OpCreate }

// covers reports whether a rule for o is about an operation.
func (o Op) covers(done Op) bool {
	return o == OpAny || o == done || o == OpChange && done.changes()
}

// Rule makes operations fail. The zero value of a field matches everything.
type Rule struct {
	// Op is the kind of operation.
	Op Op
	// Path is a part of the file's name.
	Path string
	// After lets every operation pass that has fewer changing ones before it,
	// counted as by [Fault.Ops].
	After int64
	// Skip lets so many matching operations pass first.
	Skip int
	// Times is how many of them fail after that. The default is all.
	Times int
	// Err is what they return.
	Err error
	// Short is how many bytes a write still writes before it fails.
	Short int
	// Flip lets a read succeed but flips a bit in the middle of what it read.
	Flip bool
	// Forget makes a Sync that fails do what the kernel does: what was written
	// until then is still read, but no later Sync brings it to the disk. Only
	// [Mem] can.
	Forget bool
}

// Fault wraps a file system and makes chosen operations fail.
type Fault struct {
	fs FS

	mu    sync.Mutex
	rules []*ruleState            // guarded by mu
	watch func(Op, string, error) // guarded by mu
	ops   int64                   // guarded by mu
	limit int64                   // guarded by mu; negative = no limit
}

type ruleState struct {
	Rule
	seen int
}

// NewFault returns a wrapper that lets everything pass until it is told
// otherwise.
func NewFault(fsys FS) *Fault { return &Fault{fs: fsys, limit: -1} }

// Inject adds a rule; the first rule that matches an operation decides.
func (f *Fault) Inject(r Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &ruleState{Rule: r})
}

// Watch has fn called with every operation before it is done, and with the
// error that it is made to fail with, if any. Fn must not use the file system.
func (f *Fault) Watch(fn func(op Op, path string, failed error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch = fn
}

// Clear removes all rules and the limit of StopAfter.
func (f *Fault) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.limit = nil, -1
}

// StopAfter lets so many changing operations pass, counted since the wrapper
// was made, and fails all later ones with [ErrStopped]: what is below then is
// the disk of a process that was killed between two operations.
func (f *Fault) StopAfter(ops int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = ops
}

// Ops counts the changing operations so far.
func (f *Fault) Ops() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// check counts an operation and returns the rule that it falls under, if any.
func (f *Fault) check(op Op, path string) (r Rule, hit bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watch != nil {
		defer func() { f.watch(op, path, r.Err) }()
	}
	before := f.ops
	if op.changes() {
		if f.limit >= 0 && f.ops >= f.limit {
			return Rule{Err: ErrStopped}, true
		}
		f.ops++
	}
	for _, r := range f.rules {
		if !r.Op.covers(op) || before < r.After || !strings.Contains(path, r.Path) {
			continue
		}
		r.seen++
		if r.seen <= r.Skip || r.Times > 0 && r.seen > r.Skip+r.Times {
			continue
		}
		return r.Rule, true
	}
	return Rule{}, false
}

// fail is check for operations that either work or do not.
func (f *Fault) fail(op Op, path string) error {
	r, hit := f.check(op, path)
	if !hit {
		return nil
	}
	return r.Err
}

// Open implements [FS].
func (f *Fault) Open(name string) (File, error) {
	return f.open(OpOpen, name, f.fs.Open)
}

// OpenWrite implements [FS].
func (f *Fault) OpenWrite(name string) (File, error) {
	return f.open(OpOpen, name, f.fs.OpenWrite)
}

// Create implements [FS].
func (f *Fault) Create(name string) (File, error) {
	return f.open(OpCreate, name, f.fs.Create)
}

func (f *Fault) open(op Op, name string, open func(string) (File, error)) (File, error) {
	if err := f.fail(op, name); err != nil {
		return nil, err
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, fault: f}, nil
}

// Rename implements [FS].
func (f *Fault) Rename(oldName, newName string) error {
	if err := f.fail(OpRename, newName); err != nil {
		return err
	}
	return f.fs.Rename(oldName, newName)
}

// Remove implements [FS].
func (f *Fault) Remove(name string) error {
	if err := f.fail(OpRemove, name); err != nil {
		return err
	}
	return f.fs.Remove(name)
}

// RemoveAll implements [FS].
func (f *Fault) RemoveAll(name string) error {
	if err := f.fail(OpRemove, name); err != nil {
		return err
	}
	return f.fs.RemoveAll(name)
}

// MkdirAll implements [FS].
func (f *Fault) MkdirAll(dir string) error {
	if err := f.fail(OpMkdir, dir); err != nil {
		return err
	}
	return f.fs.MkdirAll(dir)
}

// ReadDir implements [FS].
func (f *Fault) ReadDir(dir string) ([]string, error) {
	if err := f.fail(OpList, dir); err != nil {
		return nil, err
	}
	return f.fs.ReadDir(dir)
}

// Stat implements [FS].
func (f *Fault) Stat(name string) (size int64, isDir bool, err error) {
	if err := f.fail(OpStat, name); err != nil {
		return 0, false, err
	}
	return f.fs.Stat(name)
}

// SyncDir implements [FS].
func (f *Fault) SyncDir(dir string) error {
	if err := f.fail(OpSyncDir, dir); err != nil {
		return err
	}
	return f.fs.SyncDir(dir)
}

// Lock implements [FS].
func (f *Fault) Lock(name string) (io.Closer, error) { return f.fs.Lock(name) }

// Free implements [FS].
func (f *Fault) Free(dir string) (uint64, error) { return f.fs.Free(dir) }

// faultFile is an open file of a Fault.
type faultFile struct {
	File
	fault *Fault
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	r, hit := f.fault.check(OpRead, f.Name())
	if hit && !r.Flip {
		return 0, r.Err
	}
	n, err := f.File.ReadAt(p, off)
	if hit && n > 0 {
		p[n/2] ^= 1
	}
	return n, err
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	r, hit := f.fault.check(OpWrite, f.Name())
	if !hit {
		return f.File.WriteAt(p, off)
	}
	n, err := f.File.WriteAt(p[:min(r.Short, len(p))], off)
	return n, errors.Join(r.Err, err)
}

func (f *faultFile) Sync() error {
	r, hit := f.fault.check(OpSync, f.Name())
	if !hit || r.Err == nil {
		return f.File.Sync()
	}
	if mem, ok := f.File.(*memFile); ok && r.Forget {
		mem.forget()
	}
	return r.Err
}

func (f *faultFile) Truncate(size int64) error {
	if err := f.fault.fail(OpTruncate, f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}
