package meta

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"

	"github.com/chronik-project/chronik/internal/vfs"
)

// onVFS lets raft-wal write to a file system that can lose power.
type onVFS struct{ vfs.FS }

func (f onVFS) ListDir(dir string) ([]string, error) { return f.ReadDir(dir) }

func (f onVFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	path := filepath.Join(dir, name)
	if _, _, err := f.Stat(path); err == nil {
		return nil, fs.ErrExist
	}
	file, err := f.FS.Create(path)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(int64(size)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &newFile{File: file, fs: f.FS, dir: dir}, nil
}

func (f onVFS) Delete(dir, name string) error {
	if err := f.Remove(filepath.Join(dir, name)); err != nil {
		return err
	}
	return f.SyncDir(dir)
}

func (f onVFS) OpenReader(dir, name string) (types.ReadableFile, error) {
	return f.Open(filepath.Join(dir, name))
}

func (f onVFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	return f.OpenWrite(filepath.Join(dir, name))
}

// newFile syncs its name with its first sync, as raft-wal's own does.
type newFile struct {
	vfs.File
	fs    vfs.FS
	dir   string
	named bool
}

func (f *newFile) Sync() error {
	if err := f.File.Sync(); err != nil || f.named {
		return err
	}
	f.named = true
	return f.fs.SyncDir(f.dir)
}

func openOn(fsys vfs.FS) (*diskLog, error) {
	o := Options{Dir: "raft", FS: fsys, SegmentBytes: 8 << 10}.withDefaults()
	return openDiskLog(o, "raft/log", segment.NewFiler("raft/log", onVFS{fsys}))
}

// voter is what a log and its term must be: each change is confirmed or in the
// middle of being made.
type voter struct {
	rng     *rand.Rand
	now     voterState // confirmed
	next    voterState // what is being made of it
	witness witness
}

type voterState struct {
	first   uint64
	entries []raft.Log // from first on
	term    uint64
}

func (s voterState) last() uint64 { return s.first + uint64(len(s.entries)) - 1 }

// step makes one change, as raft does.
func (v *voter) step(l *diskLog) error {
	v.next = v.now
	var err error
	switch n := v.rng.IntN(20); {
	case n < 12:
		var batch []*raft.Log
		for range 1 + v.rng.IntN(3) {
			entry := raft.Log{Index: v.next.last() + 1, Term: v.now.term, Type: raft.LogCommand, Data: fmt.Appendf(nil, "%0*d", v.rng.IntN(400), v.rng.Int64())}
			batch = append(batch, &entry)
			v.next.entries = append(v.next.entries[:len(v.next.entries):len(v.next.entries)], entry)
		}
		err = l.StoreLogs(batch)
	case n < 14:
		v.next.term++
		err = l.SetUint64(currentTerm, v.next.term)
	case n < 15 && len(v.now.entries) > 3:
		cut := v.now.last() - uint64(v.rng.IntN(3))
		v.next.entries = v.next.entries[:cut-v.now.first]
		err = l.DeleteRange(cut, v.now.last())
	case n < 16 && len(v.now.entries) > 40:
		upTo := v.now.first + uint64(v.rng.IntN(30))
		v.next.entries = v.next.entries[upTo+1-v.now.first:]
		v.next.first = upTo + 1
		err = l.DeleteRange(v.now.first, upTo)
	default:
		l.at = time.Time{}
		err = l.note()
	}
	if err == nil {
		v.now, v.witness = v.next, l.witness
	}
	return err
}

// read is what a log holds.
func read(l *diskLog) (s voterState, err error) {
	if s.first, err = l.FirstIndex(); err != nil {
		return s, err
	}
	last, err := l.LastIndex()
	if err != nil {
		return s, err
	}
	for i := s.first; i <= last && i > 0; i++ {
		var entry raft.Log
		if err := l.GetLog(i, &entry); err != nil {
			return s, err
		}
		s.entries = append(s.entries, entry)
	}
	s.first = max(s.first, 1)
	s.term, err = l.GetUint64(currentTerm)
	if errors.Is(err, wal.ErrNotFound) {
		err = nil
	}
	return s, err
}

func (s voterState) equal(o voterState) bool {
	return s.first == o.first && s.term == o.term && s.startsWith(o) && len(s.entries) == len(o.entries)
}

// startsWith reports whether the log goes on from the other one.
func (s voterState) startsWith(o voterState) bool {
	if len(o.entries) > len(s.entries) {
		return false
	}
	for i, entry := range o.entries {
		if s.entries[i].Index != entry.Index || s.entries[i].Term != entry.Term || string(s.entries[i].Data) != string(entry.Data) {
			return false
		}
	}
	return true
}

// reopen compares what is on a disk with what was confirmed.
func (v *voter) reopen(disk *vfs.Mem) error {
	l, err := openOn(disk)
	if err != nil {
		return err
	}
	got, err := read(l)
	if err := errors.Join(err, l.Close()); err != nil {
		return err
	}
	// Entries of a batch that was torn may be there in part, and a log that was to
	// lose its beginning may still have it.
	low, high := v.now, v.next
	switch {
	case got.equal(low), got.equal(high):
	case got.term == low.term && got.first == low.first && high.startsWith(got) && got.startsWith(low):
	default:
		return fmt.Errorf("entries %d to %d in term %d; confirmed were %d to %d in term %d, then %d to %d in term %d",
			got.first, got.last(), got.term, low.first, low.last(), low.term, high.first, high.last(), high.term)
	}
	return nil
}

// TestStoreAtEveryOperation stops a voter's store at each operation on the file
// system, loses power or fails the disk there, and opens it again.
func TestStoreAtEveryOperation(t *testing.T) {
	t.Parallel()
	rules := map[string]vfs.Rule{
		"power cut":   {},
		"EIO":         {Op: vfs.OpChange, Times: 1, Err: syscall.EIO, Forget: true},
		"EIO always":  {Op: vfs.OpChange, Err: syscall.EIO, Forget: true},
		"ENOSPC":      {Op: vfs.OpChange, Times: 1, Err: syscall.ENOSPC},
		"short write": {Op: vfs.OpWrite, Times: 1, Err: syscall.EIO, Short: 20},
	}
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seeds := uint64(1)
			if *damageAll {
				seeds = 10
			}
			for seed := range seeds {
				for at := int64(0); ; at += storeStride {
					ended, err := storeTrial(seed, at, rule)
					if err != nil {
						t.Fatalf("seed %d, operation %d: %v", seed, at, err)
					}
					if ended {
						t.Logf("seed %d: %d operations", seed, at)
						break
					}
				}
			}
		})
	}
}

