package bench

import (
	"fmt"
	"math"
)

// Problem is one record that is not as it was acked.
type Problem struct {
	Kind      string `json:"kind"` // lost, duplicate, reordered, corrupt, misplaced
	Acks      string `json:"acks"` // empty when the record no longer says
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // -1 when it was not found
	Producer  uint32 `json:"producer"`
	Sequence  uint64 `json:"sequence"`
	Detail    string `json:"detail"`
}

// The kinds of problems.
const (
	kindLost      = "lost"
	kindDuplicate = "duplicate"
	kindReordered = "reordered"
	kindCorrupt   = "corrupt"
	kindMisplaced = "misplaced"
)

// maxProblems is how many examples a report carries; all are counted.
const maxProblems = 10

// Counts are what reading back found, of one arm or of all.
type Counts struct {
	// Acked is how many records the cluster acknowledged.
	Acked int64 `json:"acked"`
	// ReadBack is how many different records of this run were read, acked or not.
	ReadBack int64 `json:"read_back"`
	// Lost were acked and are not there.
	Lost int64 `json:"lost"`
	// LostUnpromised are those that acks=1 lost in a run with faults: it promises
	// nothing once a leader fails.
	LostUnpromised int64 `json:"lost_unpromised"`
	// Unsampled lie where a sample did not look: nobody knows whether they are there.
	Unsampled int64 `json:"unsampled"`
	// Unverified were acked, and reading back did not get as far as to tell.
	Unverified int64 `json:"unverified"`
	// Duplicates were read again.
	Duplicates int64 `json:"duplicates"`
	// Reordered came after a later record of the same producer and partition.
	Reordered int64 `json:"reordered"`
	// Corrupt are not the bytes that were sent.
	Corrupt int64 `json:"corrupt"`
	// Misplaced are there, but not at the offset that the ack named.
	Misplaced int64 `json:"misplaced"`
	// UnackedPresent failed, were never answered, or asked for no ack, and are
	// there. That is legal.
	UnackedPresent int64 `json:"unacked_present"`
	// UnackedMissing is the opposite, and as legal.
	UnackedMissing int64 `json:"unacked_missing"`
}

// broken reports whether any promise was broken.
func (c Counts) broken() bool {
	return c.Lost+c.Duplicates+c.Reordered+c.Corrupt+c.Misplaced > 0
}

func (c *Counts) add(o Counts) {
	c.Acked += o.Acked
	c.ReadBack += o.ReadBack
	c.Lost += o.Lost
	c.LostUnpromised += o.LostUnpromised
	c.Unsampled += o.Unsampled
	c.Unverified += o.Unverified
	c.Duplicates += o.Duplicates
	c.Reordered += o.Reordered
	c.Corrupt += o.Corrupt
	c.Misplaced += o.Misplaced
	c.UnackedPresent += o.UnackedPresent
	c.UnackedMissing += o.UnackedMissing
}

// verifier holds what is read back against the ledgers. The producers must
// have finished: from then on the ledgers are the verifier's alone.
type verifier struct {
	run     uint64
	ledgers []*ledger // by producer number
	// covers reports whether an offset was read; nil: all were.
	covers func(partition int32, offset int64) bool

	perArm   map[Arm]*Counts
	corrupt  int64 // values that no arm can be made accountable for
	foreign  int64 // intact records of other runs
	highest  map[stream]uint64
	problems []Problem

	total          int64 // records offered
	missingAcked   int64 // acked and not seen yet
	missingUnacked int64 // not acked and not seen yet
}

// stream is the records of one producer in one partition, which keep their order.
type stream struct {
	producer  uint32
	partition int32
}

func newVerifier(run uint64, ledgers []*ledger) *verifier {
	v := &verifier{run: run, ledgers: ledgers, perArm: map[Arm]*Counts{}, highest: map[stream]uint64{}}
	for _, l := range ledgers {
		counts := v.counts(l.arm)
		l.each(func(_ uint64, e *entry) {
			v.total++
			if e.outcome == acked {
				counts.Acked++
				v.missingAcked++
			} else {
				v.missingUnacked++
			}
		})
	}
	return v
}

func (v *verifier) counts(arm Arm) *Counts {
	if v.perArm[arm] == nil {
		v.perArm[arm] = &Counts{}
	}
	return v.perArm[arm]
}

// seen returns how many different records have been read.
func (v *verifier) seen() int64 { return v.total - v.missingAcked - v.missingUnacked }

