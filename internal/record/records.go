package record

import (
	"encoding/binary"
	"fmt"
)

// headerCapacity bounds the headers allocated ahead on a record's own word.
const headerCapacity = 64

// Record is one record of a batch. Its slices alias the batch; nil is Kafka's
// null, empty is empty.
type Record struct {
	Offset    int64
	Timestamp int64 // milliseconds
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Each calls fn with every record of an uncompressed batch, in order, until fn
// returns an error. It is for verification, tools and control markers, not for
// the path of a record. Whatever the bytes say, it neither panics nor allocates
// more than they could hold; what they get wrong is [ErrInvalid].
func (b Batch) Each(fn func(Record) error) error {
	if b.Compression() != 0 {
		return fmt.Errorf("codec %d: %w", b.Compression(), ErrCompressed)
	}
	p := reader{rest: b[HeaderBytes:]}
	next := int64(0)
	for i := range b.Records() {
		body := reader{rest: p.take(p.varint())}
		r, delta := body.record(b)
		if p.bad || body.bad || len(body.rest) > 0 {
			return fmt.Errorf("record %d of %d: bad length: %w", i, b.Records(), ErrInvalid)
		}
		if delta < next || delta > int64(b.int32At(atLastDelta)) {
			return fmt.Errorf("record %d of %d: offset delta %d: %w", i, b.Records(), delta, ErrInvalid)
		}
		next = delta + 1
		if err := fn(r); err != nil {
			return err
		}
	}
	if len(p.rest) > 0 {
		return fmt.Errorf("%d bytes after record %d: %w", len(p.rest), b.Records(), ErrInvalid)
	}
	return nil
}

// reader consumes fields; once a field did not fit it is bad and yields zeros.
type reader struct {
	rest []byte
	bad  bool
}

func (p *reader) record(b Batch) (r Record, offsetDelta int64) {
	p.take(1) // attributes of a record are unused
	timestampDelta := p.varint()
	offsetDelta = p.varint()
	r.Offset = b.BaseOffset() + offsetDelta
	r.Timestamp = b.FirstTimestamp() + timestampDelta
	if b.Attributes()&bitLogAppendTime != 0 {
		r.Timestamp = b.MaxTimestamp()
	}
	r.Key = p.field()
	r.Value = p.field()
	r.Headers = p.headers()
	return r, offsetDelta
}

func (p *reader) headers() []Header {
	count := p.varint()
	if count < 0 || count > int64(len(p.rest)) { // a header has two bytes at least
		p.bad = true
	}
	if p.bad || count == 0 {
		return nil
	}
	headers := make([]Header, 0, min(count, headerCapacity))
	for range count {
		key := p.take(p.varint())
		value := p.field()
		if p.bad {
			return nil
		}
		headers = append(headers, Header{Key: string(key), Value: value})
	}
	return headers
}

// field reads a length and that many bytes; a length of -1 is null.
func (p *reader) field() []byte {
	n := p.varint()
	if n == -1 {
		return nil
	}
	return p.take(n)
}

func (p *reader) take(n int64) []byte {
	if p.bad || n < 0 || n > int64(len(p.rest)) {
		p.bad = true
		return nil
	}
	field := p.rest[:n:n]
	p.rest = p.rest[n:]
	return field
}

func (p *reader) varint() int64 {
	v, n := binary.Varint(p.rest)
	if p.bad || n <= 0 {
		p.bad = true
		return 0
	}
	p.rest = p.rest[n:]
	return v
}
