package segment

import (
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

// flushBytes is how much a flush writes before it publishes it.
const flushBytes = 8 << 20

// flushPlan is a part of the log that is to be written, as it was at one
// moment.
type flushPlan struct {
	batches      []record.Batch
	generation   uint32
	segmentBytes int64
	active       *file
	extent       extent // of active
}

// Flush writes the batches that are only in memory to segment files, without
// making them durable. When the disk is full the error is one that
// vfs.IsNoSpace recognises, and Flush may be tried again; after any other error
// the log has failed.
func (l *Log) Flush() error {
	w := <-l.writing
	defer func() { l.writing <- w }()
	return l.flush(w)
}

func (l *Log) flush(w *writer) error {
	for {
		p, err := l.planFlush()
		if err != nil || len(p.batches) == 0 {
			return err
		}
		pieces, err := w.write(p)
		if err == nil && l.publish(p, pieces) {
			continue
		}
		l.abandonFlush()
		if cleanup := w.discard(pieces); cleanup != nil {
			err = errors.Join(err, cleanup)
		}
		if err != nil {
			return l.flushFailed(err)
		}
	}
}

// planFlush takes the next batches to write. A truncation that comes while they
// are written makes the flush void.
func (l *Log) planFlush() (flushPlan, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.files
	if l.err != nil || s.flushed >= l.span.end {
		return flushPlan{}, l.err
	}
	p := flushPlan{
		batches:    l.tail.from(s.flushed, flushBytes),
		generation: s.generation, segmentBytes: s.segmentBytes, active: s.active,
	}
	if p.active != nil {
		p.extent = p.active.extent
	}
	s.flushing = p.batches[len(p.batches)-1].NextOffset()
	return p, nil
}

// publish lets readers see what was written, and reports false if the log was
// cut meanwhile.
func (l *Log) publish(p flushPlan, pieces []*piece) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.files
	if s.generation != p.generation {
		return false
	}
	for _, pc := range pieces {
		f := pc.f
		f.dirtyLog = f.dirtyLog || pc.x.bytes > f.bytes
		f.dirtyIndex = f.dirtyIndex || pc.created || pc.x.entries > f.entries
		f.extent = pc.x
		s.active = f
		if pc.created {
			s.live = append(s.live, f)
			s.namesDirty = true
		}
	}
	s.flushed, s.flushing = s.flushing, 0
	return true
}

func (l *Log) abandonFlush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files.flushing = 0
}

// flushFailed decides what an error of a flush means: a full disk leaves
// everything as it was, and another try may do better.
func (l *Log) flushFailed(err error) error {
	if vfs.IsNoSpace(err) {
		return l.fail("flush", -1, err)
	}
	return l.poison("flush", err)
}

// poison makes the first failure final: after a failed write or sync nobody
// knows what the files hold.
func (l *Log) poison(op string, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = l.fail(op, -1, fmt.Errorf("%w: %w", ErrFailed, err))
		l.o.Logger.Error("segment files failed", slog.String("dir", l.o.Dir), slog.Any("error", err))
	}
	return l.err
}

// Mark describes the log as it is now, for a checkpoint. It belongs to the
// position lsn of the write-ahead log, so the caller holds the lock that it
// appends to both under. It supersedes the mark before.
func (l *Log) Mark(lsn int64) Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.lowest = math.MaxInt64
	return Mark{
		LSN: lsn, Start: l.span.start, End: l.span.end,
		Generation: l.files.generation, Epochs: append([]EpochStart(nil), l.epochs...),
	}
}

// Dirty reports whether the log has changed since the last Sync, or files were
// repaired by Open, so that a mark taken now needs another Sync. A move of the
// start needs none.
func (l *Log) Dirty() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := &l.files
	if l.span.end != l.state.syncedEnd || s.generation != l.state.syncedGeneration || s.namesDirty {
		return true
	}
	for _, f := range s.live {
		if f.dirtyLog || f.dirtyIndex {
			return true
		}
	}
	return false
}

