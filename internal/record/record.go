// Package record knows the bytes of a Kafka v2 record batch: it splits, checks
// and stamps them in place, and builds batches for tests, benchmarks and
// control markers. It never decodes records on behalf of the broker: batches
// are stored, shipped and served exactly as the producer sent them. It knows
// nothing of partitions, disks or sockets.
//
// # Rules
//
// The numbers are those of docs/invariants.md.
//
//	I10  No bytes, whatever they are, make the parser panic or allocate more
//	     than they could hold.
//	I11  The leader's offset and epoch are written outside the CRC, which stays
//	     the producer's.
//	I12  A [Batch] that [Next] split off has a complete header, lies within its
//	     input and ends after it begins: every accessor may be called.
package record

import (
	"errors"
	"fmt"
)

// Sentinel causes of a refused batch. The error returned says where and with
// which values.
var (
	// ErrCorrupt means that the bytes are not what was written: a length that
	// cannot be, or a CRC that does not match.
	ErrCorrupt = errors.New("corrupt record batch")
	// ErrShort means that the bytes end before the batch does. It is a kind of
	// ErrCorrupt; a reader that can fetch more bytes tells it apart.
	ErrShort = fmt.Errorf("%w: cut short", ErrCorrupt)
	// ErrTooLarge means that the batch exceeds the limit of its topic.
	ErrTooLarge = errors.New("record batch too large")
	// ErrUnsupportedMagic means that the batch is of a format older or newer
	// than v2.
	ErrUnsupportedMagic = errors.New("unsupported record batch magic")
	// ErrInvalid means that the bytes are intact but contradict themselves.
	ErrInvalid = errors.New("invalid record batch")
	// ErrCompressed means that records were asked of a compressed batch.
	ErrCompressed = errors.New("records are compressed")
)

// The layout of a batch. These constants are the Kafka wire format and the
// format of the log on disk; they never change.
//
//	 0             8        12       16   17       21     23        27
//	+-------------+--------+--------+----+--------+------+---------+-->
//	| base offset | length | leader |mag.| CRC32C | attr | last    |
//	| 8           | 4      | epoch 4| 1  | 4      | 2    | delta 4 |
//	+-------------+--------+--------+----+--------+------+---------+-->
//	 27           35          43         51      53     57      61
//	+------------+-----------+----------+-------+------+-------+-- ... --+
//	| first      | max       | producer | prod. | base | count | records |
//	| timestamp 8| timestamp | id 8     | ep. 2 | seq 4| 4     |         |
//	+------------+-----------+----------+-------+------+-------+-- ... --+
//
// All integers are big endian. Length counts the bytes after itself. The CRC
// covers everything from the attributes on, so the base offset and the leader
// epoch can be stamped without touching it.
const (
	// HeaderBytes is the size of a batch before its first record.
	HeaderBytes = 61

	atLength         = 8
	atLeaderEpoch    = 12
	atMagic          = 16
	atCRC            = 17
	atAttributes     = 21
	atLastDelta      = 23
	atFirstTimestamp = 27
	atMaxTimestamp   = 35
	atProducerID     = 43
	atProducerEpoch  = 51
	atBaseSequence   = 53
	atCount          = 57

	lengthEnd = 12 // bytes that the length field does not count
	magicV2   = 2
)

// Bits of the attributes, outside the three that hold the codec.
const (
	compressionMask  int16 = 0b111
	bitLogAppendTime int16 = 1 << 3
	bitTransactional int16 = 1 << 4
	bitControl       int16 = 1 << 5
)

// Values that a header holds where it has nothing to say.
const (
	unsetLeaderEpoch int32 = -1
	noProducer       int64 = -1
	noProducerEpoch  int16 = -1
	noSequence       int32 = -1
)

// Limits of what a batch may claim.
const (
	lastKnownCodec = 4 // none, gzip, snappy, lz4, zstd
	minRecordBytes = 7 // every field of a record in its shortest form
)
