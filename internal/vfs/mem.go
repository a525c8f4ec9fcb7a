package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory that can lose power. It is as strict as the
// contract of [FS]: unsynced bytes and unsynced names are gone after
// [Mem.Crash], unless the loss that is asked for keeps some of them.
type Mem struct {
	mu    sync.Mutex
	root  *memNode        // guarded by mu
	locks map[string]bool // guarded by mu
	order int64           // guarded by mu; numbers the unsynced changes
	room  int64           // guarded by mu; bytes that files may still grow by
}

// memNode is a directory, if it has entries, or a file. All of it is guarded
// by the mutex of the Mem that it belongs to.
type memNode struct {
	// entries are the names that the running system sees.
	entries map[string]*memNode
	// synced are the names that a power loss leaves.
	synced map[string]*memNode
	// renames are the changes from synced to entries, in order.
	renames []nameChange

	// data is the content that the running system sees.
	data []byte
	// durable is the content that a power loss leaves.
	durable []byte
	// writes are the changes from durable to data, in order.
	writes []dataChange
}

// nameChange takes one name out of a directory, puts one in, or both at once.
type nameChange struct {
	remove string
	add    string
	node   *memNode
}

// dataChange is an unsynced write, or a truncation if data is nil.
type dataChange struct {
	order int64
	off   int64
	data  []byte
}

// memRoom is the size of the disk: large, but a runaway test fails before the
// machine does.
const memRoom = 1 << 34

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{root: newMemDir(), locks: map[string]bool{}, room: memRoom}
}

func newMemDir() *memNode {
	return &memNode{entries: map[string]*memNode{}, synced: map[string]*memNode{}}
}

func (n *memNode) isDir() bool { return n.entries != nil }

// change applies a change of names and remembers it until the next SyncDir.
func (n *memNode) change(c nameChange) {
	c.apply(n.entries)
	n.renames = append(n.renames, c)
}

func (c nameChange) apply(names map[string]*memNode) {
	if c.remove != "" {
		delete(names, c.remove)
	}
	if c.add != "" {
		names[c.add] = c.node
	}
}

// SetFree sets how many bytes files may still grow by; a write beyond that
// fails with ENOSPC after it has written what fits.
func (m *Mem) SetFree(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room = bytes
}

// FlipBit damages one stored bit of a file, counted from its beginning, as a
// decaying disk would.
func (m *Mem) FlipBit(name string, bit int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.lookup("flip", name)
	if err != nil {
		return err
	}
	for _, content := range [][]byte{n.data, n.durable} {
		if bit/8 < int64(len(content)) {
			content[bit/8] ^= 1 << (bit % 8)
		}
	}
	return nil
}

// split cuts a name into its components; the root has none.
func split(name string) []string {
	name = strings.Trim(filepath.ToSlash(filepath.Clean(name)), "/")
	if name == "" || name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// lookup finds a file or directory. REQUIRES: m.mu is held.
func (m *Mem) lookup(op, name string) (*memNode, error) {
	n := m.root
	for _, part := range split(name) {
		if n = n.entries[part]; n == nil {
			return nil, notExist(op, name)
		}
	}
	return n, nil
}

// parent finds the directory that a name is in. REQUIRES: m.mu is held.
func (m *Mem) parent(op, name string) (dir *memNode, base string, err error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	last := len(parts) - 1
	dir, err = m.lookup(op, strings.Join(parts[:last], "/"))
	if err != nil || !dir.isDir() {
		return nil, "", notExist(op, name)
	}
	return dir, parts[last], nil
}

// Open implements [FS].
func (m *Mem) Open(name string) (File, error) { return m.open(name, true) }

// OpenWrite implements [FS].
func (m *Mem) OpenWrite(name string) (File, error) { return m.open(name, false) }

func (m *Mem) open(name string, readOnly bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if n.isDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	return &memFile{mem: m, node: n, name: name, readOnly: readOnly}, nil
}

// Create implements [FS].
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("create", name)
	if err != nil {
		return nil, err
	}
	n := dir.entries[base]
	switch {
	case n == nil:
		n = &memNode{}
		dir.change(nameChange{add: base, node: n})
	case n.isDir():
		return nil, &fs.PathError{Op: "create", Path: name, Err: syscall.EISDIR}
	default:
		m.truncate(n, 0)
	}
	return &memFile{mem: m, node: n, name: name}, nil
}

// Rename implements [FS].
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	oldDir, oldBase, err := m.parent("rename", oldName)
	if err != nil {
		return err
	}
	newDir, newBase, err := m.parent("rename", newName)
	if err != nil {
		return err
	}
	n := oldDir.entries[oldBase]
	if n == nil {
		return notExist("rename", oldName)
	}
	if replaced := newDir.entries[newBase]; replaced != nil && replaced != n {
		m.room += int64(len(replaced.data))
	}
	if oldDir == newDir {
		oldDir.change(nameChange{remove: oldBase, add: newBase, node: n})
		return nil
	}
	newDir.change(nameChange{add: newBase, node: n})
	oldDir.change(nameChange{remove: oldBase})
	return nil
}

// Remove implements [FS].
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	if n == nil {
		return notExist("remove", name)
	}
	if len(n.entries) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	m.room += n.bytes()
	dir.change(nameChange{remove: base})
	return nil
}

// RemoveAll implements [FS].
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil || dir.entries[base] == nil {
		return nil
	}
	m.room += dir.entries[base].bytes()
	dir.change(nameChange{remove: base})
	return nil
}

// bytes counts the content of a file or of all files in a tree.
func (n *memNode) bytes() int64 {
	total := int64(len(n.data))
	for _, child := range n.entries {
		total += child.bytes()
	}
	return total
}

// MkdirAll implements [FS].
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, part := range split(dir) {
		child := n.entries[part]
		if child == nil {
			child = newMemDir()
			n.change(nameChange{add: part, node: child})
		}
		if !child.isDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		n = child
	}
	return nil
}

// ReadDir implements [FS].
func (m *Mem) ReadDir(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.lookup("readdir", dir)
	if err != nil {
		return nil, err
	}
	if !n.isDir() {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: syscall.ENOTDIR}
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

// Stat implements [FS].
func (m *Mem) Stat(name string) (size int64, isDir bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.lookup("stat", name)
	if err != nil {
		return 0, false, err
	}
	return int64(len(n.data)), n.isDir(), nil
}

// SyncDir implements [FS].
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.lookup("syncdir", dir)
	if err != nil {
		return err
	}
	if !n.isDir() {
		return &fs.PathError{Op: "syncdir", Path: dir, Err: syscall.ENOTDIR}
	}
	n.synced = maps.Clone(n.entries)
	n.renames = nil
	return nil
}

// Lock implements [FS]. The lock does not survive [Mem.Crash].
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := strings.Join(split(name), "/")
	if m.locks[key] {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	m.locks[key] = true
	return &memLock{mem: m, key: key}, nil
}

type memLock struct {
	mem *Mem
	key string
}

func (l *memLock) Close() error {
	l.mem.mu.Lock()
	defer l.mem.mu.Unlock()
	delete(l.mem.locks, l.key)
	return nil
}

// Free implements [FS].
func (m *Mem) Free(string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(max(m.room, 0)), nil
}
