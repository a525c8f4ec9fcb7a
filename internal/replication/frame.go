package replication

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/chronik-project/chronik/internal/cluster"
)

// A frame is a header and a number of entries. All integers are big-endian.
//
//	 0        4        8      9        10       12
//	+--------+--------+------+---------+--------+--- ... ---+
//	| Length | CRC32C | Kind | Version | Count  | Body      |
//	+--------+--------+------+---------+--------+--- ... ---+
//	         |        |<------------ Length bytes --------->|
//	         |        |<------------ covered by CRC32C ---->|
//
// Count is the number of entries in the body. The checksum also covers the
// batches of a Data frame: their own leaves out the offset and the epoch, which
// are what replication stands on.
//
// These constants are part of the wire format. They must not be changed.
const (
	frameHeaderBytes = 12
	frameCRCStart    = 8 // first byte that Length counts and CRC32C covers
	frameVersion     = 1
	maxFrameEntries  = 1<<16 - 1
)

// kind says what a frame's body holds.
//
// These constants are part of the wire format. They must not be changed.
type kind uint8

const (
	kindOpen      kind = 1  // leader: sessions to open
	kindOpenAck   kind = 2  // follower: answers to Open
	kindTruncate  kind = 3  // leader: where a diverging log must be cut
	kindTruncated kind = 4  // follower: cut and durable
	kindData      kind = 5  // leader: batches of one partition
	kindHW        kind = 6  // leader: high watermarks
	kindAck       kind = 7  // follower: positions after an fsync round
	kindPing      kind = 8  // leader: are you there?
	kindPong      kind = 9  // follower: the ping's payload, unchanged
	kindErr       kind = 10 // follower: a session ended, and why
)

var kindNames = [...]string{
	kindOpen: "Open", kindOpenAck: "OpenAck", kindTruncate: "Truncate", kindTruncated: "Truncated", kindData: "Data",
	kindHW: "HW", kindAck: "Ack", kindPing: "Ping", kindPong: "Pong", kindErr: "Err",
}

func (k kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

var (
	// errFrame says that bytes from the other broker are not a frame. The
	// connection cannot be used any more: where the next frame starts is unknown.
	errFrame = errors.New("malformed replication frame")
	// errFrameVersion says that the other broker speaks a version of a frame
	// that this one does not know.
	errFrameVersion = errors.New("unknown replication frame kind or version")
	// errFrameTooLarge refuses a frame beyond the agreed size.
	errFrameTooLarge = errors.New("replication frame too large")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// key names the session that an entry belongs to. Every entry of every frame
// except Ping and Pong starts with one, so that an entry that outlives its
// session, its leader or its topic is recognised as such.
//
//	 0                   16          20             24         32
//	+-------------------+-----------+--------------+----------+
//	| Topic id          | Partition | Leader epoch | Session  |
//	+-------------------+-----------+--------------+----------+
type key struct {
	tp      cluster.TopicPartition
	epoch   cluster.Epoch
	session uint64
}

const keyBytes = 32

func (k key) append(b []byte) []byte {
	b = append(b, k.tp.TopicID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(k.tp.Partition))
	b = binary.BigEndian.AppendUint32(b, uint32(k.epoch))
	return binary.BigEndian.AppendUint64(b, k.session)
}

func (k key) String() string {
	return fmt.Sprintf("%s epoch %d session %d", k.tp, k.epoch, k.session)
}

// decoder reads a body. It never reads past the end: the first field that does
// not fit sets err, and every later one reads as zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || len(d.b) < n {
		d.err = errFrame
		return nil
	}
	taken := d.b[:n:n]
	d.b = d.b[n:]
	return taken
}

func (d *decoder) uint8() uint8 {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) int64() int64         { return int64(d.uint64()) }
func (d *decoder) epoch() cluster.Epoch { return cluster.Epoch(d.uint32()) }
func (d *decoder) key() (k key) {
	if b := d.take(keyBytes); b != nil {
		k.tp.TopicID = cluster.UUID(b[:16])
		k.tp.Partition = int32(binary.BigEndian.Uint32(b[16:]))
		k.epoch = cluster.Epoch(binary.BigEndian.Uint32(b[20:]))
		k.session = binary.BigEndian.Uint64(b[24:])
	}
	return k
}

