package record

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Next splits the first batch off p. It checks that the header is complete, of
// the v2 format and covered by p, and that the batch's offsets make sense, so
// that every accessor is safe; it does no work per byte. The batch aliases p
// and cannot grow into rest.
//
// An empty or incomplete p is [ErrShort].
func Next(p []byte) (b Batch, rest []byte, err error) {
	if len(p) < HeaderBytes {
		return nil, p, fmt.Errorf("%d bytes, a batch header has %d: %w", len(p), HeaderBytes, ErrShort)
	}
	// The magic sits at the same place in all formats, and older ones have
	// shorter headers, so it is looked at before the length.
	if magic := int8(p[atMagic]); magic != magicV2 {
		return nil, p, fmt.Errorf("magic %d, want %d: %w", magic, magicV2, ErrUnsupportedMagic)
	}
	size := lengthEnd + int64(int32(binary.BigEndian.Uint32(p[atLength:])))
	if size < HeaderBytes {
		return nil, p, fmt.Errorf("batch of %d bytes, its header alone has %d: %w", size, HeaderBytes, ErrCorrupt)
	}
	if size > int64(len(p)) {
		return nil, p, fmt.Errorf("batch of %d bytes, only %d are there: %w", size, len(p), ErrShort)
	}
	b = Batch(p[:size:size])
	base, delta := b.BaseOffset(), b.int32At(atLastDelta)
	if delta < 0 || base > math.MaxInt64-int64(delta)-1 {
		return nil, p, fmt.Errorf("base offset %d, last offset delta %d: %w", base, delta, ErrInvalid)
	}
	return b, p[size:], nil
}

// Validate checks a batch as a leader must before appending it and a follower
// before trusting it: size, format, CRC and a header that agrees with itself.
// A maxBytes of zero or less is no limit. It never looks into the records, which
// may be compressed.
//
// Whether a client may write a control batch is the caller's question.
func Validate(b Batch, maxBytes int) error {
	if maxBytes > 0 && len(b) > maxBytes {
		return fmt.Errorf("batch of %d bytes, limit %d: %w", len(b), maxBytes, ErrTooLarge)
	}
	whole, rest, err := Next(b)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes after the batch: %w", len(rest), ErrCorrupt)
	}
	if sum := whole.checksum(); sum != whole.CRC() {
		return fmt.Errorf("crc32c %08x, header says %08x: %w", sum, whole.CRC(), ErrCorrupt)
	}
	return validateHeader(whole)
}

// validateHeader checks the fields that the CRC vouches for against each other.
func validateHeader(b Batch) error {
	count, delta := int64(b.Records()), int64(b.int32At(atLastDelta))
	if count <= 0 || count != delta+1 {
		return fmt.Errorf("%d records, last offset delta %d: %w", count, delta, ErrInvalid)
	}
	codec := b.Compression()
	if codec > lastKnownCodec {
		return fmt.Errorf("compression codec %d: %w", codec, ErrInvalid)
	}
	// A count that its bytes cannot hold would burn offsets, up to 2^31 for a
	// header alone. Compressed records cannot be bounded without looking inside.
	if payload := int64(len(b) - HeaderBytes); codec == 0 && count*minRecordBytes > payload {
		return fmt.Errorf("%d records in %d bytes: %w", count, payload, ErrInvalid)
	}
	if b.ProducerID() >= 0 && !b.IsControl() && (b.BaseSequence() < 0 || b.ProducerEpoch() < 0) {
		return fmt.Errorf("producer %d with epoch %d, sequence %d: %w",
			b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), ErrInvalid)
	}
	return nil
}
