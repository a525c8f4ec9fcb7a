package segment

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/chronik-project/chronik/internal/vfs"
)

// Open opens a partition's log as of Options.Mark. Anything behind the mark is
// removed. ErrCorrupt: the files do not reach the mark.
func Open(o Options) (*Log, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	m := o.Mark
	l := &Log{
		o:       o,
		writing: make(chan *writer, 1),
		span:    span{start: m.Start, end: m.End},
		epochs:  append(epochs(nil), m.Epochs...),
		files:   fileSet{flushed: m.End, segmentBytes: o.SegmentBytes, generation: m.Generation},
		state:   diskMark{lowest: m.End, syncedEnd: m.End, syncedGeneration: m.Generation},
	}
	w := newWriter(l)
	if err := l.load(w); err != nil {
		return nil, errors.Join(l.fail("open", -1, err), w.close())
	}
	l.writing <- w
	return l, nil
}

// load brings the files to the state that the mark describes.
func (l *Log) load(w *writer) error {
	names, err := l.o.FS.ReadDir(l.o.Dir)
	if err != nil && !vfs.IsNotExist(err) {
		return err
	}
	l.files.namesUnsure = err == nil
	var found []fileName
	for _, s := range names {
		if n, ok := parseFileName(s); ok {
			found = append(found, n)
		}
	}
	keep, remove := layout(found, l.o.Mark)
	for _, n := range remove {
		if err := w.remove(n); err != nil {
			return err
		}
	}
	m := l.o.Mark
	if m.Start < m.End && (len(keep) == 0 || keep[0].base > m.Start) {
		return fmt.Errorf("no file holds offset %d: %w", m.Start, ErrCorrupt)
	}
	for i := range keep {
		f, last, err := l.recoverFile(keep[i], endOf(keep[i:], m), i == len(keep)-1)
		if err != nil {
			return err
		}
		l.files.live = append(l.files.live, f)
		l.span.last = last
	}
	if n := len(l.files.live); n > 0 {
		l.files.active = l.files.live[n-1]
	}
	if len(remove) > 0 {
		l.o.Logger.Info("removed segment files behind the checkpoint",
			slog.String("dir", l.o.Dir), slog.Int("files", len(remove)), slog.Int64("end", m.End))
	}
	return nil
}

// recoverFile finds where a file reaches the given end, cuts off what is
// behind, and completes its index. The last file of a log also has the CRC of
// those batches checked that the index does not skip.
func (l *Log) recoverFile(n fileName, end int64, check bool) (f *file, last lastBatch, err error) {
	log, err := l.o.FS.OpenWrite(n.logPath(l.o.Dir))
	if err != nil {
		return nil, last, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	size, err := log.Size()
	if err != nil {
		return nil, last, err
	}
	x, err := openIndex(l.o.FS, n, l.o.Dir)
	if err != nil {
		return nil, last, err
	}
	from, err := x.extentBelow(n, x.entries, func(e indexEntry) bool { return e.offset < end && e.position < size })
	if err := errors.Join(err, x.close()); err != nil {
		return nil, last, err
	}
	r := recovery{log: log, size: size, end: end, check: check, epochs: l.epochs, interval: l.o.IndexIntervalBytes}
	err = r.scan(from)
	if errors.Is(err, ErrCorrupt) && from.entries > 0 {
		// An index of which not everything reached the disk may mislead.
		from = emptyExtent(n)
		err = r.scan(from)
	}
	if err != nil {
		return nil, last, fmt.Errorf("%s: %w", n, err)
	}
	if r.found.bytes < size {
		if err := log.Truncate(r.found.bytes); err != nil {
			return nil, last, err
		}
	}
	f = &file{fileName: n, extent: r.found}
	return f, r.last, l.repairIndex(f, from.entries, r.added)
}

// recovery finds the extent of a file by its batches.
type recovery struct {
	log      vfs.File
	size     int64
	end      int64
	check    bool
	epochs   epochs
	interval int64

	found extent
	added []indexEntry
	last  lastBatch
}

// scan walks from an extent that is known to where the file reaches the end.
func (r *recovery) scan(from extent) error {
	r.found, r.added = from, nil
	s := scanner{f: r.log, pos: from.bytes, next: from.end, bytes: r.size, chunk: scanBytes}
	for r.found.end < r.end {
		b, bytes, err := s.header()
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("ends at offset %d, the checkpoint at %d: %w", r.found.end, r.end, ErrCorrupt)
		}
		if err == nil && r.check {
			b, err = s.batch()
			if err == nil && r.epochs.check(b) != nil {
				err = fmt.Errorf("batch at offset %d: %w: %w", r.found.end, ErrCorrupt, r.epochs.check(b))
			}
		}
		if err != nil {
			return err
		}
		r.last = lastOf(b)
		s.skip(b, bytes)
		if e, due := r.found.add(b, bytes, r.interval); due {
			r.added = append(r.added, e)
		}
	}
	if r.found.end != r.end {
		return fmt.Errorf("batch spans offset %d, where the checkpoint ends: %w", r.end, ErrCorrupt)
	}
	return nil
}

// repairIndex writes the entries that were missing, and cuts off those that
// point behind the end. The first good entries are kept.
func (l *Log) repairIndex(f *file, good int64, added []indexEntry) error {
	path := f.indexPath(l.o.Dir)
	want := indexHeaderBytes + f.entries*indexEntryBytes
	size, _, err := l.o.FS.Stat(path)
	if err == nil && size == want && len(added) == 0 {
		return nil
	}
	// What is only cut off is cut off again by the next Open; what is made anew
	// should be there for it.
	remade := len(added) > 0 || size < want
	f.dirtyIndex, l.files.namesDirty = remade, l.files.namesDirty || remade
	header := encodeIndexHeader(f.base, f.generation)
	p := []byte{}
	for _, e := range added {
		p = appendIndexEntry(p, e, indexSeed(header))
	}
	open := l.o.FS.OpenWrite
	if good == 0 {
		open = l.o.FS.Create
	}
	x, err := open(path)
	if err != nil {
		return err
	}
	_, err = x.WriteAt(header, 0)
	if err == nil {
		_, err = x.WriteAt(p, indexHeaderBytes+good*indexEntryBytes)
	}
	if err == nil {
		err = x.Truncate(want)
	}
	return errors.Join(err, x.Close())
}
