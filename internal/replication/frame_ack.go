package replication

import (
	"encoding/binary"
	"math"
	"time"
)

// ack is an entry of an Ack frame: how far a session's log is on disk, and how
// far it reaches in memory. It is cumulative.
//
//	 0     32            40             48
//	+-----+-------------+--------------+
//	| Key | Durable end | Appended end |
//	+-----+-------------+--------------+
type ack struct {
	key
	durableEnd  int64
	appendedEnd int64
}

const ackBytes = keyBytes + 16

// round is the head of an Ack frame: what the fsync round cost that made its
// entries durable. It is how a leader tells a slow disk from a slow network.
//
//	 0              4              8
//	+--------------+--------------+---- ... ----+
//	| fsync micros | queue micros | Ack entries |
//	+--------------+--------------+---- ... ----+
type round struct {
	fsync time.Duration // of the round's write and sync
	queue time.Duration // the longest that an entry waited for the round to begin
}

const roundBytes = 8

func (r round) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, micros(r.fsync))
	return binary.BigEndian.AppendUint32(b, micros(r.queue))
}

func micros(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), math.MaxUint32))
}

func (a ack) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(a.key.append(b), uint64(a.durableEnd))
	return binary.BigEndian.AppendUint64(b, uint64(a.appendedEnd))
}

func decodeAcks(f frame, dst []ack) (round, []ack, error) {
	d := decoder{b: f.body}
	r := round{
		fsync: time.Duration(d.uint32()) * time.Microsecond,
		queue: time.Duration(d.uint32()) * time.Microsecond,
	}
	if d.err != nil {
		return r, dst, d.err
	}
	dst, err := entries(d.b, f.count, ackBytes, dst, func(d *decoder) ack {
		return ack{key: d.key(), durableEnd: d.int64(), appendedEnd: d.int64()}
	})
	return r, dst, err
}
