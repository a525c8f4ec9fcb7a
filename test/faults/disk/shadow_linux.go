package disk

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Loss says what a power cut of a [Faulty] disk spares of what was not synced.
// The zero value spares nothing, which is the least that POSIX promises.
type Loss struct {
	// Rand spares a random part: sectors of files, whether a truncation
	// happened, and the oldest of the changes to names.
	Rand *rand.Rand
	// KeepNames spares all changes to names, as a file system does that wrote
	// its journal right before.
	KeepNames bool
}

// sectorBytes is what a disk writes as a whole or not at all.
const sectorBytes = 512

// shadow knows what would survive a power cut. The live files are those that
// the running system sees. Beside each the shadow keeps a copy as it was synced
// last, and beside each directory the names that were. It does not do the live
// operations itself: it is told of them.
type shadow struct {
	dir string // of the copies

	mu     sync.Mutex
	root   *inode
	ids    int64    // guarded by mu; given to inodes so far
	cut    bool     // guarded by mu; the power is off, nothing is synced any more
	names  []change // guarded by mu; unsynced, the oldest first
	random *rand.Rand
}

// inode is a file or a directory. Its fields are guarded by the shadow's mu.
type inode struct {
	id int64

	// live and durable are the names in a directory; nil for a file.
	live, durable map[string]*inode

	// syncing is held while the copy of a file is written: a second sync must
	// not return before the first one has copied.
	syncing sync.Mutex
	size    int64
	dirty   extents
	// least is the smallest size that a truncation gave since the last sync,
	// or -1.
	least int64
}

// change is an atomic change to the names in a directory; nil removes one.
type change struct {
	dir   *inode
	names map[string]*inode
}

func newShadow(dir string) (*shadow, error) {
	s := &shadow{dir: dir}
	s.root = s.newInode(true)
	return s, os.Mkdir(dir, 0o755)
}

// newInode makes an inode without a name. REQUIRES: s.mu is held, or s is new.
func (s *shadow) newInode(isDir bool) *inode {
	s.ids++
	n := &inode{id: s.ids, least: -1}
	if isDir {
		n.live, n.durable = map[string]*inode{}, map[string]*inode{}
	}
	return n
}

func (s *shadow) copyOf(n *inode) string { return filepath.Join(s.dir, fmt.Sprint(n.id)) }

// child is the inode of a name in the running system.
func (s *shadow) child(dir *inode, name string) *inode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return dir.live[name]
}

// created is told of a new file or directory.
func (s *shadow) created(dir *inode, name string, isDir bool) *inode {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.newInode(isDir)
	s.change(dir, map[string]*inode{name: n})
	return n
}

// removed is told that a name is gone.
func (s *shadow) removed(dir *inode, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(dir, map[string]*inode{name: nil})
}

// renamed is told of a move, atomic within a directory.
func (s *shadow) renamed(dir *inode, name string, newDir *inode, newName string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := dir.live[name]
	switch {
	case dir != newDir:
		s.change(newDir, map[string]*inode{newName: n})
		s.change(dir, map[string]*inode{name: nil})
	case name != newName:
		s.change(dir, map[string]*inode{name: nil, newName: n})
	}
}

// change applies a change to what is live. REQUIRES: s.mu is held.
func (s *shadow) change(dir *inode, names map[string]*inode) {
	apply(dir.live, names)
	if !s.cut {
		s.names = append(s.names, change{dir: dir, names: names})
	}
}

func apply(entries, names map[string]*inode) {
	for name, n := range names {
		if n == nil {
			delete(entries, name)
		} else {
			entries[name] = n
		}
	}
}

// syncedDir makes the names of a directory durable.
func (s *shadow) syncedDir(dir *inode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return
	}
	s.names = slices.DeleteFunc(s.names, func(c change) bool {
		if c.dir != dir {
			return false
		}
		apply(dir.durable, c.names)
		return true
	})
}

// wrote is told of a write.
func (s *shadow) wrote(n *inode, off int64, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return
	}
	n.dirty = n.dirty.add(off, off+int64(count))
	n.size = max(n.size, off+int64(count))
}

// resized is told of a truncation, which may be growth.
func (s *shadow) resized(n *inode, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return
	}
	if size < n.size {
		n.dirty = n.dirty.cut(size)
		if n.least < 0 || size < n.least {
			n.least = size
		}
	}
	n.size = size
}

// sync makes a file durable: it copies what has changed. After a cut it does
// nothing, and its caller must not say that it did.
func (s *shadow) sync(n *inode, live io.ReaderAt) error {
	n.syncing.Lock()
	defer n.syncing.Unlock()
	s.mu.Lock()
	dirty, least, size := n.dirty, n.least, n.size
	if s.cut {
		s.mu.Unlock()
		return nil
	}
	n.dirty, n.least = nil, -1
	s.mu.Unlock()
	return s.writeCopy(n, live, dirty, least, size)
}

// writeCopy brings the copy of a file up to date.
func (s *shadow) writeCopy(n *inode, live io.ReaderAt, dirty extents, least, size int64) (err error) {
	f, err := os.OpenFile(s.copyOf(n), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if least >= 0 {
		if err := f.Truncate(least); err != nil {
			return err
		}
	}
	buf := make([]byte, 128<<10)
	for _, x := range dirty {
		if err := copyRange(f, live, x.start, x.end, buf); err != nil {
			return err
		}
	}
	return f.Truncate(size)
}

// unsynced counts the bytes and the changes to names that a cut would lose.
func (s *shadow) unsynced() (bytes int64, names int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[*inode]bool{}
	var walk func(n *inode)
	walk = func(n *inode) {
		if !seen[n] {
			seen[n] = true
			bytes += n.dirty.bytes()
			for _, child := range n.live {
				walk(child)
			}
		}
	}
	walk(s.root)
	return bytes, len(s.names)
}
