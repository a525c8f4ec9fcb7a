package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/chronik-project/chronik/internal/vfs"
)

// The layout of an index file. These constants are the format on disk,
// described in docs/formats/segment.md; integers are little endian.
//
//	 0            8         12           16            24       28  32
//	+------------+---------+------------+-------------+--------+---+
//	| "chronidx" | Version | Generation | Base offset | CRC32C | 0 |
//	| 8          | 4       | 4          | 8           | 4      | 4 |
//	+------------+---------+------------+-------------+--------+---+
//
// Entries follow, in the order of the log. Each names a batch, and the largest
// timestamp of the batches before it in the file:
//
//	 0        8               16         20       24
//	+--------+---------------+----------+--------+
//	| Offset | Max timestamp | Position | CRC32C |
//	| 8      | 8             | 4        | 4      |
//	+--------+---------------+----------+--------+
//
// The CRC of an entry starts from that of the header, so that entries of
// another file do not count. An index is never needed to be right: entries that
// are missing or damaged are made again from the log.
const (
	indexVersion     = 1
	indexHeaderBytes = 32
	indexEntryBytes  = 24

	atIndexHeaderCRC = 24
	atEntryCRC       = 20
)

var indexMagic = []byte("chronidx")

func encodeIndexHeader(base int64, generation uint32) []byte {
	p := make([]byte, indexHeaderBytes)
	copy(p, indexMagic)
	binary.LittleEndian.PutUint32(p[8:], indexVersion)
	binary.LittleEndian.PutUint32(p[12:], generation)
	binary.LittleEndian.PutUint64(p[16:], uint64(base))
	binary.LittleEndian.PutUint32(p[atIndexHeaderCRC:], indexSeed(p))
	return p
}

// indexSeed is the CRC of a header, which those of the entries start from.
func indexSeed(header []byte) uint32 {
	return crc32.Checksum(header[:atIndexHeaderCRC], castagnoli)
}

// indexEntry points at a batch.
type indexEntry struct {
	offset       int64
	maxTimestamp int64 // of the batches before, noTimestamp if there is none
	position     int64
}

func appendIndexEntry(p []byte, e indexEntry, seed uint32) []byte {
	n := len(p)
	p = binary.LittleEndian.AppendUint64(p, uint64(e.offset))
	p = binary.LittleEndian.AppendUint64(p, uint64(e.maxTimestamp))
	p = binary.LittleEndian.AppendUint32(p, uint32(e.position))
	return binary.LittleEndian.AppendUint32(p, crc32.Update(seed, castagnoli, p[n:]))
}

func decodeIndexEntry(p []byte, seed uint32) (indexEntry, bool) {
	e := indexEntry{
		offset:       int64(binary.LittleEndian.Uint64(p)),
		maxTimestamp: int64(binary.LittleEndian.Uint64(p[8:])),
		position:     int64(binary.LittleEndian.Uint32(p[16:])),
	}
	return e, binary.LittleEndian.Uint32(p[atEntryCRC:]) == crc32.Update(seed, castagnoli, p[:atEntryCRC])
}

// index reads the entries of an index file.
type index struct {
	f       vfs.File
	seed    uint32
	entries int64
}

// openIndex opens the index of a file for reading. An index that is missing or
// not of this file has no entries.
func openIndex(fsys vfs.FS, name fileName, dir string) (*index, error) {
	header := encodeIndexHeader(name.base, name.generation)
	f, err := fsys.Open(name.indexPath(dir))
	if err != nil {
		if vfs.IsNotExist(err) {
			return &index{}, nil
		}
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	found := make([]byte, indexHeaderBytes)
	if _, err := f.ReadAt(found, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, f.Close())
	}
	x := &index{f: f, seed: indexSeed(header)}
	if bytes.Equal(found, header) {
		x.entries = (size - indexHeaderBytes) / indexEntryBytes
	}
	return x, nil
}

func (x *index) close() error {
	if x.f == nil {
		return nil
	}
	return x.f.Close()
}

// last finds the last of the first n entries for which below is true; below
// must be true up to some entry and false from there on. A damaged entry counts
// as one for which it is false. rank is how many entries there are up to and
// including the one found, zero if there is none.
func (x *index) last(n int64, below func(indexEntry) bool) (e indexEntry, rank int64, err error) {
	p := make([]byte, indexEntryBytes)
	low, high := int64(0), min(n, x.entries)
	for low < high {
		mid := (low + high) / 2
		if _, err := x.f.ReadAt(p, indexHeaderBytes+mid*indexEntryBytes); err != nil {
			return e, 0, fmt.Errorf("read index entry %d: %w", mid, err)
		}
		found, ok := decodeIndexEntry(p, x.seed)
		if ok && below(found) {
			e, low = found, mid+1
		} else {
			high = mid
		}
	}
	return e, low, nil
}

// extentBelow is the extent of a segment up to the batch that last finds.
func (x *index) extentBelow(name fileName, n int64, below func(indexEntry) bool) (extent, error) {
	e, rank, err := x.last(n, below)
	if err != nil || rank == 0 {
		return emptyExtent(name), err
	}
	return extent{
		end: e.offset, bytes: e.position, entries: rank, indexed: e.position, maxTimestamp: e.maxTimestamp,
	}, nil
}

// emptyExtent is the extent of a file before its first batch.
func emptyExtent(name fileName) extent {
	return extent{end: name.base, maxTimestamp: noTimestamp}
}
