package meta

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// snapshotStore is raft's, which checks the image when it is read and passes over
// a snapshot that it cannot read. What it lacks is a checksum of the description,
// which says who votes, and a look at what is there before anybody relies on it.
type snapshotStore struct {
	raft.SnapshotStore
	fs  vfs.FS
	dir string
}

// sumFile is the checksum of a snapshot's description, in a file beside it.
const sumFile = "meta.sum"

func (r *Raft) openSnapshots() (*snapshotStore, error) {
	store, err := raft.NewFileSnapshotStoreWithLogger(r.o.Dir, keepSnapshots, newRaftLog(r.o.Logger))
	if err != nil {
		return nil, fmt.Errorf("open metadata snapshots: %w", err)
	}
	s := &snapshotStore{SnapshotStore: store, fs: r.o.FS, dir: filepath.Join(r.o.Dir, "snapshots")}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("open metadata snapshots: %w; remove %s and start again: the other brokers have what was in it", err, r.o.Dir)
	}
	return s, nil
}

// Create begins a snapshot.
func (s *snapshotStore) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, at uint64, t raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(v, index, term, c, at, t)
	if err != nil {
		return nil, err
	}
	return snapshotSink{SnapshotSink: sink, store: s}, nil
}

type snapshotSink struct {
	raft.SnapshotSink
	store *snapshotStore
}

// Close completes the snapshot.
func (s snapshotSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil {
		return err
	}
	list, err := s.store.List()
	for _, m := range list {
		if m.ID == s.ID() && err == nil {
			err = vfs.WriteFileAtomic(s.store.fs, s.store.sumOf(m), describe(m))
		}
	}
	return err
}

func (s *snapshotStore) sumOf(m *raft.SnapshotMeta) string {
	return filepath.Join(s.dir, m.ID, sumFile)
}

// describe is the checksum of a description, as text.
func describe(m *raft.SnapshotMeta) []byte {
	raw, _ := json.Marshal(m) //nolint:errchkjson // numbers and strings
	return fmt.Appendf(nil, "%08x\n", crc32.Checksum(raw, castagnoli))
}

// check reads every snapshot.
func (s *snapshotStore) check() error {
	list, err := s.List()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, m := range list {
		known[m.ID] = true
		if err := s.checkOne(m); err != nil {
			return fmt.Errorf("%s: %w: %w", filepath.Join(s.dir, m.ID), ErrDamaged, err)
		}
	}
	names, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !known[name] && !strings.HasSuffix(name, ".tmp") && len(list) < keepSnapshots {
			return fmt.Errorf("%s cannot be read: %w", filepath.Join(s.dir, name), ErrDamaged)
		}
	}
	return nil
}

func (s *snapshotStore) checkOne(m *raft.SnapshotMeta) error {
	want, err := vfs.ReadFile(s.fs, s.sumOf(m))
	switch {
	case vfs.IsNotExist(err): // the process died before it wrote one
	case err != nil:
		return err
	case string(want) != string(describe(m)):
		return fmt.Errorf("its description has another checksum than %q", want)
	}
	if !strings.HasPrefix(m.ID, fmt.Sprintf("%d-%d-", m.Term, m.Index)) {
		return fmt.Errorf("it says that it is of term %d and index %d", m.Term, m.Index)
	}
	_, r, err := s.Open(m.ID) // checks the image's checksum
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxSnapshotBytes))
	if closed := r.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	img, err := cluster.DecodeImage(raw)
	if err == nil && img.Index() > m.Index {
		err = fmt.Errorf("its image is of index %d", img.Index())
	}
	return err
}

// checkWhole refuses a log that begins behind the latest snapshot, and a voter
// that has voted and holds nothing: something is missing.
func (r *Raft) checkWhole(logs *guardedStore, snapshots raft.SnapshotStore) error {
	list, err := snapshots.List()
	if err != nil {
		return err
	}
	first, err := logs.FirstIndex()
	if err != nil {
		return err
	}
	covered := uint64(0)
	if len(list) > 0 {
		covered = list[0].Index
	}
	term, err := logs.GetUint64(currentTerm)
	if err != nil {
		term = 0 // never set
	}
	_, _, joining := r.o.FS.Stat(r.joiningFile())
	switch {
	case first > covered+1:
		err = fmt.Errorf("the log begins at entry %d, the latest snapshot ends at %d: %w", first, covered, ErrDamaged)
	case first == 0 && covered == 0 && term > 0 && r.isVoter() && vfs.IsNotExist(joining):
		err = fmt.Errorf("a voter in term %d without a log: %w", term, ErrDamaged)
	default:
		return nil
	}
	return fmt.Errorf("open metadata log: %w; remove %s and start again: the other brokers have what was in it", err, r.o.Dir)
}
