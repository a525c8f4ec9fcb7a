package check

import (
	"cmp"
	"iter"
	"slices"

	"github.com/chronik-project/chronik/test/faults/history"
)

// How a value came to be known at an offset.
const (
	fromAck uint8 = 1 << iota
	fromPoll
	fromFinal
)

// order is the version order of a partition: what stands at each offset at
// which anything was ever seen or acknowledged.
type order struct {
	offsets []int64 // ascending; a position in it is an index
	values  []uint64
	sources []uint8
	epochs  []int32 // history.Unknown if nobody told
	// others are further values at an index, which are one too many.
	others map[int][]sighting
	// byValue has every value with its indexes, by value, then index.
	byValue []spot
	// start is the highest log start that is known: what is below may be gone.
	// Zero if nothing may be deleted.
	start int64
}

type sighting struct {
	value   uint64
	sources uint8
}

// sightingAt is a value at an offset.
type sightingAt struct {
	offset int64
	sighting
}

// promised says that somebody was told of the record: it must stay.
func (s *sightingAt) promised() bool { return s.sources&(fromAck|fromPoll) != 0 }

// spot is where a value stands.
type spot struct {
	value uint64
	index int
}

func newOrder(p *partition, retention bool) *order {
	o := &order{others: map[int][]sighting{}}
	o.offsets = offsets(p)
	o.values = make([]uint64, len(o.offsets))
	o.sources = make([]uint8, len(o.offsets))
	o.epochs = make([]int32, len(o.offsets))
	for i := range o.epochs {
		o.epochs[i] = history.Unknown
	}
	for i := range p.sends {
		if s := &p.sends[i]; s.acked() {
			o.see(history.Record{Offset: s.offset, Value: s.value, LeaderEpoch: history.Unknown}, fromAck)
		}
	}
	for _, r := range p.records {
		o.see(r, fromPoll)
	}
	for _, replica := range p.final {
		for _, r := range replica.Records {
			o.see(r, fromFinal)
		}
	}
	o.collect()
	if retention {
		for i := range p.states {
			o.start = max(o.start, p.states[i].LogStart)
		}
		for _, replica := range p.final {
			o.start = max(o.start, replica.LogStart)
		}
	}
	return o
}

func offsets(p *partition) []int64 {
	n := len(p.sends) + len(p.records)
	for _, replica := range p.final {
		n += len(replica.Records)
	}
	all := make([]int64, 0, n)
	for i := range p.sends {
		if p.sends[i].acked() {
			all = append(all, p.sends[i].offset)
		}
	}
	for _, r := range p.records {
		all = append(all, r.Offset)
	}
	for _, replica := range p.final {
		for _, r := range replica.Records {
			all = append(all, r.Offset)
		}
	}
	slices.Sort(all)
	return slices.Clone(slices.Compact(all))
}

// find returns the index of an offset, or of the next one above it.
func (o *order) find(offset int64) (index int, ok bool) {
	// Without holes the index follows from the offset.
	if n := len(o.offsets); n > 0 && offset >= o.offsets[0] {
		if guess := offset - o.offsets[0]; guess < int64(n) && o.offsets[guess] == offset {
			return int(guess), true
		}
	}
	return slices.BinarySearch(o.offsets, offset)
}

func (o *order) see(r history.Record, source uint8) {
	i, ok := o.find(r.Offset)
	switch {
	case !ok:
		panic("an offset is missing from the version order")
	case o.sources[i] == 0:
		o.values[i], o.sources[i] = r.Value, source
	case o.values[i] == r.Value:
		o.sources[i] |= source
	default:
		o.conflict(i, r.Value, source)
	}
	if o.epochs[i] == history.Unknown && o.values[i] == r.Value {
		o.epochs[i] = r.LeaderEpoch
	}
}

func (o *order) conflict(i int, value uint64, source uint8) {
	at := slices.IndexFunc(o.others[i], func(s sighting) bool { return s.value == value })
	if at < 0 {
		o.others[i] = append(o.others[i], sighting{value, source})
		return
	}
	o.others[i][at].sources |= source
}

// collect builds byValue.
func (o *order) collect() {
	o.byValue = make([]spot, 0, len(o.offsets)+len(o.others))
	for i, v := range o.values {
		o.byValue = append(o.byValue, spot{v, i})
	}
	for i, others := range o.others {
		for _, s := range others {
			o.byValue = append(o.byValue, spot{s.value, i})
		}
	}
	slices.SortFunc(o.byValue, func(a, b spot) int {
		return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(a.index, b.index))
	})
}

// spots returns where a value stands.
func (o *order) spots(value uint64) []spot {
	from, _ := slices.BinarySearchFunc(o.byValue, value, func(s spot, v uint64) int { return cmp.Compare(s.value, v) })
	to := from
	for to < len(o.byValue) && o.byValue[to].value == value {
		to++
	}
	return o.byValue[from:to]
}

// all yields every value at every offset, in the order of offsets.
func (o *order) all() iter.Seq[sightingAt] {
	return func(yield func(sightingAt) bool) {
		for i, offset := range o.offsets {
			if !yield(sightingAt{offset, sighting{o.values[i], o.sources[i]}}) {
				return
			}
			if len(o.others) == 0 {
				continue // the map is not asked for each of millions
			}
			for _, s := range o.others[i] {
				if !yield(sightingAt{offset, s}) {
					return
				}
			}
		}
	}
}

// source says how a value is known at an index.
func (o *order) source(index int, value uint64) uint8 {
	if o.values[index] == value {
		return o.sources[index]
	}
	for _, s := range o.others[index] {
		if s.value == value {
			return s.sources
		}
	}
	return 0
}

// polled says that a consumer got the value, at whichever offset.
func (o *order) polled(value uint64) bool {
	return slices.ContainsFunc(o.spots(value), func(s spot) bool { return o.source(s.index, value)&fromPoll != 0 })
}
