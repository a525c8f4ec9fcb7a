package record

import (
	"encoding/binary"
)

// Builder makes one valid, uncompressed v2 batch: for tests, for the load
// generator and for control batches. The zero Builder starts at offset 0; its
// methods return the Builder so that calls can be chained. It does not guard
// against misuse by its own program: more than 2^31-1 records do not fit.
type Builder struct {
	base          int64
	records       []byte
	scratch       []byte
	count         int32
	firstTS       int64
	maxTS         int64
	attributes    int16
	hasProducer   bool
	producerID    int64
	producerEpoch int16
	baseSequence  int32
}

// NewBuilder returns a Builder of a batch whose first record has offset base.
func NewBuilder(base int64) *Builder { return &Builder{base: base} }

// Append adds a record with the given timestamp in milliseconds. A nil key or
// value is a null one.
func (w *Builder) Append(key, value []byte, headers []Header, timestamp int64) *Builder {
	if w.count == 0 {
		w.firstTS, w.maxTS = timestamp, timestamp
	}
	w.maxTS = max(w.maxTS, timestamp)

	body := w.scratch[:0]
	body = append(body, 0) // attributes of a record are unused
	body = binary.AppendVarint(body, timestamp-w.firstTS)
	body = binary.AppendVarint(body, int64(w.count))
	body = appendField(body, key)
	body = appendField(body, value)
	body = binary.AppendVarint(body, int64(len(headers)))
	for _, h := range headers {
		body = binary.AppendVarint(body, int64(len(h.Key)))
		body = append(body, h.Key...)
		body = appendField(body, h.Value)
	}
	w.records = binary.AppendVarint(w.records, int64(len(body)))
	w.records = append(w.records, body...)
	w.scratch = body
	w.count++
	return w
}

// Producer makes the batch one of an idempotent producer.
func (w *Builder) Producer(id int64, epoch int16, baseSequence int32) *Builder {
	w.hasProducer = true
	w.producerID, w.producerEpoch, w.baseSequence = id, epoch, baseSequence
	return w
}

// Transactional marks the batch as part of its producer's transaction.
func (w *Builder) Transactional() *Builder {
	w.attributes |= bitTransactional
	return w
}

// Control marks the batch as one that holds a marker instead of records.
func (w *Builder) Control() *Builder {
	w.attributes |= bitControl
	return w
}

// Bytes returns the finished batch, freshly allocated. A Builder without
// records yields an empty batch, which [Validate] refuses.
func (w *Builder) Bytes() Batch {
	b := make(Batch, HeaderBytes, HeaderBytes+len(w.records))
	binary.BigEndian.PutUint32(b[atLength:], uint32(HeaderBytes-lengthEnd+len(w.records)))
	b.Stamp(w.base, unsetLeaderEpoch)
	b[atMagic] = magicV2
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(w.attributes))
	binary.BigEndian.PutUint32(b[atLastDelta:], uint32(w.count-1))
	binary.BigEndian.PutUint64(b[atFirstTimestamp:], uint64(w.firstTS))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(w.maxTS))
	id, epoch, sequence := noProducer, noProducerEpoch, noSequence
	if w.hasProducer {
		id, epoch, sequence = w.producerID, w.producerEpoch, w.baseSequence
	}
	binary.BigEndian.PutUint64(b[atProducerID:], uint64(id))
	binary.BigEndian.PutUint16(b[atProducerEpoch:], uint16(epoch))
	binary.BigEndian.PutUint32(b[atBaseSequence:], uint32(sequence))
	binary.BigEndian.PutUint32(b[atCount:], uint32(w.count))
	b = append(b, w.records...)
	binary.BigEndian.PutUint32(b[atCRC:], b.checksum())
	return b
}

// appendField appends a length and the bytes; nil becomes Kafka's null, -1.
func appendField(p, field []byte) []byte {
	if field == nil {
		return binary.AppendVarint(p, -1)
	}
	return append(binary.AppendVarint(p, int64(len(field))), field...)
}
