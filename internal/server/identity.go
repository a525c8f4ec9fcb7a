package server

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// identity is meta.json: who owns a data directory. See docs/formats/data-dir.md.
type identity struct {
	Version   int              `json:"version"`
	NodeID    cluster.BrokerID `json:"node_id"`
	Directory cluster.UUID     `json:"directory"`
	ClusterID string           `json:"cluster_id,omitempty"`
	// CleanShutdown is true while no process uses the directory and the last one
	// flushed everything (K31).
	CleanShutdown bool `json:"clean_shutdown"`
	// Checksum is of the others, see sum. A file without one is believed.
	Checksum string `json:"crc32c,omitempty"`
}

// sum is the CRC32C of the compact JSON without the checksum.
func (id identity) sum() (string, error) {
	id.Checksum = ""
	raw, err := json.Marshal(id)
	return fmt.Sprintf("%08x", crc32.Checksum(raw, crc32.MakeTable(crc32.Castagnoli))), err
}

// decodeIdentity reads meta.json.
func decodeIdentity(raw []byte) (id identity, err error) {
	if err := json.Unmarshal(raw, &id); err != nil || id.Checksum == "" {
		return id, err
	}
	sum, err := id.sum()
	if err == nil && sum != id.Checksum {
		err = fmt.Errorf("its crc32c is %s, it says %s", sum, id.Checksum)
	}
	return id, err
}

const (
	identityFile    = "meta.json"
	identityVersion = 1
	lockFile        = "LOCK"
)

// dataDir is a locked data directory.
type dataDir struct {
	fs   vfs.FS
	path string
	lock io.Closer

	mu sync.Mutex
	id identity // guarded by mu
}

// openDataDir locks the directory, creating it if need be, and reads or writes
// its identity. unclean says that the last process in it did not end cleanly.
func openDataDir(fsys vfs.FS, path string, node cluster.BrokerID) (d *dataDir, unclean bool, err error) {
	err = vfs.MkdirAllSync(fsys, path)
	if err == nil {
		err = fsys.MkdirAll(path) // it may be a file
	}
	if err != nil {
		return nil, false, &StartError{fmt.Errorf("create data directory %s: %w", path, err), "choose a directory this user may write to with --data-dir"}
	}
	lock, err := fsys.Lock(filepath.Join(path, lockFile))
	if err != nil {
		return nil, false, &StartError{fmt.Errorf("data directory %s is in use by another process: %w", path, err), "stop the other broker, or choose another --data-dir"}
	}
	d = &dataDir{fs: fsys, path: path, lock: lock}
	unclean, err = d.load(node)
	if err != nil {
		return nil, false, errors.Join(err, lock.Close())
	}
	return d, unclean, nil
}

// load reads meta.json, or writes a first one.
func (d *dataDir) load(node cluster.BrokerID) (unclean bool, err error) {
	name := filepath.Join(d.path, identityFile)
	raw, err := vfs.ReadFile(d.fs, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, d.found(node)
	case err != nil:
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	if d.id, err = decodeIdentity(raw); err != nil {
		return false, &StartError{fmt.Errorf("%s is damaged: %w", name, err), "restore it from a backup, or give up what this broker holds: remove the whole directory, and it is replicated anew"}
	}
	switch {
	case d.id.Version != identityVersion:
		return false, &StartError{fmt.Errorf("%s has version %d, this chronik knows %d", name, d.id.Version, identityVersion), "start the chronik version that wrote it"}
	case d.id.NodeID != node:
		return false, &StartError{fmt.Errorf("data directory %s belongs to node %d, not to node %d", d.path, d.id.NodeID, node), fmt.Sprintf("start with --node-id %d, or choose another --data-dir", d.id.NodeID)}
	}
	unclean = !d.id.CleanShutdown
	d.id.CleanShutdown = false
	return unclean, d.store(d.id)
}

// firstFilesBytes is what the first files of both logs take, with some room to
// write. A new data directory needs as much beyond the reserve that appends
// leave alone.
const firstFilesBytes = 64 << 20

// checkSpace refuses a new data directory on a full disk, before anything is
// created in it.
func (c Config) checkSpace() error {
	if _, _, err := c.FS.Stat(filepath.Join(c.DataDir, identityFile)); err == nil {
		return nil
	}
	dir := filepath.Clean(c.DataDir)
	for {
		if _, isDir, err := c.FS.Stat(dir); (err == nil && isDir) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, err := c.FS.Free(dir)
	least := uint64(c.MemoryBytes)/2 + firstFilesBytes
	if full := err == nil && free < least; !full {
		return nil // what cannot be told is found out
	}
	return &StartError{
		fmt.Errorf("no room for a data directory: %s has %d MiB free, at least %d are needed", dir, free>>20, least>>20),
		"free some space, or choose another --data-dir",
	}
}

// found gives an empty directory its identity.
func (d *dataDir) found(node cluster.BrokerID) error {
	for _, sub := range []string{"wal", "topics"} {
		if _, _, err := d.fs.Stat(filepath.Join(d.path, sub)); err == nil {
			return &StartError{fmt.Errorf("%s holds data (%s) but no %s: whose it is cannot be known", d.path, sub, identityFile), "restore " + identityFile + " from a backup, or choose an empty --data-dir"}
		}
	}
	dir, err := cluster.NewUUID(rand.Reader)
	if err != nil {
		return err
	}
	d.id = identity{Version: identityVersion, NodeID: node, Directory: dir}
	return d.store(d.id)
}

// store writes meta.json. One goroutine at a time calls it, without d.mu: every
// dial asks for the cluster id, and must not wait for a slow disk.
func (d *dataDir) store(id identity) error {
	sum, err := id.sum()
	if err != nil {
		return err
	}
	id.Checksum = sum
	raw, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(d.path, identityFile)
	if err := vfs.WriteFileAtomic(d.fs, name, append(raw, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// directory identifies the data directory.
func (d *dataDir) directory() cluster.UUID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.id.Directory
}

// renew gives the directory a new id: what it held was lost, so the cluster must
// take this broker out of every in-sync set before it counts again (R12).
func (d *dataDir) renew() error {
	dir, err := cluster.NewUUID(rand.Reader)
	if err != nil {
		return err
	}
	return d.update(func(id *identity) { id.Directory = dir })
}

// update changes the identity, on disk first.
func (d *dataDir) update(change func(*identity)) error {
	d.mu.Lock()
	id := d.id
	d.mu.Unlock()
	change(&id)
	if err := d.store(id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.id = id
	return nil
}

// clusterID is empty until the cluster's first leader has chosen it.
func (d *dataDir) clusterID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.id.ClusterID
}

// adopt remembers the cluster's id, so that this directory never joins another
// cluster. Only the broker's reconcile loop calls it.
func (d *dataDir) adopt(clusterID string) error {
	switch known := d.clusterID(); known {
	case clusterID:
		return nil
	case "":
		return d.update(func(id *identity) { id.ClusterID = clusterID })
	default:
		return fmt.Errorf("data directory %s belongs to cluster %s, the peers to cluster %s", d.path, known, clusterID)
	}
}

// close marks a clean shutdown, if it was one, and releases the directory. It is
// the last call.
func (d *dataDir) close(clean bool) error {
	var err error
	if clean {
		err = d.update(func(id *identity) { id.CleanShutdown = true })
	}
	return errors.Join(err, d.lock.Close())
}
