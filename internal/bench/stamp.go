package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// StampBytes is the size of the stamp that every record's value begins with,
// and so the least size of a record.
const StampBytes = 32

// The stamp, big endian. The checksum covers everything after itself, filler
// included.
//
//	 0        4        8            16             24           28         32
//	+--------+--------+------------+--------------+------------+----------+--- ... ---+
//	| magic  | CRC32C | run        | sequence     | producer   | length   | filler    |
//	+--------+--------+------------+--------------+------------+----------+--- ... ---+
const (
	stampMagic  = 0x43424e31 // "CBN1"
	offCRC      = 4
	offRun      = 8
	offSequence = 16
	offProducer = 24
	offLength   = 28
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Reasons for which a value is not what a producer wrote.
var (
	errShort    = errors.New("shorter than a stamp")
	errMagic    = errors.New("no stamp")
	errLength   = errors.New("length differs from the stamp's")
	errChecksum = errors.New("checksum mismatch")
)

// stamp identifies one record of one run.
type stamp struct {
	run      uint64
	sequence uint64
	producer uint32
}

// write fills value, which is at least StampBytes long. The filler is random,
// another one in every record, so that neither compression nor a file system
// can make less of it.
func (s stamp) write(value []byte) {
	binary.BigEndian.PutUint32(value, stampMagic)
	binary.BigEndian.PutUint64(value[offRun:], s.run)
	binary.BigEndian.PutUint64(value[offSequence:], s.sequence)
	binary.BigEndian.PutUint32(value[offProducer:], s.producer)
	binary.BigEndian.PutUint32(value[offLength:], uint32(len(value)))
	fill(value[StampBytes:], s.run^s.sequence<<20^uint64(s.producer)<<56)
	binary.BigEndian.PutUint32(value[offCRC:], crc32.Checksum(value[offRun:], castagnoli))
}

// fill writes the output of splitmix64, which costs a nanosecond for eight
// bytes: drawing the load must not take the core that serves it.
func fill(p []byte, seed uint64) {
	for len(p) >= 8 {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(p, z^z>>31)
		p = p[8:]
	}
	for i := range p {
		p[i] = byte(seed >> (8 * i))
	}
}

// parseStamp reads the stamp of a value and checks the value against it.
func parseStamp(value []byte) (stamp, error) {
	if len(value) < StampBytes {
		return stamp{}, fmt.Errorf("%w: %d bytes", errShort, len(value))
	}
	if magic := binary.BigEndian.Uint32(value); magic != stampMagic {
		return stamp{}, fmt.Errorf("%w: it begins with %08x", errMagic, magic)
	}
	st := stamp{
		run:      binary.BigEndian.Uint64(value[offRun:]),
		sequence: binary.BigEndian.Uint64(value[offSequence:]),
		producer: binary.BigEndian.Uint32(value[offProducer:]),
	}
	if length := binary.BigEndian.Uint32(value[offLength:]); int64(length) != int64(len(value)) {
		return st, fmt.Errorf("%w: %d bytes, stamped %d", errLength, len(value), length)
	}
	want := binary.BigEndian.Uint32(value[offCRC:])
	if got := crc32.Checksum(value[offRun:], castagnoli); got != want {
		return st, fmt.Errorf("%w: %08x, stamped %08x", errChecksum, got, want)
	}
	return st, nil
}
