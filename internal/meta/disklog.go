package meta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"

	"github.com/chronik-project/chronik/internal/vfs"
)

// diskLog is raft-wal with what it lacks. It checks only the last entries when
// it is opened and none when they are read, takes the log to end at the first
// thing it cannot read, and cannot tell an older copy of a file from the latest.
// A voter that forgets entries it has confirmed, or its term, may help to elect a
// leader that lacks what is committed.
type diskLog struct {
	*wal.WAL

	mu      sync.Mutex
	file    mirror    // guarded by mu; of the witness
	witness witness   // guarded by mu; what the file says
	at      time.Time // guarded by mu; when it was written
}

// witness is how far the log and the term have been on disk at least. It is
// written once a second at most, after the fact.
type witness struct {
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"` // the current one
}

const witnessInterval = time.Second

// witnessCopyBytes is a sector.
const witnessCopyBytes = 512

func (r *Raft) openLog() (*diskLog, error) {
	dir := filepath.Join(r.o.Dir, "log")
	files := newReserveFS(r.o.Dir, r.o.SegmentBytes, r.o.Logger)
	l, err := openDiskLog(r.o, dir, segment.NewFiler(dir, files))
	if errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("open metadata log: %w; remove %s and start again: the other brokers have what was in it", err, r.o.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open metadata log: %w", err)
	}
	files.fill() // not before the log: at the first start there is no directory
	return l, nil
}

func openDiskLog(o Options, dir string, files types.SegmentFiler) (*diskLog, error) {
	if err := vfs.MkdirAllSync(o.FS, dir); err != nil {
		return nil, fmt.Errorf("create %s: %w", dir, err)
	}
	l := &diskLog{file: mirror{fs: o.FS, name: filepath.Join(o.Dir, "log-witness"), copyBytes: witnessCopyBytes}}
	if err := l.loadWitness(); err != nil {
		return nil, err
	}
	var err error
	l.WAL, err = wal.Open(dir, wal.WithMetaStore(&metaStore{fs: o.FS}), wal.WithSegmentFiler(files),
		wal.WithSegmentSize(o.SegmentBytes), wal.WithLogger(newRaftLog(o.Logger)))
	if err != nil {
		if errors.Is(err, types.ErrCorrupt) || vfs.IsNotExist(err) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := l.check(dir); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// loadWitness reads the witness. One that cannot be read proves nothing, and is
// made anew.
func (l *diskLog) loadWitness() error {
	err := l.file.load(&l.witness)
	switch {
	case err == nil:
		return l.file.syncName()
	case vfs.IsNotExist(err), errors.Is(err, ErrDamaged):
		l.witness = witness{}
		return l.file.create(l.witness)
	default:
		return err
	}
}

// currentTerm is the name that raft stores its term under.
var currentTerm = []byte("CurrentTerm")

// check reads the whole log: it is small, and a damaged entry must be found
// before this member answers for it.
func (l *diskLog) check(dir string) error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	var entry raft.Log
	for i := first; i <= last && i > 0; i++ {
		if err := l.GetLog(i, &entry); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	term, err := l.GetUint64(currentTerm)
	if err != nil && !errors.Is(err, wal.ErrNotFound) {
		return err
	}
	switch w := l.witness; {
	case last < w.Index:
		return fmt.Errorf("%s ends at entry %d and once ended at %d: %w", dir, last, w.Index, ErrDamaged)
	case term < max(w.Term, entry.Term):
		return fmt.Errorf("%s is in term %d and once was in term %d: %w", dir, term, max(w.Term, entry.Term), ErrDamaged)
	}
	return nil
}

// entrySum covers what an entry means and where it belongs.
func entrySum(l *raft.Log) []byte {
	p := make([]byte, 17, 17+len(l.Data))
	binary.LittleEndian.PutUint64(p, l.Index)
	binary.LittleEndian.PutUint64(p[8:], l.Term)
	p[16] = byte(l.Type)
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(append(p, l.Data...), castagnoli))
}

// StoreLog stores one entry.
func (l *diskLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs stores entries, each with its checksum in a field that raft leaves
// to those between it and the disk.
func (l *diskLog) StoreLogs(entries []*raft.Log) error {
	summed := make([]*raft.Log, len(entries))
	for i, entry := range entries {
		if len(entry.Extensions) > 0 {
			return fmt.Errorf("store entry %d: its extensions are in use", entry.Index)
		}
		one := *entry
		one.Extensions = entrySum(entry)
		summed[i] = &one
	}
	return l.WAL.StoreLogs(summed)
}

// GetLog reads and checks an entry.
func (l *diskLog) GetLog(index uint64, entry *raft.Log) error {
	*entry = raft.Log{}
	err := l.WAL.GetLog(index, entry)
	if errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	if err != nil {
		return fmt.Errorf("entry %d: %w: %w", index, ErrDamaged, err)
	}
	if entry.Index != index || string(entrySum(entry)) != string(entry.Extensions) {
		return fmt.Errorf("entry %d: checksum does not match: %w", index, ErrDamaged)
	}
	entry.Extensions = nil
	return nil
}

// DeleteRange deletes entries at either end. The witness is taken back before
// the log is cut.
func (l *diskLog) DeleteRange(low, high uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, err := l.LastIndex(); err != nil {
		return err
	} else if high >= last && l.witness.Index >= low {
		first, err := l.FirstIndex()
		if err != nil {
			return err
		}
		w := witness{Index: low - 1, Term: l.witness.Term}
		if low <= first {
			w.Index = 0 // nothing is left: a snapshot holds it all
		}
		if err := l.testify(w); err != nil {
			return err
		}
	}
	return l.WAL.DeleteRange(low, high)
}

// note writes the witness if it is old. It is called twice a second or more.
func (l *diskLog) note() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	term, err := l.GetUint64(currentTerm)
	if err != nil && !errors.Is(err, wal.ErrNotFound) {
		return err
	}
	now := witness{Index: last, Term: term}
	if now == l.witness || time.Since(l.at) < witnessInterval {
		return nil
	}
	return l.testify(now)
}

// forgetTerm takes the term back, of a log that is empty.
func (l *diskLog) forgetTerm() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.testify(witness{Index: l.witness.Index}); err != nil {
		return err
	}
	return l.SetUint64(currentTerm, 0)
}

// testify replaces the witness. REQUIRES: l.mu is held.
func (l *diskLog) testify(w witness) error {
	if err := l.file.store(w); err != nil {
		return err
	}
	l.witness, l.at = w, time.Now()
	return nil
}
