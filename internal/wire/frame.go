package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	lengthBytes = 4 // prefix of every frame

	// firstReadBytes is allocated for a frame on the word of its prefix alone.
	firstReadBytes = 64 << 10
	// growth is how much larger than what has arrived the frame buffer may get.
	growth = 4

	// maxHeaderTags bounds the tags of a request header; none is defined.
	maxHeaderTags = 16
)

// frameSize reads the length prefix of a frame.
func frameSize(r io.Reader, maxBytes int) (int, error) {
	var prefix [lengthBytes]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return 0, err
	}
	size := int32(binary.BigEndian.Uint32(prefix[:]))
	if size < 0 || int(size) > maxBytes {
		return 0, fmt.Errorf("%d bytes announced (% x), limit %d: %w", size, prefix, maxBytes, ErrFrameTooLarge)
	}
	return int(size), nil
}

// readFrame reads the size bytes of a frame into a buffer of its own. The
// buffer grows with the bytes that arrive, so an announced gigabyte costs the
// sender as much as the receiver.
func readFrame(r io.Reader, size int) ([]byte, error) {
	frame := make([]byte, 0, min(size, firstReadBytes))
	for len(frame) < size {
		if len(frame) == cap(frame) {
			larger := make([]byte, len(frame), min(size, growth*len(frame)))
			copy(larger, frame)
			frame = larger
		}
		n, err := io.ReadFull(r, frame[len(frame):cap(frame)])
		frame = frame[:len(frame)+n]
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // the prefix promised more
			}
			return nil, err
		}
	}
	return frame, nil
}

// decode makes a request of a frame:
//
//	 0       2         4                8
//	+-------+---------+----------------+----------------------+------+---- ... -+
//	| key 2 | version | correlation id | client id            | tags | body     |
//	|       | 2       | 4              | int16 length + bytes |      |          |
//	+-------+---------+----------------+----------------------+------+---- ... -+
//
// The tags are there in flexible versions only. The client id is never compact.
func decode(frame []byte, versions func(key int16) (lowest, highest int16, ok bool)) (*Request, error) {
	if len(frame) < 8 {
		return nil, fmt.Errorf("frame of %d bytes: %w", len(frame), ErrMalformed)
	}
	req := &Request{Header: Header{
		Key:           int16(binary.BigEndian.Uint16(frame)),
		Version:       int16(binary.BigEndian.Uint16(frame[2:])),
		CorrelationID: int32(binary.BigEndian.Uint32(frame[4:])),
	}}
	if err := decodeBody(req, frame[8:], versions); err != nil {
		return nil, req.failed("decode", err)
	}
	return req, nil
}

func decodeBody(req *Request, rest []byte, versions func(int16) (int16, int16, bool)) error {
	lowest, highest, served := versions(req.Key)
	req.Body = kmsg.RequestForKey(req.Key)
	form, known := shapes[req.Key]
	if !served || !known || req.Body == nil {
		return ErrUnsupported
	}
	if req.Version < lowest || req.Version > highest {
		if req.Key == apiVersionsKey {
			return nil // and its header may be of a format not known yet
		}
		return fmt.Errorf("versions %d to %d are served: %w", lowest, highest, ErrUnsupported)
	}
	req.Body.SetVersion(req.Version)
	flexible := req.Body.IsFlexible()

	header := walker{rest: rest, elements: maxHeaderTags}
	prefix := header.take(2)
	if header.err == nil {
		clientID := header.take(max(0, int(int16(binary.BigEndian.Uint16(prefix)))))
		req.ClientID = string(clientID)
	}
	if flexible {
		header.flexible = true
		header.tags(nil)
	}
	if header.err != nil {
		return fmt.Errorf("header: %w", header.err)
	}
	if err := form.check(header.rest, req.Version, flexible); err != nil {
		return err
	}
	if err := req.Body.ReadFrom(header.rest); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// encodeResponse encodes a response frame behind dst: length, correlation id,
// tags in flexible versions, body. ApiVersions never has the tags, since the
// client cannot know yet what the broker speaks. What it returns is, end to end,
// dst and the frame; the first piece uses the memory of dst if that is large
// enough.
func encodeResponse(dst []byte, correlationID int32, resp kmsg.Response) [][]byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if resp.IsFlexible() && resp.Key() != apiVersionsKey {
		dst = append(dst, 0)
	}
	var pieces [][]byte
	if g, ok := resp.(Gatherer); ok {
		pieces = g.AppendPieces(dst)
	} else {
		pieces = [][]byte{resp.AppendTo(dst)}
	}
	size := -start - lengthBytes
	for _, piece := range pieces {
		size += len(piece)
	}
	binary.BigEndian.PutUint32(pieces[0][start:], uint32(size))
	return pieces
}

// apiVersionsKey is the one API whose header does not follow its version.
const apiVersionsKey int16 = 18
