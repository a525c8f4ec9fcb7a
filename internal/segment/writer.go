package segment

import (
	"errors"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

// writer is who may write and remove the files of a log: the one goroutine
// that has taken it from Log.writing.
type writer struct {
	log *Log
	// open are the files that were written since the last sync. Their handles
	// are kept until then: a failed writeback is reported to handles that were
	// open when it happened.
	open map[*file]*handles
	// made says that the directory is known to exist.
	made bool
	buf  []byte // batches on their way to a file
}

// handles are the open files of a segment.
type handles struct {
	log, index vfs.File
	seed       uint32 // of index entries
}

func (h *handles) close() error { return errors.Join(h.log.Close(), h.index.Close()) }

func newWriter(l *Log) *writer { return &writer{log: l, open: map[*file]*handles{}} }

// handles returns the open files of a segment, which are created if they are
// new.
func (w *writer) handles(f *file, create bool) (*handles, error) {
	if h := w.open[f]; h != nil {
		return h, nil
	}
	fsys, dir := w.log.o.FS, w.log.o.Dir
	open := fsys.OpenWrite
	if create {
		open = fsys.Create
		if !w.made {
			if err := vfs.MkdirAllSync(fsys, dir); err != nil {
				return nil, err
			}
			w.made = true
		}
	}
	log, err := open(f.logPath(dir))
	if err != nil {
		return nil, err
	}
	index, err := open(f.indexPath(dir))
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	header := encodeIndexHeader(f.base, f.generation)
	h := &handles{log: log, index: index, seed: indexSeed(header)}
	if create {
		if _, err := index.WriteAt(header, 0); err != nil {
			return nil, errors.Join(err, h.close())
		}
	}
	w.open[f] = h
	return h, nil
}

// release closes the handles of a segment, if there are some.
func (w *writer) release(f *file) error {
	h := w.open[f]
	if h == nil {
		return nil
	}
	delete(w.open, f)
	return h.close()
}

// close closes all handles.
func (w *writer) close() error {
	var err error
	for f := range w.open {
		err = errors.Join(err, w.release(f))
	}
	return err
}

// remove deletes the files of a segment.
func (w *writer) remove(n fileName) error {
	fsys, dir := w.log.o.FS, w.log.o.Dir
	// The index goes first: alone it would never be looked for again.
	return errors.Join(
		vfs.RemoveIfExists(fsys, n.indexPath(dir)),
		vfs.RemoveIfExists(fsys, n.logPath(dir)),
	)
}

// piece is what a flush adds to one segment. It is not part of the log until it
// is published.
type piece struct {
	f       *file
	created bool
	x       extent
}

// writeBytes is how much is handed to the kernel at once, and maxRunBytes how much
// is copied for it: a batch that is larger is written from where it is.
const (
	writeBytes  = 256 << 10
	maxRunBytes = 2 * writeBytes
)

// write writes batches behind the active segment, and seals and creates
// segments as they fill up. It changes nothing that readers see.
func (w *writer) write(p flushPlan) (pieces []*piece, err error) {
	if p.active != nil {
		pieces = append(pieces, &piece{f: p.active, x: p.extent})
	}
	var run []record.Batch // batches for the last piece that are not written
	runBytes := 0
	for _, b := range p.batches {
		last := len(pieces) - 1
		full := last < 0 || pieces[last].x.bytes+int64(runBytes) >= p.segmentBytes
		if len(run) > 0 && (full || runBytes >= writeBytes || runBytes+len(b) > maxRunBytes) {
			if err := w.writeRun(pieces[last], run); err != nil {
				return pieces, err
			}
			run, runBytes = run[:0], 0
		}
		if full {
			f := &file{fileName: fileName{base: b.BaseOffset(), generation: p.generation}}
			pieces = append(pieces, &piece{f: f, created: true, x: emptyExtent(f.fileName)})
		}
		run = append(run, b)
		runBytes += len(b)
	}
	if len(run) > 0 {
		err = w.writeRun(pieces[len(pieces)-1], run)
	}
	return pieces, err
}

// writeRun appends batches to a segment with one write, and their index
// entries with another.
func (w *writer) writeRun(p *piece, run []record.Batch) error {
	h, err := w.handles(p.f, p.created && p.x.bytes == 0)
	if err != nil {
		return err
	}
	before := p.x
	var entries []byte
	for _, b := range run {
		if e, due := p.x.add(b, int64(len(b)), w.log.o.IndexIntervalBytes); due {
			entries = appendIndexEntry(entries, e, h.seed)
		}
	}
	if _, err := h.log.WriteAt(w.joined(run), before.bytes); err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	_, err = h.index.WriteAt(entries, indexHeaderBytes+before.entries*indexEntryBytes)
	return err
}

// joined returns the bytes of a run, in memory that is used again unless it is a
// single batch.
func (w *writer) joined(run []record.Batch) []byte {
	if len(run) == 1 {
		return run[0]
	}
	w.buf = w.buf[:0]
	for _, b := range run {
		w.buf = append(w.buf, b...)
	}
	return w.buf
}

// discard removes the files that a flush created in vain.
func (w *writer) discard(pieces []*piece) error {
	var err error
	for _, p := range pieces {
		if p.created {
			err = errors.Join(err, w.release(p.f), w.remove(p.f.fileName))
		}
	}
	return err
}
