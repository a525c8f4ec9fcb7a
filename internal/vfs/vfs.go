// Package vfs is the file-system seam below everything that chronik stores:
// the operating system's files, files in memory that can lose power, and a
// wrapper that injects faults. Storage code takes an [FS] and never calls
// package os, so every crash and every failing disk can be replayed in a test.
//
// The contract is the weak one that disks really give. Written bytes survive
// a power loss only after [File.Sync]; names of files survive only after
// [FS.SyncDir] of their directory. A Sync that failed says nothing about what
// is on disk, and must never be tried again: the kernel has already dropped
// the pages.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
)

// ErrLocked is returned by [FS.Lock] when another process, or another part of
// this one, holds the lock.
var ErrLocked = errors.New("locked by another process")

// FS is the part of a file system that chronik needs. A name that does not
// exist gives an error that wraps [io/fs.ErrNotExist]; a full disk gives one
// that [IsNoSpace] recognises. Implementations are safe for concurrent use.
type FS interface {
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenWrite opens an existing file for reading and writing.
	OpenWrite(name string) (File, error)
	// Create creates a file for reading and writing; one that exists is cut
	// to nothing.
	Create(name string) (File, error)
	// Rename moves a file within a directory, replacing what has the new name.
	// After a power loss there is the old name or the new one, never neither.
	Rename(oldName, newName string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// RemoveAll removes a tree; it is no error if there is none.
	RemoveAll(name string) error
	// MkdirAll creates a directory and its parents where they are missing.
	// They survive a power loss only after SyncDir of each parent, which
	// [MkdirAllSync] does.
	MkdirAll(dir string) error
	// ReadDir lists the names in a directory, sorted.
	ReadDir(dir string) ([]string, error)
	// Stat tells the size of a file in bytes, or that the name is a directory.
	Stat(name string) (size int64, isDir bool, err error)
	// SyncDir makes the names in a directory survive a power loss.
	SyncDir(dir string) error
	// Lock takes an exclusive lock, which ends with Close or with the process.
	Lock(name string) (io.Closer, error)
	// Free tells how many bytes may still be written below a directory.
	Free(dir string) (uint64, error)
}

// File is an open file. Its methods may be called concurrently.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the written bytes, and the size that they gave the file,
	// survive a power loss (fdatasync). It says nothing about the name.
	Sync() error
	// Truncate sets the size; a file that grows is filled with zeros.
	Truncate(size int64) error
	// Size tells how long the file is.
	Size() (int64, error)
	// Name is the name that the file was opened under.
	Name() string
}

// ReadFile reads a whole file.
func ReadFile(fsys FS, name string) (data []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data = make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data[:n], nil
}

// WriteFileAtomic replaces a file so that, whatever happens, either the old or
// the new content is found under the name, and the new one is on disk when it
// returns. A failed attempt leaves no other file behind.
func WriteFileAtomic(fsys FS, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := writeSynced(fsys, tmp, data); err != nil {
		return errors.Join(err, RemoveIfExists(fsys, tmp))
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return errors.Join(err, RemoveIfExists(fsys, tmp))
	}
	return fsys.SyncDir(filepath.Dir(name))
}

func writeSynced(fsys FS, name string, data []byte) (err error) {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	return f.Sync()
}

// MkdirAllSync creates a directory and its missing parents, and makes all of
// them survive a power loss. It syncs the name of the deepest directory that
// exists as well: an earlier process may have died right after creating it.
func MkdirAllSync(fsys FS, dir string) error {
	var missing []string
	deepest := filepath.Clean(dir)
	for ; deepest != filepath.Dir(deepest); deepest = filepath.Dir(deepest) {
		if _, _, err := fsys.Stat(deepest); err == nil {
			break
		}
		missing = append(missing, deepest)
	}
	// A parent that this user may not read was made by somebody else.
	if err := fsys.SyncDir(filepath.Dir(deepest)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for _, d := range slices.Backward(missing) {
		if err := fsys.MkdirAll(d); err != nil {
			return err
		}
		if err := fsys.SyncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}

// RemoveIfExists removes a file; it is no error if there is none.
func RemoveIfExists(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !IsNotExist(err) {
		return err
	}
	return nil
}