// observe takes one record as it was read.
func (v *verifier) observe(partition int32, offset int64, value []byte) {
	st, err := parseStamp(value)
	v.sighted(partition, offset, st, err)
}

// sighted takes one record whose stamp has been read already.
func (v *verifier) sighted(partition int32, offset int64, st stamp, err error) {
	if err != nil {
		v.corrupt++
		v.note(Problem{Kind: kindCorrupt, Partition: partition, Offset: offset, Detail: err.Error()})
		return
	}
	if st.run != v.run {
		v.foreign++ // the topic is not ours alone
		return
	}
	where := Problem{Partition: partition, Offset: offset, Producer: st.producer, Sequence: st.sequence}
	if int64(st.producer) >= int64(len(v.ledgers)) {
		v.corrupt++
		where.Kind, where.Detail = kindCorrupt, fmt.Sprintf("producer %d was never started", st.producer)
		v.note(where)
		return
	}
	l := v.ledgers[st.producer]
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.at(st.sequence)
	where.Acks = string(l.arm)
	if e == nil {
		v.counts(l.arm).Corrupt++
		where.Kind, where.Detail = kindCorrupt, fmt.Sprintf("sequence %d was never sent", st.sequence)
		v.note(where)
		return
	}
	v.sight(l.arm, e, where)
}

// sight compares one intact record with its entry.
func (v *verifier) sight(arm Arm, e *entry, where Problem) {
	counts := v.counts(arm)
	if e.outcome == acked && e.partition == where.Partition && e.offset == where.Offset {
		e.placed = true
	}
	if e.sightings > 0 {
		if e.sightings < math.MaxUint8 {
			e.sightings++
		}
		counts.Duplicates++
		where.Kind, where.Detail = kindDuplicate, "read before"
		v.note(where)
		return
	}
	e.sightings = 1
	counts.ReadBack++
	if e.outcome == acked {
		v.missingAcked--
	} else {
		v.missingUnacked--
		counts.UnackedPresent++
	}
	s := stream{producer: where.Producer, partition: where.Partition}
	if highest, ok := v.highest[s]; ok && where.Sequence < highest {
		counts.Reordered++
		where.Kind, where.Detail = kindReordered, fmt.Sprintf("read after sequence %d", highest)
		v.note(where)
		return
	}
	v.highest[s] = where.Sequence
}

// ahead reports whether a missing record was acked at an offset that has not
// been read yet: it may still come. One that was acked before is lost.
func (v *verifier) ahead(next map[int32]int64) bool {
	for _, l := range v.ledgers {
		found := false
		l.each(func(_ uint64, e *entry) {
			found = found || (e.outcome == acked && e.sightings == 0 && e.offset >= next[e.partition])
		})
		if found {
			return true
		}
	}
	return false
}

func (v *verifier) note(p Problem) {
	if len(v.problems) < maxProblems {
		v.problems = append(v.problems, p)
	}
}

// finish looks for what was never seen and returns the result. What was acked
// is lost only if all that is there was read; else nobody knows.
func (v *verifier) finish(complete bool) *Verification {
	for producer, l := range v.ledgers {
		counts := v.counts(l.arm)
		l.each(func(sequence uint64, e *entry) {
			p := Problem{
				Acks: string(l.arm), Partition: e.partition, Offset: e.offset,
				Producer: uint32(producer), Sequence: sequence,
			}
			switch {
			case e.sightings == 0 && v.covers != nil && (e.outcome != acked || !v.covers(e.partition, e.offset)):
				counts.Unsampled++
			case e.sightings == 0 && e.outcome == acked && !complete:
				counts.Unverified++
			case e.sightings == 0 && e.outcome == acked:
				counts.Lost++
				p.Kind, p.Detail = kindLost, "acked at this offset, and never read"
				v.note(p)
			case e.sightings == 0:
				counts.UnackedMissing++
			case e.outcome == acked && !e.placed:
				counts.Misplaced++
				p.Kind, p.Detail = kindMisplaced, "acked at this offset, and read elsewhere"
				v.note(p)
			}
		})
	}
	result := &Verification{Complete: complete, Foreign: v.foreign, Problems: v.problems, Arms: map[string]Counts{}}
	for arm, counts := range v.perArm {
		result.Arms[string(arm)] = *counts
		result.add(*counts)
	}
	result.Corrupt += v.corrupt
	if result.Problems == nil {
		result.Problems = []Problem{}
	}
	return result
}
