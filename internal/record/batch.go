package record

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// Batch is exactly one v2 record batch. [Next] is the only way to make one from
// foreign bytes; its accessors rely on the header being there.
type Batch []byte

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BaseOffset is the offset of the first record.
func (b Batch) BaseOffset() int64 { return b.int64At(0) }

// NextOffset is the offset that follows the last record: the exclusive end.
func (b Batch) NextOffset() int64 { return b.BaseOffset() + int64(b.int32At(atLastDelta)) + 1 }

// LeaderEpoch is the epoch of the leader that appended the batch, -1 when it
// was not stamped yet.
func (b Batch) LeaderEpoch() int32 { return b.int32At(atLeaderEpoch) }

// CRC is the checksum in the header; [Validate] compares it with the bytes.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[atCRC:]) }

// Attributes are the flag bits of the batch.
func (b Batch) Attributes() int16 { return b.int16At(atAttributes) }

// Compression is the codec of the records: 0 none, 1 gzip, 2 snappy, 3 lz4,
// 4 zstd.
func (b Batch) Compression() int8 { return int8(b.Attributes() & compressionMask) }

// IsTransactional reports whether the batch belongs to a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes()&bitTransactional != 0 }

// IsControl reports whether the batch holds a marker instead of records. Only
// brokers may write those.
func (b Batch) IsControl() bool { return b.Attributes()&bitControl != 0 }

// ProducerID is the idempotent producer, -1 when there is none.
func (b Batch) ProducerID() int64 { return b.int64At(atProducerID) }

// ProducerEpoch is the epoch of the producer id, -1 when there is none.
func (b Batch) ProducerEpoch() int16 { return b.int16At(atProducerEpoch) }

// BaseSequence is the producer's sequence of the first record, -1 when there
// is none.
func (b Batch) BaseSequence() int32 { return b.int32At(atBaseSequence) }

// LastSequence is the producer's sequence of the last record. Sequences wrap to
// zero after the largest int32. It is -1 when the batch has no sequence.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base < 0 {
		return noSequence
	}
	return int32((int64(base) + int64(b.int32At(atLastDelta))) & math.MaxInt32)
}

// Records is the number of records.
func (b Batch) Records() int32 { return b.int32At(atCount) }

// FirstTimestamp is the base that the records' timestamps are deltas of, in
// milliseconds.
func (b Batch) FirstTimestamp() int64 { return b.int64At(atFirstTimestamp) }

// MaxTimestamp is the largest timestamp of the records, in milliseconds.
func (b Batch) MaxTimestamp() int64 { return b.int64At(atMaxTimestamp) }

// Bytes is the size of the batch.
func (b Batch) Bytes() int { return len(b) }

// Stamp writes the offset and epoch that the leader assigned, in place. Both
// lie outside the CRC, which stays the producer's.
func (b Batch) Stamp(baseOffset int64, leaderEpoch int32) {
	binary.BigEndian.PutUint64(b, uint64(baseOffset))
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], uint32(leaderEpoch))
}

// StampLogAppendTime makes ms the timestamp of every record of the batch, for
// topics with message.timestamp.type=LogAppendTime. It has to compute the CRC
// anew: the attributes and the timestamp lie inside it.
func (b Batch) StampLogAppendTime(ms int64) {
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(b.Attributes()|bitLogAppendTime))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ms))
	binary.BigEndian.PutUint32(b[atCRC:], b.checksum())
}

func (b Batch) checksum() uint32 { return crc32.Checksum(b[atAttributes:], castagnoli) }

func (b Batch) int16At(i int) int16 { return int16(binary.BigEndian.Uint16(b[i:])) }
func (b Batch) int32At(i int) int32 { return int32(binary.BigEndian.Uint32(b[i:])) }
func (b Batch) int64At(i int) int64 { return int64(binary.BigEndian.Uint64(b[i:])) }
