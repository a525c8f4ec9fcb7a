package history

import (
	"encoding/binary"
	"time"
)

// An operation in memory is a byte of kind, outcome and guarantee, and varints.
// Numbers that tend to be close to another one are stored as the difference.
// The form lives no longer than the process.

const (
	outcomeShift   = 2
	guaranteeShift = 4
	kindMask       = 3
)

type encoder struct {
	to            []byte
	last          time.Duration
	target        int
	text, version int
}

func (e *encoder) op(op *Op) {
	e.to = append(e.to, byte(op.Kind)|byte(op.Outcome)<<outcomeShift|byte(op.Guarantee)<<guaranteeShift)
	e.signed(int64(op.Client))
	e.signed(int64(op.End - e.last))
	e.signed(int64(op.End - op.Start))
	e.count(e.target)
	e.count(e.text)
	e.signed(int64(op.Node))
	e.signed(int64(op.LeaderEpoch))
	e.signed(op.Offset)
	switch op.Kind {
	case Send:
		e.signed(int64(op.Value - ValueOf(op.Client, 0)))
		e.signed(int64(op.Attempts))
	case Poll:
		e.signed(op.HighWatermark - op.Offset)
		e.records(op)
	case State:
		e.signed(op.HighWatermark)
		e.sample(op.State)
	case Fault:
	}
}

func (e *encoder) records(op *Op) {
	e.count(len(op.Records))
	before := Record{Offset: op.Offset}
	for _, r := range op.Records {
		e.signed(r.Offset - before.Offset)
		e.signed(int64(r.Value - before.Value))
		e.signed(int64(r.LeaderEpoch - before.LeaderEpoch))
		before = r
	}
}

func (e *encoder) sample(s *Sample) {
	if s == nil {
		s = &Sample{Leader: Unknown, LogStart: Unknown}
	}
	e.signed(int64(s.Leader))
	e.nodes(s.Replicas)
	e.nodes(s.ISR)
	e.signed(s.LogStart)
	e.signed(int64(s.MinISR))
	e.count(e.version)
}

// nodes keeps nil, which says nothing, apart from no nodes at all.
func (e *encoder) nodes(ids []int32) {
	if ids == nil {
		e.count(0)
		return
	}
	e.count(len(ids) + 1)
	for _, id := range ids {
		e.signed(int64(id))
	}
}

func (e *encoder) signed(n int64) { e.to = binary.AppendVarint(e.to, n) }

func (e *encoder) count(n int) { e.to = binary.AppendUvarint(e.to, uint64(n)) }

type decoder struct {
	from    []byte
	last    time.Duration
	targets []target
	texts   []string
}

func (d *decoder) op() Op {
	head := d.from[0]
	d.from = d.from[1:]
	op := Op{
		Kind:      Kind(head & kindMask),
		Outcome:   Outcome(head >> outcomeShift & kindMask),
		Guarantee: Guarantee(head >> guaranteeShift & kindMask),
		Client:    int32(d.signed()),
	}
	op.End = d.last + time.Duration(d.signed())
	d.last = op.End
	op.Start = op.End - time.Duration(d.signed())
	about := d.targets[d.count()]
	op.Topic, op.Partition = about.topic, about.partition
	op.Error = d.texts[d.count()]
	op.Node, op.LeaderEpoch = int32(d.signed()), int32(d.signed())
	op.Offset = d.signed()
	switch op.Kind {
	case Send:
		op.Value = ValueOf(op.Client, 0) + uint64(d.signed())
		op.Attempts = int32(d.signed())
	case Poll:
		op.HighWatermark = op.Offset + d.signed()
		op.Records = d.records(op.Offset)
	case State:
		op.HighWatermark = d.signed()
		op.State = d.sample()
	case Fault:
	}
	return op
}

func (d *decoder) records(offset int64) []Record {
	n := d.count()
	if n == 0 {
		return nil
	}
	records := make([]Record, n)
	before := Record{Offset: offset}
	for i := range records {
		before.Offset += d.signed()
		before.Value += uint64(d.signed())
		before.LeaderEpoch += int32(d.signed())
		records[i] = before
	}
	return records
}

func (d *decoder) sample() *Sample {
	s := &Sample{Leader: int32(d.signed()), Replicas: d.nodes(), ISR: d.nodes()}
	s.LogStart, s.MinISR = d.signed(), int32(d.signed())
	s.ISRVersion = d.texts[d.count()]
	return s
}

func (d *decoder) nodes() []int32 {
	n := d.count()
	if n == 0 {
		return nil
	}
	ids := make([]int32, n-1)
	for i := range ids {
		ids[i] = int32(d.signed())
	}
	return ids
}

func (d *decoder) signed() int64 {
	n, size := binary.Varint(d.from)
	d.from = d.from[size:]
	return n
}

func (d *decoder) count() int {
	n, size := binary.Uvarint(d.from)
	d.from = d.from[size:]
	return int(n)
}
