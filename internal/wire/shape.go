package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// maxElements bounds the array elements and tags of one request. With it a
// decoded request takes at most a few megabytes more than its frame.
const maxElements = 1 << 16

// shape is the wire layout of a request body: enough to walk over the bytes of
// every version without building anything.
//
// It exists because the generated decoder trusts its input too far for a public
// socket: it allocates an array as soon as one byte per announced element is
// left, which is a hundred times the frame, and it runs through up to 2^32
// announced tags even after the bytes have run out. Walking the body first costs
// a few nanoseconds per field and proves that every announced element is there.
type shape []field

// field is one field of a struct, in wire order.
type field struct {
	kind  kind
	size  int   // of a fixed field, in bytes
	elem  shape // of an array, a list (one field) or an optional struct
	tag   int   // of a tagged field
	since int16 // first version that has it
	until int16 // last version that has it
}

type kind uint8

const (
	fixed    kind = iota // size bytes
	text                 // string, nullable or not
	blob                 // bytes or records, nullable or not
	list                 // array of elements that are not structs
	array                // array of structs
	optional             // one struct or null (KIP-893)
	tagged               // a struct or value inside a tagged field
)

func width(n int) field           { return field{kind: fixed, size: n, until: math.MaxInt16} }
func str() field                  { return field{kind: text, until: math.MaxInt16} }
func records() field              { return field{kind: blob, until: math.MaxInt16} }
func listOf(elem field) field     { return field{kind: list, elem: shape{elem}, until: math.MaxInt16} }
func arrayOf(elem ...field) field { return field{kind: array, elem: elem, until: math.MaxInt16} }
func maybe(elem ...field) field   { return field{kind: optional, elem: elem, until: math.MaxInt16} }

// tag is a tagged field; a struct in it carries tags of its own, a value not.
func tag(n int, elem ...field) field {
	return field{kind: tagged, tag: n, elem: elem, until: math.MaxInt16}
}

func (f field) from(version int16) field { f.since = version; return f }
func (f field) upTo(version int16) field { f.until = version; return f }

func (f field) in(version int16) bool { return f.since <= version && version <= f.until }

// walker consumes a body along its shape. The first thing that does not fit
// makes it bad; it then consumes nothing more.
type walker struct {
	rest     []byte
	version  int16
	flexible bool
	elements int // that may still come
	err      error
}

// check reports whether body is a request of this shape. Bytes behind it are
// not looked at, as Kafka does not.
func (s shape) check(body []byte, version int16, flexible bool) error {
	w := walker{rest: body, version: version, flexible: flexible, elements: maxElements}
	w.structure(s)
	return w.err
}

func (w *walker) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format+": %w", append(args, ErrMalformed)...)
	}
	w.rest = nil
}

func (w *walker) structure(s shape) {
	for i := range s {
		if w.err != nil {
			return
		}
		if s[i].in(w.version) && s[i].kind != tagged {
			w.value(&s[i])
		}
	}
	if w.flexible {
		w.tags(s)
	}
}

func (w *walker) value(f *field) {
	switch f.kind {
	case fixed:
		w.skip(f.size)
	case text:
		w.skip(w.length(2))
	case blob:
		w.skip(w.length(4))
	case list:
		for range w.count() {
			w.value(&f.elem[0])
		}
	case array:
		for range w.count() {
			w.structure(f.elem)
		}
	case optional:
		if presence := w.take(1); len(presence) == 1 && int8(presence[0]) >= 0 {
			w.structure(f.elem)
		}
	case tagged: // never among the untagged fields
	}
}

// tags walks a tag section. A tagged field that the decoder parses is walked
// inside its own bytes; of all others only the length is of interest.
func (w *walker) tags(s shape) {
	n := w.uvarint()
	w.spend(n)
	for range n {
		if w.err != nil {
			return
		}
		number, size := w.uvarint(), w.uvarint()
		inner := walker{
			rest: w.take(size), version: w.version, flexible: w.flexible, elements: w.elements,
		}
		for i := range s {
			if w.err == nil && s[i].kind == tagged && s[i].tag == number && s[i].in(w.version) {
				inner.tagged(s[i].elem)
				w.elements = inner.elements
				if inner.err != nil {
					w.fail("tag %d: %w", number, inner.err)
				}
			}
		}
	}
}

// tagged walks the content of a tagged field: one value, or a struct.
func (w *walker) tagged(s shape) {
	if len(s) == 1 {
		w.value(&s[0])
		return
	}
	w.structure(s)
}

// length reads the length of a string or of bytes; null has none.
func (w *walker) length(prefixBytes int) int {
	if w.flexible {
		return max(0, w.uvarint()-1)
	}
	prefix := w.take(prefixBytes)
	if w.err != nil {
		return 0
	}
	n := int(int16(binary.BigEndian.Uint16(prefix)))
	if prefixBytes == 4 {
		n = int(int32(binary.BigEndian.Uint32(prefix)))
	}
	if n < -1 {
		w.fail("length %d", n)
	}
	return max(0, n)
}

// count reads the number of elements of an array; null has none.
func (w *walker) count() int {
	n := 0
	if w.flexible {
		n = w.uvarint() - 1
	} else if prefix := w.take(4); w.err == nil {
		n = int(int32(binary.BigEndian.Uint32(prefix)))
	}
	if n < -1 {
		w.fail("%d elements", n)
	}
	n = max(0, n)
	w.spend(n)
	if w.err != nil {
		return 0
	}
	return n
}

// spend accounts for elements before they are walked, so that a large count
// costs nothing.
func (w *walker) spend(n int) {
	if w.elements -= n; w.elements < 0 {
		w.fail("%d elements, %d are allowed in a request", n, maxElements)
	}
}

func (w *walker) uvarint() int {
	v, n := binary.Uvarint(w.rest)
	if n <= 0 || n > binary.MaxVarintLen32 || v > math.MaxInt32 {
		w.fail("bad varint")
		return 0
	}
	w.rest = w.rest[n:]
	return int(v)
}

func (w *walker) skip(n int) { w.take(n) }

func (w *walker) take(n int) []byte {
	if w.err != nil || n > len(w.rest) {
		w.fail("%d bytes wanted, %d are left", n, len(w.rest))
		return nil
	}
	field := w.rest[:n:n]
	w.rest = w.rest[n:]
	return field
}
