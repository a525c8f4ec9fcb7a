package replication

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// A Ping's body is 8 bytes that mean something to its sender only: the time it
// was sent at. The Pong returns them. The count of both is 1.
//
//	 0      8
//	+------+
//	| Sent |
//	+------+
const pingBytes = 8

func appendPing(b []byte, k kind, sent uint64) []byte {
	start, b := beginFrame(b, k)
	b = binary.BigEndian.AppendUint64(b, sent)
	endFrame(b, start, 1)
	return b
}

func decodePing(f frame) (sent uint64, err error) {
	if f.count != 1 || len(f.body) != pingBytes {
		return 0, fmt.Errorf("%w: %s with count %d and %d bytes", errFrame, f.kind, f.count, len(f.body))
	}
	return binary.BigEndian.Uint64(f.body), nil
}

// errCode says why a follower ended a session.
//
// These constants are part of the wire format. They must not be changed.
type errCode uint16

const (
	errCodeInternal  errCode = 0
	errCodeDiverged  errCode = 1 // a batch did not continue its log (R6)
	errCodeStale     errCode = 2 // the session was preempted or fenced (R3)
	errCodeStorage   errCode = 3 // its disk failed
	errCodeWait      errCode = 4 // its metadata did not catch up while parked (R5)
	errCodeCommitted errCode = 5 // the cut lies below its high watermark (R7)
	errCodeDiskFull  errCode = 6 // its disk is down to its reserve
)

// sessionErr is the entry of an Err frame: a session that the follower ended.
//
//	 0     32     34       36
//	+-----+------+--------+--- ... ---+
//	| Key | Code | Length | Text      |
//	+-----+------+--------+--- ... ---+
type sessionErr struct {
	key
	code errCode
	text string // for the operator
}

const (
	sessionErrBytes = keyBytes + 4
	maxErrTextBytes = 1024
)

func (e sessionErr) append(b []byte) []byte {
	text := e.text
	if len(text) > maxErrTextBytes {
		cut := maxErrTextBytes
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	b = e.key.append(b)
	b = binary.BigEndian.AppendUint16(b, uint16(e.code))
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

func decodeSessionErrs(f frame, dst []sessionErr) ([]sessionErr, error) {
	return entries(f.body, f.count, sessionErrBytes, dst, func(d *decoder) sessionErr {
		e := sessionErr{key: d.key(), code: errCode(d.uint16())}
		n := int(d.uint16())
		if n > maxErrTextBytes {
			d.err = fmt.Errorf("%w: error text of %d bytes", errFrame, n)
		}
		e.text = string(d.take(n))
		return e
	})
}

// entry is anything that several of make up a frame.
type entry interface{ append(b []byte) []byte }

// fullFrameBytes ends a frame of entries: the next one begins another frame.
const fullFrameBytes = 1 << 20

// appendFrame adds frames of one kind with all of the entries to b: one frame,
// unless it would become too large.
func appendFrame[E entry](b []byte, k kind, list []E) []byte {
	return appendHeadedFrame(b, k, func(b []byte) []byte { return b }, list)
}

// appendAcks adds the Ack frames of a round.
func appendAcks(b []byte, r round, list []ack) []byte {
	return appendHeadedFrame(b, kindAck, r.append, list)
}

func appendHeadedFrame[E entry](b []byte, k kind, head func([]byte) []byte, list []E) []byte {
	for len(list) > 0 {
		var start, n int
		start, b = beginFrame(b, k)
		b = head(b)
		for n < min(len(list), maxFrameEntries) && len(b)-start < fullFrameBytes {
			b = list[n].append(b)
			n++
		}
		endFrame(b, start, n)
		list = list[n:]
	}
	return b
}
