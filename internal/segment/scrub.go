package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

// Scrubbed says what a [Log.Scrub] did.
type Scrubbed struct {
	// Bytes were read from files.
	Bytes int64
	// Indexes were damaged and made anew.
	Indexes int
}

// scrubBytes is how much is read at once.
const scrubBytes = 256 << 10

// Scrub reads all files of the log from the disk and checks them: that batches
// follow each other up to the end of each file, the CRC and the leader epoch of
// each, and that the index is the one of these batches. An index that is not is
// made anew: it is never needed to be right. pace is called before each read of
// so many bytes, and may wait; its error ends the scrub and is returned. No lock
// is held meanwhile: what is appended, cut off or deleted meanwhile is not looked
// at, and is no damage.
//
// Errors: ErrCorrupt, with the file and the position, for damage that was found
// twice; pace's; those of the file system.
func (l *Log) Scrub(pace func(bytes int64) error) (Scrubbed, error) {
	s := scrub{l: l, pace: pace}
	for _, f := range l.holdings() {
		if err := s.file(&f); err != nil {
			return s.done, err
		}
	}
	return s.done, nil
}

// holdings are the files of the log as they are now.
func (l *Log) holdings() []holding {
	l.mu.RLock()
	defer l.mu.RUnlock()
	v := slices.Clone(l.epochs)
	all := make([]holding, 0, len(l.files.live))
	for _, f := range l.files.live {
		all = append(all, holding{fileName: f.fileName, extent: f.extent, epochs: v})
	}
	return all
}

// scrub is one Scrub under way.
type scrub struct {
	l       *Log
	pace    func(bytes int64) error
	done    Scrubbed
	stopped error // of pace
	at      extent
}

// read is called before each read.
func (s *scrub) read(n int64) error {
	if s.stopped = s.pace(n); s.stopped == nil {
		s.done.Bytes += n
	}
	return s.stopped
}

// file checks a file, and once more what seems to be damaged: the disk may have
// been told so by a cable. What was cut off meanwhile is not asked for again.
func (s *scrub) file(f *holding) error {
	var err error
	for tries := 0; tries < 2; {
		var index []byte
		if index, err = s.log(f); err == nil {
			err = s.index(f, index)
		}
		if err == nil {
			return nil
		}
		if s.stopped != nil {
			return s.stopped
		}
		now, ok := s.l.current(f)
		if !ok {
			return nil // deleted
		}
		if now.bytes < f.bytes {
			f.extent = now
		} else {
			tries++
		}
	}
	if vfs.IsNotExist(err) || errors.Is(err, syscall.EIO) { // the disk says itself that it lost it
		err = fmt.Errorf("%s%s at position %d: %w: %w", f.fileName, logSuffix, s.at.bytes, ErrCorrupt, err)
	}
	return s.l.fail("scrub", s.at.end, err)
}

// current is the extent of a file as it is now; not ok if it is no part of the log
// any more.
func (l *Log) current(f *holding) (x extent, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, live := range l.files.live {
		if live.fileName == f.fileName {
			return live.extent, true
		}
	}
	return extent{}, false
}

// log checks the batches of a file and returns what its index must be. s.at is
// how far they are good.
func (s *scrub) log(f *holding) (index []byte, err error) {
	s.at = emptyExtent(f.fileName)
	log, err := vfs.OpenCold(s.l.o.FS, f.logPath(s.l.o.Dir))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	index = encodeIndexHeader(f.base, f.generation)
	seed := indexSeed(index)
	batches := scanner{f: log, next: f.base, bytes: f.bytes, chunk: scrubBytes, before: s.read}
	for {
		b, err := s.batch(&batches, f.end)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := f.epochs.check(b); err != nil {
			return nil, batches.corrupt(err.Error())
		}
		batches.skip(b, int64(len(b)))
		if e, due := s.at.add(b, int64(len(b)), s.l.o.IndexIntervalBytes); due {
			index = appendIndexEntry(index, e, seed)
		}
	}
	return index, nil
}

// batch returns the next batch. A length that is damaged must not make it read,
// and keep, the rest of the file: a large batch must end where the next one
// begins.
func (s *scrub) batch(batches *scanner, end int64) (record.Batch, error) {
	b, size, err := batches.header()
	if err != nil || size <= scrubBytes {
		if err == nil {
			b, err = batches.batch()
		}
		return b, err
	}
	next := b.NextOffset()
	if behind := batches.pos + size; behind < batches.bytes {
		if err := s.read(8); err != nil {
			return nil, err
		}
		p := make([]byte, 8)
		if _, err := batches.f.ReadAt(p, behind); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		end = int64(binary.BigEndian.Uint64(p))
	}
	if next != end {
		return nil, batches.corrupt(fmt.Sprintf("batch of %d bytes up to offset %d, another begins at %d", size, next, end))
	}
	return batches.batch()
}

// index compares the index of a file with what it must be, and makes it anew if
// it is something else.
func (s *scrub) index(f *holding, want []byte) error {
	if s.at.entries != f.entries {
		return nil // made with another interval: its entries cannot be foretold
	}
	if err := s.read(int64(len(want))); err != nil {
		return err
	}
	found, err := readIndex(s.l.o.FS, f.indexPath(s.l.o.Dir), len(want))
	if err != nil || bytes.Equal(found, want) {
		return err
	}
	if now, ok := s.l.current(f); !ok || now.bytes < f.bytes {
		return nil // cut off together with the log
	}
	made, err := s.l.remakeIndex(f, want)
	if made {
		s.done.Indexes++
	}
	return err
}

// readIndex reads up to n bytes of an index file, if there is one.
func readIndex(fsys vfs.FS, path string, n int) (found []byte, err error) {
	f, err := vfs.OpenCold(fsys, path)
	if vfs.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	found = make([]byte, n)
	n, err = f.ReadAt(found, 0)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) {
		err = nil // it is too short, or the disk lost it
	}
	return found[:n], err
}

// remakeIndex overwrites the index of a file, unless the file is no part of the
// log any more. Entries behind those that are given stay as they are.
func (l *Log) remakeIndex(f *holding, index []byte) (made bool, err error) {
	w := <-l.writing // nobody appends to it meanwhile, or deletes it
	defer func() { l.writing <- w }()
	live, entries := l.markIndexDirty(f)
	if live == nil {
		return false, nil
	}
	index = index[:indexHeaderBytes+entries*indexEntryBytes]
	if h := w.open[live]; h != nil {
		_, err := h.index.WriteAt(index, 0)
		return err == nil, err
	}
	path := f.indexPath(l.o.Dir)
	x, err := l.o.FS.OpenWrite(path)
	if vfs.IsNotExist(err) {
		x, err = l.o.FS.Create(path)
	}
	if err != nil {
		return false, err
	}
	_, err = x.WriteAt(index, 0)
	return err == nil, errors.Join(err, x.Close())
}

// markIndexDirty makes the next Sync include a file's index, and tells how many of
// the entries that a scrub found due the file still has.
func (l *Log) markIndexDirty(f *holding) (live *file, entries int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.files.live, func(live *file) bool { return live.fileName == f.fileName })
	if i < 0 || l.err != nil {
		return nil, 0
	}
	live = l.files.live[i]
	live.dirtyIndex, l.files.namesDirty = true, true
	return live, min(f.entries, live.entries)
}
