package api

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchResponse is a fetch response whose records stay where the log keeps them
// until they are written to the socket. It implements wire.Gatherer.
type fetchResponse struct {
	kmsg.FetchResponse
	// batches holds the records of each partition, in the order in which the
	// partitions are encoded. The partitions' RecordBatches are not used, nor are
	// aborted transactions, snapshot ids and unknown tags.
	batches [][][]byte
}

// copyBytes is the size of a batch up to which copying it is cheaper than
// another piece.
const copyBytes = 4 << 10

// AppendTo encodes the response with its records in place.
func (r *fetchResponse) AppendTo(dst []byte) []byte {
	pieces := r.AppendPieces(dst)
	dst = pieces[0]
	for _, piece := range pieces[1:] {
		dst = append(dst, piece...)
	}
	return dst
}

// AppendPieces encodes the response behind dst. What it returns is, end to end,
// what AppendTo returns; records are in pieces of their own.
//
// The layout, where (n) is the first version that has a field:
//
//	throttle 4 | error 2 (7) | session id 4 (7) | topics | tags (12): brokers
//	topic:     name, id 16 (13) | partitions | tags (12)
//	partition: index 4 | error 2 | high watermark 8 | last stable offset 8
//	           log start offset 8 (5) | aborted transactions
//	           preferred replica 4 (11) | records
//	           tags (12): diverging epoch, current leader
func (r *fetchResponse) AppendPieces(dst []byte) [][]byte {
	e := &fetchEncoder{buf: dst, version: r.Version, flexible: r.IsFlexible()}
	e.int32(r.ThrottleMillis)
	if e.version >= 7 {
		e.int16(r.ErrorCode)
		e.int32(r.SessionID)
	}
	batches := r.batches
	e.count(len(r.Topics))
	for i := range r.Topics {
		topic := &r.Topics[i]
		if e.version >= firstTopicIDFetch {
			e.buf = append(e.buf, topic.TopicID[:]...)
		} else {
			e.text(topic.Topic)
		}
		e.count(len(topic.Partitions))
		for j := range topic.Partitions {
			e.partition(&topic.Partitions[j], batches[j])
		}
		batches = batches[len(topic.Partitions):]
		e.noTags()
	}
	e.brokers(r.Brokers)
	return append(e.pieces, e.buf[e.start:])
}

// fetchEncoder writes into buf. What lies before start is in pieces already.
type fetchEncoder struct {
	buf      []byte
	start    int
	pieces   [][]byte
	version  int16
	flexible bool
}

func (e *fetchEncoder) int16(n int16) { e.buf = binary.BigEndian.AppendUint16(e.buf, uint16(n)) }
func (e *fetchEncoder) int32(n int32) { e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(n)) }
func (e *fetchEncoder) int64(n int64) { e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(n)) }
func (e *fetchEncoder) uvarint(n int) { e.buf = binary.AppendUvarint(e.buf, uint64(n)) }

func (e *fetchEncoder) noTags() {
	if e.flexible {
		e.buf = append(e.buf, 0)
	}
}

// count writes the length of an array, or of bytes.
func (e *fetchEncoder) count(n int) {
	if e.flexible {
		e.uvarint(n + 1)
	} else {
		e.int32(int32(n))
	}
}

func (e *fetchEncoder) text(s string) {
	if e.flexible {
		e.uvarint(len(s) + 1)
	} else {
		e.int16(int16(len(s)))
	}
	e.buf = append(e.buf, s...)
}

func (e *fetchEncoder) partition(p *kmsg.FetchResponseTopicPartition, batches [][]byte) {
	e.int32(p.Partition)
	e.int16(p.ErrorCode)
	e.int64(p.HighWatermark)
	e.int64(p.LastStableOffset)
	if e.version >= 5 {
		e.int64(p.LogStartOffset)
	}
	if p.AbortedTransactions == nil {
		e.count(-1)
	} else {
		e.count(0)
	}
	if e.version >= firstFollowerFetch {
		e.int32(p.PreferredReadReplica)
	}
	e.records(batches)
	if e.flexible {
		e.partitionTags(p)
	}
}

// records writes the length of the records and then the records, large ones by
// reference.
func (e *fetchEncoder) records(batches [][]byte) {
	size, copied := 0, 0
	for _, b := range batches {
		size += len(b)
		if len(b) <= copyBytes {
			copied += len(b)
		}
	}
	e.count(size)
	e.buf = slices.Grow(e.buf, copied) // once: to double it on the way copies as much again
	for _, b := range batches {
		if len(b) <= copyBytes {
			e.buf = append(e.buf, b...)
			continue
		}
		e.pieces = append(e.pieces, e.buf[e.start:len(e.buf):len(e.buf)], b)
		e.start = len(e.buf)
	}
}

func (e *fetchEncoder) partitionTags(p *kmsg.FetchResponseTopicPartition) {
	diverging, leader := p.DivergingEpoch, p.CurrentLeader
	hasDiverging := diverging.Epoch != -1 || diverging.EndOffset != -1
	hasLeader := leader.LeaderID != -1 || leader.LeaderEpoch != -1
	tags := 0
	for _, has := range []bool{hasDiverging, hasLeader} {
		if has {
			tags++
		}
	}
	e.uvarint(tags)
	if hasDiverging {
		e.buf = append(e.buf, 0, 4+8+1) // tag, size
		e.int32(diverging.Epoch)
		e.int64(diverging.EndOffset)
		e.noTags()
	}
	if hasLeader {
		e.buf = append(e.buf, 1, 4+4+1) // tag, size
		e.int32(leader.LeaderID)
		e.int32(leader.LeaderEpoch)
		e.noTags()
	}
}

// brokers writes the tags of the response: the addresses of leaders.
func (e *fetchEncoder) brokers(brokers []kmsg.FetchResponseBroker) {
	if !e.flexible {
		return
	}
	if len(brokers) == 0 {
		e.noTags()
		return
	}
	inner := &fetchEncoder{flexible: true}
	inner.count(len(brokers))
	for i := range brokers {
		b := &brokers[i]
		inner.int32(b.NodeID)
		inner.text(b.Host)
		inner.int32(b.Port)
		if b.Rack == nil {
			inner.uvarint(0)
		} else {
			inner.text(*b.Rack)
		}
		inner.noTags()
	}
	e.buf = append(e.buf, 1, 0) // one tag, number 0
	e.uvarint(len(inner.buf))
	e.buf = append(e.buf, inner.buf...)
}
