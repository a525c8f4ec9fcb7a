package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/chronik-project/chronik/internal/cluster"
)

// The layout of a log file. These constants are the format on disk, described
// in docs/formats/wal.md; integers are little endian.
//
// A file starts with a block that is written together with its first frames:
//
//	 0            8         12         16           24          32       36   4096
//	+------------+---------+----------+------------+-----------+--------+-----+
//	| "chronwal" | Version | Reserved | Sequence   | Start LSN | CRC32C | 0...|
//	| 8          | 4       | 4        | 8          | 8         | 4      |     |
//	+------------+---------+----------+------------+-----------+--------+-----+
//
// Frames follow without gaps, each padded with zeros to a multiple of eight:
//
//	 0        4        8          16            24     25    28          32         48
//	+--------+--------+----------+-------------+------+-----+-----------+----------+-- ... --+
//	| CRC32C | Length | LSN      | Durable LSN | Kind | 0   | Partition | Topic id | Payload |
//	| 4      | 4      | 8        | 8           | 1    | 3   | 4         | 16       | Length  |
//	+--------+--------+----------+-------------+------+-----+-----------+----------+-- ... --+
//
// The CRC covers the sequence of the file, which is not stored in the frame,
// and all that follows the CRC up to the end of the payload. So a frame is
// valid at one place of one use of one file only (W5). Durable LSN is how much
// of the log had been synced when the frame was written (W4).
const (
	fileHeaderBytes  = 4096
	fileVersion      = 1
	frameHeaderBytes = 48

	atVersion   = 8
	atSequence  = 16
	atStart     = 24
	atHeaderCRC = 32
	headerEnd   = 36

	atLength    = 4
	atLSN       = 8
	atDurable   = 16
	atKind      = 24
	atPartition = 28
	atTopic     = 32
)

// kindClose ends a log that was closed properly: everything before it is
// durable, and nothing follows it in its file.
const kindClose Kind = 5

var (
	fileMagic  = []byte("chronwal")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// frameBytes is the size of a frame with a payload of n bytes.
func frameBytes(n int) int { return (frameHeaderBytes + n + 7) &^ 7 }

// seedOf is what the CRCs of all frames in a file start from.
func seedOf(sequence uint64) uint32 {
	var p [8]byte
	binary.LittleEndian.PutUint64(p[:], sequence)
	return crc32.Checksum(p[:], castagnoli)
}

// encodeFileHeader fills the block at the start of a file.
func encodeFileHeader(sequence uint64, start LSN) []byte {
	p := make([]byte, fileHeaderBytes)
	copy(p, fileMagic)
	binary.LittleEndian.PutUint32(p[atVersion:], fileVersion)
	binary.LittleEndian.PutUint64(p[atSequence:], sequence)
	binary.LittleEndian.PutUint64(p[atStart:], uint64(start))
	putHeaderCRC(p)
	return p
}

func putHeaderCRC(p []byte) {
	binary.LittleEndian.PutUint32(p[atHeaderCRC:], crc32.Checksum(p[:atHeaderCRC], castagnoli))
}

// headerState is what the block at the start of a file says.
type headerState uint8

const (
	// headerUnused is a file that was prepared or recycled and not written to
	// since: no block at all, or an intact one of an earlier use.
	headerUnused headerState = iota
	// headerUsed is a file that holds frames.
	headerUsed
	// headerDamaged is anything else. Sectors are written whole, so it is more
	// likely a decayed header than a torn one.
	headerDamaged
)

// decodeFileHeader reads the block of the file with this sequence. A file of
// another version is an error: guessing would destroy it.
func decodeFileHeader(p []byte, sequence uint64) (headerState, LSN, error) {
	if len(bytes.Trim(p, "\x00")) == 0 {
		return headerUnused, 0, nil
	}
	if len(p) < headerEnd || !bytes.HasPrefix(p, fileMagic) ||
		binary.LittleEndian.Uint32(p[atHeaderCRC:]) != crc32.Checksum(p[:atHeaderCRC], castagnoli) {
		return headerDamaged, 0, nil
	}
	if v := binary.LittleEndian.Uint32(p[atVersion:]); v != fileVersion {
		return headerDamaged, 0, fmt.Errorf("format version %d, this program knows %d: %w", v, fileVersion, errors.ErrUnsupported)
	}
	if binary.LittleEndian.Uint64(p[atSequence:]) != sequence {
		return headerUnused, 0, nil
	}
	start := LSN(binary.LittleEndian.Uint64(p[atStart:]))
	if start < 0 || start%8 != 0 {
		return headerDamaged, 0, nil
	}
	return headerUsed, start, nil
}

// putFrame fills a frame except for what only its writer knows: the durable
// LSN and the CRC. len(p) is frameBytes(len(e.Payload)).
func putFrame(p []byte, e *Entry, lsn LSN) {
	binary.LittleEndian.PutUint32(p[atLength:], uint32(len(e.Payload)))
	binary.LittleEndian.PutUint64(p[atLSN:], uint64(lsn))
	binary.LittleEndian.PutUint32(p[atKind:], uint32(e.Kind)) // and three zeros
	binary.LittleEndian.PutUint32(p[atPartition:], uint32(e.TP.Partition))
	copy(p[atTopic:], e.TP.TopicID[:])
	n := copy(p[frameHeaderBytes:], e.Payload)
	clear(p[frameHeaderBytes+n:])
}

// sealFrames completes the leading frames of p that fit into room bytes of a
// file, and returns how many bytes they are.
func sealFrames(p []byte, room int64, seed uint32, durable LSN) int {
	n := 0
	for n < len(p) {
		payload := int(binary.LittleEndian.Uint32(p[n+atLength:]))
		size := frameBytes(payload)
		if int64(n+size) > room {
			break
		}
		frame := p[n : n+frameHeaderBytes+payload]
		binary.LittleEndian.PutUint64(frame[atDurable:], uint64(durable))
		binary.LittleEndian.PutUint32(frame, crc32.Update(seed, castagnoli, frame[atLength:]))
		n += size
	}
	return n
}

// firstFrameBytes is the size of the frame that p starts with.
func firstFrameBytes(p []byte) int64 {
	return int64(frameBytes(int(binary.LittleEndian.Uint32(p[atLength:]))))
}

// frameHeader is a decoded header that no CRC vouches for yet.
type frameHeader struct {
	crc     uint32
	length  int
	lsn     LSN
	durable LSN
	kind    Kind
	tp      cluster.TopicPartition
}

func (h frameHeader) bytes() int { return frameBytes(h.length) }

// decodeFrameHeader reads a header and reports whether one for this LSN can be
// there, in a file that has room bytes left.
func decodeFrameHeader(p []byte, lsn LSN, room int64) (frameHeader, bool) {
	if LSN(binary.LittleEndian.Uint64(p[atLSN:])) != lsn {
		return frameHeader{}, false
	}
	h := frameHeader{
		crc:     binary.LittleEndian.Uint32(p),
		length:  int(binary.LittleEndian.Uint32(p[atLength:])),
		lsn:     lsn,
		durable: LSN(binary.LittleEndian.Uint64(p[atDurable:])),
		kind:    Kind(p[atKind]),
		tp: cluster.TopicPartition{
			TopicID:   cluster.UUID(p[atTopic:frameHeaderBytes]),
			Partition: int32(binary.LittleEndian.Uint32(p[atPartition:])),
		},
	}
	return h, h.kind != 0 && int64(h.bytes()) <= room && h.durable <= lsn
}
