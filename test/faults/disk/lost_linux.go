package disk

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// powerOff ends the durable state where it is.
func (s *shadow) powerOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
}

// powerOn replaces the live files by what has survived. Nobody uses either.
func (s *shadow) powerOn(live string, loss Loss) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	survivors := len(s.names)
	if !loss.KeepNames {
		survivors = 0
		if loss.Rand != nil {
			survivors = loss.Rand.IntN(len(s.names) + 1)
		}
	}
	for _, c := range s.names[:survivors] {
		apply(c.dir.durable, c.names)
	}
	s.random = loss.Rand
	paths := map[*inode]string{}
	findLive(s.root, live, paths)
	rebuilt := live + ".new"
	copies := map[int64]bool{}
	if err := s.rebuild(s.root, rebuilt, paths, copies); err != nil {
		return err
	}
	s.names, s.cut = nil, false
	if err := errors.Join(os.RemoveAll(live), os.Rename(rebuilt, live)); err != nil {
		return err
	}
	return s.forget(copies)
}

// findLive tells where the running system had its files.
func findLive(n *inode, path string, paths map[*inode]string) {
	paths[n] = path
	for name, child := range n.live {
		findLive(child, filepath.Join(path, name), paths)
	}
}

// rebuild writes what has survived of a file or a directory to path.
// REQUIRES: s.mu is held.
func (s *shadow) rebuild(n *inode, path string, paths map[*inode]string, copies map[int64]bool) error {
	if n.durable == nil {
		copies[n.id] = true
		if err := s.spare(n, paths[n]); err != nil {
			return err
		}
		return s.restore(n, path)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(n.durable)) { // in order, for the sake of the seed
		if err := s.rebuild(n.durable[name], filepath.Join(path, name), paths, copies); err != nil {
			return err
		}
	}
	n.live = maps.Clone(n.durable)
	return nil
}

// spare lets a random part of a file's unsynced changes be durable. What was
// removed from the running system is not at hand any more: of that nothing is.
// REQUIRES: s.mu is held.
func (s *shadow) spare(n *inode, live string) error {
	info, err := os.Stat(s.copyOf(n))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	size := int64(0)
	if err == nil {
		size = info.Size()
	}
	dirty, least := n.dirty, n.least
	n.dirty, n.least, n.size = nil, -1, size
	if s.random == nil || live == "" || dirty == nil && least < 0 {
		return nil
	}
	if least >= 0 && s.random.IntN(2) == 0 {
		size = min(size, least)
	} else {
		least = -1
	}
	var spared extents
	for _, x := range dirty {
		for start := x.start; start < x.end; {
			end := min((start/sectorBytes+1)*sectorBytes, x.end)
			if s.random.IntN(2) == 0 {
				spared = spared.add(start, end)
				size = max(size, end)
			}
			start = end
		}
	}
	f, err := os.Open(live)
	if err != nil {
		return err
	}
	n.size = size
	return errors.Join(s.writeCopy(n, f, spared, least, size), f.Close())
}

// restore makes a live file of the copy. One that was never synced is empty.
func (s *shadow) restore(n *inode, path string) error {
	dst, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	src, err := os.Open(s.copyOf(n))
	if errors.Is(err, os.ErrNotExist) {
		return dst.Close()
	}
	if err != nil {
		return errors.Join(err, dst.Close())
	}
	return errors.Join(copyData(dst, src), src.Close(), dst.Close())
}

// forget removes the copies of files that have no name any more.
func (s *shadow) forget(copies map[int64]bool) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var id int64
		if _, err := fmt.Sscan(e.Name(), &id); err != nil || copies[id] {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
