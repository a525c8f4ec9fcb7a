package bench

import "fmt"

// survey verifies records that earlier runs wrote, of which only their stamps
// are left: no ledger says what was acked.
type survey struct {
	counts   Counts
	sources  map[source]*numbers
	highest  map[course]uint64
	problems []Problem
}

// source is a producer of some run, and course what it wrote to one partition.
type source struct {
	run      uint64
	producer uint32
}

type course struct {
	source
	partition int32
}

// numbers are the sequence numbers of a source that were seen: a bit each.
type numbers struct {
	seen  []uint64
	count int64
	top   uint64 // the highest
}

// add reports whether the number is new.
func (n *numbers) add(sequence uint64) bool {
	word, bit := sequence/64, uint64(1)<<(sequence%64)
	for uint64(len(n.seen)) <= word {
		n.seen = append(n.seen, 0)
	}
	if n.seen[word]&bit != 0 {
		return false
	}
	n.seen[word] |= bit
	n.count++
	n.top = max(n.top, sequence)
	return true
}

func newSurvey() *survey {
	return &survey{sources: map[source]*numbers{}, highest: map[course]uint64{}}
}

// look takes one record.
func (s *survey) look(one sighting) {
	where := Problem{Partition: one.partition, Offset: one.offset, Producer: one.producer, Sequence: one.sequence}
	if one.sequence >= maxRecords {
		s.counts.Corrupt++
		s.note(where, kindCorrupt, "no run has that many records")
		return
	}
	from := source{run: one.run, producer: one.producer}
	if s.sources[from] == nil {
		s.sources[from] = &numbers{}
	}
	if !s.sources[from].add(one.sequence) {
		s.counts.Duplicates++
		s.note(where, kindDuplicate, "read before")
		return
	}
	s.counts.ReadBack++
	way := course{source: from, partition: one.partition}
	if highest, ok := s.highest[way]; ok && one.sequence < highest {
		s.counts.Reordered++
		s.note(where, kindReordered, fmt.Sprintf("read after sequence %d", highest))
		return
	}
	s.highest[way] = one.sequence
}

func (s *survey) note(p Problem, kind, detail string) {
	if p.Kind, p.Detail = kind, detail; len(s.problems) < maxProblems {
		s.problems = append(s.problems, p)
	}
}

// missing counts the numbers below the highest of each source that were not
// seen: records that failed when they were produced, that retention has deleted
// since, or that are lost.
func (s *survey) missing() int64 {
	n := int64(0)
	for _, from := range s.sources {
		n += int64(from.top) + 1 - from.count
	}
	return n
}

// result is what can be said without knowing what was acked.
func (s *survey) result(all []*sights) *Verification {
	v := &Verification{Counts: s.counts, Problems: s.problems, Arms: map[string]Counts{}}
	for _, one := range all {
		v.Foreign += one.unstamped
		v.Corrupt += one.damaged - one.unstamped
		for _, o := range one.examples {
			if v.Corrupt > 0 && len(v.Problems) < maxProblems {
				v.Problems = append(v.Problems, Problem{Kind: kindCorrupt, Partition: o.partition, Offset: o.offset, Detail: o.err.Error()})
			}
		}
	}
	if v.Problems == nil {
		v.Problems = []Problem{}
	}
	return v
}