// Sync makes everything up to a mark durable: it flushes, and syncs the files
// and the directory. ErrStaleMark: the log was cut below the mark first; take
// another one.
func (l *Log) Sync(m Mark) error {
	w := <-l.writing
	defer func() { l.writing <- w }()
	if err := l.flush(w); err != nil {
		return err
	}
	dirty, names, err := l.takeDirty(m)
	if err != nil {
		return err
	}
	for _, d := range dirty {
		if err := w.sync(d); err != nil {
			return l.poison("sync", err)
		}
	}
	if names {
		if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
			return l.poison("sync", err)
		}
	}
	if err := w.close(); err != nil {
		return l.poison("sync", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.syncedEnd, l.state.syncedGeneration = m.End, m.Generation
	return nil
}

// dirtyFile is a segment that needs a sync.
type dirtyFile struct {
	f          *file
	log, index bool
}

// takeDirty lists what needs a sync, if the mark still describes records that
// are in files.
func (l *Log) takeDirty(m Mark) (dirty []dirtyFile, names bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.files
	if l.state.lowest < m.End {
		return nil, false, l.fail("sync", m.End, fmt.Errorf("cut to %d: %w", l.state.lowest, ErrStaleMark))
	}
	if s.flushed < m.End {
		return nil, false, l.fail("sync", m.End, fmt.Errorf("flushed up to %d: %w", s.flushed, ErrStaleMark))
	}
	for _, files := range [][]*file{s.live, s.obsolete} {
		for _, f := range files {
			if f.dirtyLog || f.dirtyIndex {
				dirty = append(dirty, dirtyFile{f: f, log: f.dirtyLog, index: f.dirtyIndex})
			}
			f.dirtyLog, f.dirtyIndex = false, false
		}
	}
	names = s.namesDirty || s.namesUnsure
	s.namesDirty, s.namesUnsure = false, false
	return dirty, names, nil
}

// sync makes a segment durable.
func (w *writer) sync(d dirtyFile) error {
	h, err := w.handles(d.f, false)
	if err != nil {
		return err
	}
	if d.log {
		if err := h.log.Sync(); err != nil {
			return err
		}
	}
	if d.index {
		return h.index.Sync()
	}
	return nil
}

// Committed says that a checkpoint with this mark is on disk. It deletes the
// records that only older marks needed.
func (l *Log) Committed(m Mark) error {
	w := <-l.writing
	defer func() { l.writing <- w }()
	l.mu.Lock()
	gone := l.files.unneeded(m)
	var cut []*piece
	for _, f := range l.files.live {
		if f.cutIn > 0 && m.Generation >= f.cutIn {
			f.cutIn = 0
			cut = append(cut, &piece{f: f, x: f.extent})
		}
	}
	l.files.namesDirty = l.files.namesDirty || len(gone) > 0
	l.mu.Unlock()
	for _, f := range gone {
		if err := errors.Join(w.release(f), w.remove(f.fileName)); err != nil {
			return l.fail("remove", f.base, err)
		}
	}
	for _, p := range cut {
		if err := w.shorten(p); err != nil {
			return l.fail("truncate", p.x.end, err)
		}
	}
	return nil
}

// shorten cuts off the bytes behind the extent of a segment.
func (w *writer) shorten(p *piece) error {
	_, kept := w.open[p.f]
	h, err := w.handles(p.f, false)
	if err != nil {
		return err
	}
	err = errors.Join(h.log.Truncate(p.x.bytes), h.index.Truncate(indexHeaderBytes+p.x.entries*indexEntryBytes))
	if kept {
		return err
	}
	return errors.Join(err, w.release(p.f))
}

// Unflushed counts the bytes that are only in memory.
func (l *Log) Unflushed() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.tail.bytesFrom(l.files.flushed)
}

// TailBytes counts the bytes held in memory.
func (l *Log) TailBytes() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.tail.bytes
}

// TrimTail lets go of flushed batches until at most keepBytes are in memory, and
// returns how many bytes it let go.
func (l *Log) TrimTail(keepBytes int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.tail.bytes
	l.tail.trim(keepBytes, l.files.flushed)
	return before - l.tail.bytes
}
