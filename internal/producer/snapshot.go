package producer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"
)

// A snapshot holds the state as of a log end. All integers are big endian.
//
//	 0        4        8             16       20
//	+--------+--------+-------------+--------+-- ... --+
//	| CRC32C | "PRS1" | end offset  | count  | entries |
//	+--------+--------+-------------+--------+-- ... --+
//
// The CRC covers everything after it. An entry is a producer, in ascending
// order of ids, with the batches it wrote last, oldest first.
//
//	 0             8       10            18    19
//	+-------------+-------+-------------+-----+-- ... --+
//	| producer id | epoch | seen (ms)   | n   | batches |
//	+-------------+-------+-------------+-----+-- ... --+
//
//	 0                4               8             16            24
//	+----------------+---------------+-------------+-------------+
//	| first sequence | last sequence | base offset | next offset |
//	+----------------+---------------+-------------+-------------+
//
// These constants are part of the format and must not be changed.
const (
	snapshotMagic       = 0x50525331 // "PRS1"
	snapshotHeaderBytes = 20
	entryHeaderBytes    = 19
	writtenBytes        = 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot encodes the state of a log that ends at end. Equal states have equal
// snapshots.
func (s *State) Snapshot(end int64) []byte {
	p := make([]byte, 4, snapshotHeaderBytes+len(s.producers)*(entryHeaderBytes+window*writtenBytes))
	p = binary.BigEndian.AppendUint32(p, snapshotMagic)
	p = binary.BigEndian.AppendUint64(p, uint64(end))
	p = binary.BigEndian.AppendUint32(p, uint32(len(s.producers)))
	for _, id := range slices.Sorted(maps.Keys(s.producers)) {
		e := s.producers[id]
		p = binary.BigEndian.AppendUint64(p, uint64(id))
		p = binary.BigEndian.AppendUint16(p, uint16(e.epoch))
		p = binary.BigEndian.AppendUint64(p, uint64(e.seen.UnixMilli()))
		p = append(p, e.count)
		for _, w := range e.batches[:e.count] {
			p = binary.BigEndian.AppendUint32(p, uint32(w.first))
			p = binary.BigEndian.AppendUint32(p, uint32(w.last))
			p = binary.BigEndian.AppendUint64(p, uint64(w.base))
			p = binary.BigEndian.AppendUint64(p, uint64(w.next))
		}
	}
	binary.BigEndian.PutUint32(p, crc32.Checksum(p[4:], castagnoli))
	return p
}

// Restore decodes a snapshot. Whatever the bytes are, it neither panics nor
// allocates more than they could hold; if they are not a snapshot, the error is
// [ErrCorruptSnapshot] and the state has to be built from the log.
func Restore(p []byte) (s *State, end int64, err error) {
	if len(p) < snapshotHeaderBytes {
		return nil, 0, fmt.Errorf("%d bytes, the header has %d: %w", len(p), snapshotHeaderBytes, ErrCorruptSnapshot)
	}
	if sum, want := crc32.Checksum(p[4:], castagnoli), binary.BigEndian.Uint32(p); sum != want {
		return nil, 0, fmt.Errorf("crc32c %08x, header says %08x: %w", sum, want, ErrCorruptSnapshot)
	}
	if magic := binary.BigEndian.Uint32(p[4:]); magic != snapshotMagic {
		return nil, 0, fmt.Errorf("magic %08x, want %08x: %w", magic, uint32(snapshotMagic), ErrCorruptSnapshot)
	}
	end = int64(binary.BigEndian.Uint64(p[8:]))
	count := binary.BigEndian.Uint32(p[16:])
	s, before := New(), int64(-1)
	rest := p[snapshotHeaderBytes:]
	for i := range count {
		id, e, tail, ok := decodeEntry(rest)
		if !ok || id <= before {
			return nil, 0, fmt.Errorf("producer %d of %d: %w", i, count, ErrCorruptSnapshot)
		}
		s.producers[id] = e
		before, rest = id, tail
	}
	if len(rest) > 0 {
		return nil, 0, fmt.Errorf("%d bytes after producer %d: %w", len(rest), count, ErrCorruptSnapshot)
	}
	return s, end, nil
}

func decodeEntry(p []byte) (id int64, e *entry, rest []byte, ok bool) {
	if len(p) < entryHeaderBytes {
		return 0, nil, nil, false
	}
	id = int64(binary.BigEndian.Uint64(p))
	e = &entry{
		epoch: int16(binary.BigEndian.Uint16(p[8:])),
		seen:  time.UnixMilli(int64(binary.BigEndian.Uint64(p[10:]))),
		count: p[18],
	}
	p = p[entryHeaderBytes:]
	if e.count > window || len(p) < int(e.count)*writtenBytes {
		return 0, nil, nil, false
	}
	for i := range e.count {
		e.batches[i] = written{
			first: int32(binary.BigEndian.Uint32(p)),
			last:  int32(binary.BigEndian.Uint32(p[4:])),
			base:  int64(binary.BigEndian.Uint64(p[8:])),
			next:  int64(binary.BigEndian.Uint64(p[16:])),
		}
		p = p[writtenBytes:]
	}
	return id, e, p, true
}
