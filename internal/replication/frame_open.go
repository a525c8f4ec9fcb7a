package replication

import (
	"encoding/binary"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// open asks a follower to follow in a new session. It carries what the follower
// needs to decide whether it may (R2, R5).
//
//	 0     32                36           44           52          60
//	+-----+-----------------+------------+------------+-----------+
//	| Key | Partition epoch | Meta index | Leader end | Log start |
//	+-----+-----------------+------------+------------+-----------+
type open struct {
	key
	partitionEpoch cluster.PartitionEpoch
	metaIndex      uint64 // of the image that made the sender the leader
	leaderEnd      int64  // exclusive
	logStart       int64
}

const openBytes = keyBytes + 28

func (o open) append(b []byte) []byte {
	b = o.key.append(b)
	b = binary.BigEndian.AppendUint32(b, uint32(o.partitionEpoch))
	b = binary.BigEndian.AppendUint64(b, o.metaIndex)
	b = binary.BigEndian.AppendUint64(b, uint64(o.leaderEnd))
	return binary.BigEndian.AppendUint64(b, uint64(o.logStart))
}

func decodeOpens(f frame, dst []open) ([]open, error) {
	return entries(f.body, f.count, openBytes, dst, func(d *decoder) open {
		return open{
			key: d.key(), partitionEpoch: cluster.PartitionEpoch(d.uint32()), metaIndex: d.uint64(),
			leaderEnd: d.int64(), logStart: d.int64(),
		}
	})
}

// openCode is a follower's answer to Open.
//
// These constants are part of the wire format. They must not be changed.
type openCode uint8

const (
	openOK      openCode = 0 // follows; the position is where its log stands
	openWait    openCode = 1 // parked until its metadata catches up; a second answer follows
	openFenced  openCode = 2 // knows a newer leader epoch: seenEpoch
	openRemoved openCode = 3 // has no such partition
)

// openAck answers one entry of Open.
//
//	 0     32     33         34           36           40              48
//	+-----+------+----------+------------+------------+---------------+
//	| Key | Code | Reserved | Epochs (n) | Seen epoch | Applied index |
//	+-----+------+----------+------------+------------+---------------+
//	 48             56          64        72            80
//	+--------------+-----------+---------+-------------+--- ... ------------+
//	| Broker epoch | Log start | Log end | Durable end | n × (epoch, start) |
//	+--------------+-----------+---------+-------------+--- ... ------------+
//
// An epoch of the vector takes 4 bytes, its start offset 8.
type openAck struct {
	key
	code         openCode
	seenEpoch    cluster.Epoch // when fenced
	appliedIndex uint64        // of the follower's metadata
	position     partition.FollowerPosition
}

const (
	openAckBytes    = keyBytes + 48
	epochStartBytes = 12
	// maxEpochs bounds the vector in an OpenAck. A longer one loses its oldest
	// epochs: the leader then cuts below them at the worst, never too little.
	maxEpochs = 4096
)

func (a openAck) append(b []byte) []byte {
	epochs := a.position.Epochs
	if len(epochs) > maxEpochs {
		epochs = epochs[len(epochs)-maxEpochs:]
	}
	b = a.key.append(b)
	b = append(b, byte(a.code), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(epochs)))
	b = binary.BigEndian.AppendUint32(b, uint32(a.seenEpoch))
	b = binary.BigEndian.AppendUint64(b, a.appliedIndex)
	b = binary.BigEndian.AppendUint64(b, uint64(a.position.BrokerEpoch))
	b = binary.BigEndian.AppendUint64(b, uint64(a.position.LogStart))
	b = binary.BigEndian.AppendUint64(b, uint64(a.position.LogEnd))
	b = binary.BigEndian.AppendUint64(b, uint64(a.position.DurableEnd))
	for _, e := range epochs {
		b = binary.BigEndian.AppendUint32(b, uint32(e.Epoch))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Start))
	}
	return b
}

func decodeOpenAcks(f frame, dst []openAck) ([]openAck, error) {
	return entries(f.body, f.count, openAckBytes, dst, decodeOpenAck)
}

func decodeOpenAck(d *decoder) openAck {
	a := openAck{key: d.key(), code: openCode(d.uint8())}
	d.uint8() // reserved
	n := int(d.uint16())
	a.seenEpoch, a.appliedIndex = d.epoch(), d.uint64()
	a.position = partition.FollowerPosition{
		BrokerEpoch: cluster.BrokerEpoch(d.int64()),
		LogStart:    d.int64(), LogEnd: d.int64(), DurableEnd: d.int64(),
	}
	if d.err == nil && (a.code > openRemoved || n > maxEpochs) {
		d.err = fmt.Errorf("%w: OpenAck code %d with %d epochs", errFrame, a.code, n)
	}
	if d.err != nil || n == 0 {
		return a
	}
	vector := decoder{b: d.take(n * epochStartBytes)}
	if vector.b == nil {
		return a
	}
	a.position.Epochs = make([]partition.EpochStart, n)
	for i := range a.position.Epochs {
		a.position.Epochs[i] = partition.EpochStart{Epoch: vector.epoch(), Start: vector.int64()}
	}
	return a
}

// truncate tells a follower where its log and the leader's part.
//
//	 0     32     33         36
//	+-----+------+----------+----+
//	| Key | Mode | Reserved | To |
//	+-----+------+----------+----+
//
// Mode 0 keeps everything below To; mode 1 empties the log and starts it anew
// at To, because the leader has nothing below that any more (K11).
type truncate struct {
	key
	reset bool
	to    int64 // exclusive
}

const truncateBytes = keyBytes + 12

func (t truncate) append(b []byte) []byte {
	b = t.key.append(b)
	var mode byte
	if t.reset {
		mode = 1
	}
	b = append(b, mode, 0, 0, 0)
	return binary.BigEndian.AppendUint64(b, uint64(t.to))
}

func decodeTruncates(f frame, dst []truncate) ([]truncate, error) {
	return entries(f.body, f.count, truncateBytes, dst, func(d *decoder) truncate {
		t := truncate{key: d.key()}
		mode := d.uint8()
		if d.err == nil && mode > 1 {
			d.err = fmt.Errorf("%w: Truncate mode %d", errFrame, mode)
		}
		d.take(3) // reserved
		t.reset, t.to = mode == 1, d.int64()
		return t
	})
}

// truncated says that a cut is durable.
//
//	 0     32            40
//	+-----+-------------+
//	| Key | Durable end |
//	+-----+-------------+
type truncated struct {
	key
	durableEnd int64
}

const truncatedBytes = keyBytes + 8

func (t truncated) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(t.key.append(b), uint64(t.durableEnd))
}

func decodeTruncateds(f frame, dst []truncated) ([]truncated, error) {
	return entries(f.body, f.count, truncatedBytes, dst, func(d *decoder) truncated {
		return truncated{key: d.key(), durableEnd: d.int64()}
	})
}
