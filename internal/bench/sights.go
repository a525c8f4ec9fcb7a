package bench

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sights are the records that one consumer read, in order, kept small so that
// they can be verified when nothing is measured any more.
type sights struct {
	skip      bool // nothing is to be verified
	chunks    [][]sighting
	damaged   int64    // records whose value is not what its stamp says
	unstamped int64    // of those, records that no benchmark wrote
	examples  []oddity // the first few of those that are damaged
}

// sighting is one intact record of a benchmark: 32 bytes, because there are
// millions.
type sighting struct {
	offset    int64
	run       uint64
	sequence  uint64
	producer  uint32
	partition int32
}

// oddity is a record without an intact stamp.
type oddity struct {
	partition int32
	offset    int64
	err       error
}

// keep notes a record whose stamp was read.
func (s *sights) keep(rec *kgo.Record, st stamp, err error) {
	switch {
	case s.skip:
		return
	case err != nil:
		s.damaged++
		if errors.Is(err, errShort) || errors.Is(err, errMagic) {
			s.unstamped++
		}
		if len(s.examples) < maxProblems {
			s.examples = append(s.examples, oddity{partition: rec.Partition, offset: rec.Offset, err: err})
		}
		return
	}
	// In chunks, as a ledger: growth that copies would be measured.
	last := len(s.chunks) - 1
	if last < 0 || len(s.chunks[last]) == entriesPerChunk {
		s.chunks = append(s.chunks, make([]sighting, 0, entriesPerChunk))
		last++
	}
	s.chunks[last] = append(s.chunks[last], sighting{
		offset: rec.Offset, run: st.run, sequence: st.sequence, producer: st.producer, partition: rec.Partition,
	})
}

// each calls fn for every intact record in order.
func (s *sights) each(fn func(sighting)) {
	for _, chunk := range s.chunks {
		for _, one := range chunk {
			fn(one)
		}
	}
}

// show has the verifier look at all of them.
func (s *sights) show(v *verifier) {
	s.each(func(one sighting) {
		v.sighted(one.partition, one.offset, stamp{run: one.run, sequence: one.sequence, producer: one.producer}, nil)
	})
	for _, o := range s.examples {
		v.sighted(o.partition, o.offset, stamp{}, o.err)
	}
	v.corrupt += s.damaged - int64(len(s.examples))
}