// entries decodes count entries of a body that holds nothing else, appending
// them to dst. minBytes is the least that an entry takes: a count that cannot
// fit is refused before anything is allocated for it.
func entries[T any](body []byte, count, minBytes int, dst []T, decode func(*decoder) T) ([]T, error) {
	if count == 0 || count > len(body)/minBytes {
		return dst, fmt.Errorf("%w: %d entries in %d bytes", errFrame, count, len(body))
	}
	d := decoder{b: body}
	for range count {
		dst = append(dst, decode(&d))
	}
	if d.err == nil && len(d.b) != 0 {
		d.err = fmt.Errorf("%w: %d bytes after the last entry", errFrame, len(d.b))
	}
	return dst, d.err
}

// beginFrame starts a frame at the end of b. The caller appends the body and
// hands the same start to [endFrame].
func beginFrame(b []byte, k kind) (start int, _ []byte) {
	start = len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, byte(k), frameVersion, 0, 0)
	return start, b
}

// endFrame completes the frame that began at start. tail is the part of the
// body that is not in b but is written right behind it.
func endFrame(b []byte, start, count int, tail ...[]byte) {
	f := b[start:]
	binary.BigEndian.PutUint16(f[10:], uint16(count))
	length := len(f) - frameCRCStart
	sum := crc32.Update(0, castagnoli, f[frameCRCStart:])
	for _, t := range tail {
		length += len(t)
		sum = crc32.Update(sum, castagnoli, t)
	}
	binary.BigEndian.PutUint32(f, uint32(length))
	binary.BigEndian.PutUint32(f[4:], sum)
}

// frame is a received frame whose checksum held.
type frame struct {
	kind  kind
	count int
	// body is the reader's buffer, valid until the next read, except for Data
	// frames: theirs is never touched again, so that its batches can be kept.
	body []byte
}

// frameReader cuts a connection's bytes into frames.
type frameReader struct {
	r        *bufio.Reader
	maxBytes int    // of a frame's Length
	scratch  []byte // body of the last frame that was not Data
	header   [frameHeaderBytes]byte
}

// readBufferBytes holds a round's acknowledgements of thousands of partitions,
// or dozens of small Data frames, per system call.
const readBufferBytes = 64 << 10

func newFrameReader(r io.Reader, maxBytes int) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, readBufferBytes), maxBytes: maxBytes}
}

// next reads one frame. io.EOF means that the connection ended between frames.
func (r *frameReader) next() (frame, error) {
	h := r.header[:]
	if _, err := io.ReadFull(r.r, h); err != nil {
		return frame{}, err
	}
	length := int(binary.BigEndian.Uint32(h))
	f := frame{kind: kind(h[8]), count: int(binary.BigEndian.Uint16(h[10:]))}
	switch {
	case length < frameHeaderBytes-frameCRCStart:
		return frame{}, fmt.Errorf("%w: length %d", errFrame, length)
	case length > r.maxBytes:
		return frame{}, fmt.Errorf("%w: %d bytes, limit %d", errFrameTooLarge, length, r.maxBytes)
	}
	n := length - (frameHeaderBytes - frameCRCStart)
	var err error
	if f.kind == kindData {
		f.body, err = readBody(r.r, nil, n)
	} else {
		f.body, err = readBody(r.r, r.scratch, n)
		r.scratch = f.body[:0]
	}
	if err != nil {
		return frame{}, fmt.Errorf("read %s frame: %w", f.kind, err)
	}
	sum := crc32.Update(0, castagnoli, h[frameCRCStart:])
	if sum = crc32.Update(sum, castagnoli, f.body); sum != binary.BigEndian.Uint32(h[4:]) {
		return frame{}, fmt.Errorf("%w: checksum of %s frame", errFrame, f.kind)
	}
	// Only now are kind and version known to be what was sent.
	if h[9] != frameVersion || f.kind < kindOpen || f.kind > kindErr {
		return frame{}, fmt.Errorf("%w: %s version %d", errFrameVersion, f.kind, h[9])
	}
	return f, nil
}

// trustedBodyBytes is how much is allocated on the word of a length field
// alone: a full Data frame. Beyond it the buffer doubles as bytes arrive.
const trustedBodyBytes = dataBytes + maxChunkBytes

// readBody reads n bytes, into b's memory when they fit.
func readBody(r io.Reader, b []byte, n int) ([]byte, error) {
	b = b[:0]
	if cap(b) < n {
		b = make([]byte, 0, min(n, trustedBodyBytes))
	}
	for len(b) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*cap(b))), b...)
		}
		part := b[len(b):min(n, cap(b))]
		if _, err := io.ReadFull(r, part); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return b, err
		}
		b = b[:len(b)+len(part)]
	}
	return b, nil
}
