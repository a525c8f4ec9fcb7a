package meta

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/raft-wal/types"

	"github.com/chronik-project/chronik/internal/vfs"
)

// metaStore keeps the list of the log's files, the term and the vote. It takes
// the place of the database that raft-wal brings, which has no checksums on what
// it stores.
type metaStore struct {
	fs vfs.FS

	mu   sync.Mutex
	file mirror   // guarded by mu
	body metaBody // guarded by mu
}

type metaBody struct {
	State  types.PersistentState `json:"state"`
	Stable map[string][]byte     `json:"stable"`
}

const (
	metaName      = "state"
	metaCopyBytes = 128 << 10 // some hundred files of the log
)

var _ types.MetaStore = (*metaStore)(nil)

// Load reads the file, or makes the first one. None, beside files of the log, is
// damage.
func (s *metaStore) Load(dir string) (types.PersistentState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = metaBody{Stable: map[string][]byte{}}
	s.file = mirror{fs: s.fs, name: filepath.Join(dir, metaName), copyBytes: metaCopyBytes}
	err := s.file.load(&s.body)
	if !vfs.IsNotExist(err) {
		if err == nil {
			err = s.file.syncName()
		}
		return s.body.State, err
	}
	names, err := s.fs.ReadDir(dir)
	if err != nil {
		return types.PersistentState{}, err
	}
	for _, other := range names {
		if strings.HasSuffix(other, ".wal") {
			return types.PersistentState{}, fmt.Errorf("%s is missing: %w", s.file.name, ErrDamaged)
		}
	}
	return s.body.State, s.file.create(s.body)
}

// change replaces the file, and only then what is in memory.
func (s *metaStore) change(edit func(*metaBody)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.body
	next.Stable = maps.Clone(next.Stable)
	edit(&next)
	if err := s.file.store(next); err != nil {
		return err
	}
	s.body = next
	return nil
}

// CommitState replaces the list of files.
func (s *metaStore) CommitState(state types.PersistentState) error {
	return s.change(func(b *metaBody) { b.State = state })
}

// SetStable stores the term or the vote.
func (s *metaStore) SetStable(key, value []byte) error {
	return s.change(func(b *metaBody) { b.Stable[string(key)] = bytes.Clone(value) })
}

// GetStable is what SetStable stored, nil if nothing.
func (s *metaStore) GetStable(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.body.Stable[string(key)]), nil
}

// Close has nothing to close.
func (*metaStore) Close() error { return nil }