func storeTrial(seed uint64, at int64, rule vfs.Rule) (ended bool, err error) {
	disk := vfs.NewMem()
	fault := vfs.NewFault(disk)
	if rule.Err == nil {
		fault.StopAfter(at)
	} else {
		rule.After = at
		fault.Inject(rule)
	}
	v := &voter{rng: rand.New(rand.NewPCG(seed, 1)), now: voterState{first: 1}}
	v.next = v.now
	l, err := openOn(fault)
	for i := 0; i < 60 && err == nil; i++ {
		err = v.step(l)
	}
	ended = err == nil && fault.Ops() <= at
	fault.StopAfter(0)
	if l != nil {
		_ = l.Close()
	}
	rng := rand.New(rand.NewPCG(seed, uint64(at)))
	for _, loss := range []vfs.Loss{{}, {Rand: rng}, {KeepBytes: rng.Int64N(disk.UnsyncedBytes() + 1)}} {
		if err := v.reopen(disk.Crash(loss)); err != nil {
			return false, fmt.Errorf("after a loss of power (%v, %d): %w", loss.Rand != nil, loss.KeepBytes, err)
		}
	}
	if err := v.reopen(disk); err != nil {
		return false, fmt.Errorf("after a kill: %w", err)
	}
	return ended, nil
}
