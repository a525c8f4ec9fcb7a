// Package producer remembers what idempotent producers have written to one
// partition, so that a batch sent twice is appended once and one that was lost
// on the way is noticed. It is pure: it has no clock, lock or IO, and knows
// nothing of logs and replicas beyond the headers of the batches in them.
//
// The state is a function of the log: every replica builds the same one from
// the batches it appends, so a new leader has it already. What cannot be undone,
// a truncation, is the caller's to answer with a new [State] built from the log
// that is left.
//
// # Rules
//
// They are Kafka's, and the numbers those of docs/invariants.md.
//
//	I20  A batch of a producer whose last five batches include one of the same
//	     epoch and sequences is a duplicate, and is answered with the offsets
//	     of that one.
//	I21  Of a known producer and epoch, only the batch that follows the last
//	     sequence is new; sequences wrap to zero after the largest int32.
//	I22  A newer epoch begins at sequence zero; an older one is fenced.
//	I23  A producer that is not known may begin at any sequence: it may have
//	     been forgotten, and refusing it would be fatal to it.
//	I24  Batches of the log, replicated or replayed, are never refused.
package producer

import (
	"math"
	"time"

	"github.com/chronik-project/chronik/internal/record"
)

// State is what a partition knows of its producers. Create it with [New]; it is
// not safe for concurrent use.
type State struct {
	producers map[int64]*entry
}

// New returns the state of an empty log.
func New() *State { return &State{producers: map[int64]*entry{}} }

// Kind says what a checked batch is.
type Kind uint8

const (
	// Fresh batches are to be appended.
	Fresh Kind = iota
	// Duplicate batches are in the log already. The answer is that of the
	// original, given when the original is committed.
	Duplicate
)

// Verdict is the outcome of a check.
type Verdict struct {
	Kind Kind
	// Base and Next are the original's offsets, [Base, Next), of a Duplicate.
	Base, Next int64
}

// Check judges a client's batch before it is appended, by its header alone, and
// changes nothing: [State.Update] does, once the batch has its offset. Errors:
// [ErrOutOfOrderSequence], [ErrInvalidProducerEpoch], [ErrTransactional].
func (s *State) Check(b record.Batch) (Verdict, error) {
	if b.IsTransactional() {
		return Verdict{}, refuse(b, nil, ErrTransactional)
	}
	id := b.ProducerID()
	if id < 0 || b.IsControl() {
		return Verdict{}, nil
	}
	e, known := s.producers[id]
	if !known {
		return Verdict{}, nil // I23
	}
	switch epoch, first := b.ProducerEpoch(), b.BaseSequence(); {
	case epoch < e.epoch:
		return Verdict{}, refuse(b, e, ErrInvalidProducerEpoch)
	case epoch > e.epoch:
		if first != 0 {
			return Verdict{}, refuse(b, e, ErrOutOfOrderSequence)
		}
		return Verdict{}, nil
	default:
		if was, ok := e.find(first, b.LastSequence()); ok {
			return Verdict{Kind: Duplicate, Base: was.base, Next: was.next}, nil
		}
		if first != following(e.lastSequence()) {
			return Verdict{}, refuse(b, e, ErrOutOfOrderSequence)
		}
		return Verdict{}, nil
	}
}

// Update takes note of a batch of the log, stamped with its offset: one that
// was just appended, or is replicated or replayed. It never refuses one (I24).
// A control batch moves its producer's epoch and leaves the sequences alone.
func (s *State) Update(b record.Batch, now time.Time) {
	id := b.ProducerID()
	if id < 0 {
		return
	}
	e, known := s.producers[id]
	if !known || b.ProducerEpoch() != e.epoch {
		e = &entry{epoch: b.ProducerEpoch()}
		s.producers[id] = e
	}
	e.seen = now
	if !b.IsControl() {
		e.add(written{
			first: b.BaseSequence(), last: b.LastSequence(),
			base: b.BaseOffset(), next: b.NextOffset(),
		})
	}
}

// ExpireBefore forgets the producers that wrote nothing since t, and returns
// how many that were. A leader that forgets one accepts a repeat of its batches
// as new, so t should lie days back.
func (s *State) ExpireBefore(t time.Time) (expired int) {
	for id, e := range s.producers {
		if e.seen.Before(t) {
			delete(s.producers, id)
			expired++
		}
	}
	return expired
}

// Len is the number of producers known.
func (s *State) Len() int { return len(s.producers) }

// FirstOpenOffset is the first offset of the earliest transaction that is open,
// which bounds what committed reads may see (K16). Transactional batches are
// refused, so none ever is.
func (s *State) FirstOpenOffset() (offset int64, open bool) { return 0, false }

// following is the sequence after one; -1, before the first, is followed by 0.
func following(sequence int32) int32 {
	if sequence == math.MaxInt32 {
		return 0
	}
	return sequence + 1
}
