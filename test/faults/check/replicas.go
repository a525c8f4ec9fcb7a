package check

import (
	"cmp"
	"slices"

	"github.com/chronik-project/chronik/test/faults/history"
)

// replicas checks C12: below the high watermark all replicas are the same.
func (c *checker) replicas() {
	if len(c.final) == 0 {
		return
	}
	longest := slices.MaxFunc(c.final, func(a, b *history.Replica) int { return cmp.Compare(a.HighWatermark, b.HighWatermark) })
	for _, r := range c.final {
		c.ascending(r)
		if r.HighWatermark < longest.HighWatermark {
			c.flag(LaggingReplica, r.HighWatermark, nil, "replica %d ends there, replica %d at %d", r.Node, longest.Node, longest.HighWatermark)
		}
		if r != longest {
			c.same(longest, r)
		}
	}
}

func (c *checker) ascending(r *history.Replica) {
	for i := 1; i < len(r.Records); i++ {
		if r.Records[i].Offset <= r.Records[i-1].Offset {
			c.flag(DivergedReplicas, r.Records[i].Offset, nil, "replica %d holds it behind offset %d", r.Node, r.Records[i-1].Offset)
			return
		}
	}
}

// same compares what two replicas both have, and flags the first difference in
// records and the first in batches.
func (c *checker) same(a, b *history.Replica) {
	from, to := max(a.LogStart, b.LogStart), min(a.HighWatermark, b.HighWatermark)
	x := within(a.Records, from, to, func(r history.Record) int64 { return r.Offset })
	y := within(b.Records, from, to, func(r history.Record) int64 { return r.Offset })
	if i := firstDifference(x, y); i >= 0 {
		offset := at(x, y, i, func(r history.Record) int64 { return r.Offset })
		c.flag(DivergedReplicas, offset, nil, "replicas %d and %d: records %v and %v", a.Node, b.Node, rest(x, i), rest(y, i))
	}
	if a.Batches == nil || b.Batches == nil {
		return
	}
	// The first batch may begin below the log start.
	v := within(a.Batches, from, to, func(b history.Batch) int64 { return b.Base })
	w := within(b.Batches, from, to, func(b history.Batch) int64 { return b.Base })
	if i := firstDifference(v, w); i >= 0 {
		offset := at(v, w, i, func(b history.Batch) int64 { return b.Base })
		c.flag(DivergedReplicas, offset, nil, "replicas %d and %d: batches %+v and %+v", a.Node, b.Node, rest(v, i), rest(w, i))
	}
}

// within returns the items from one offset to another, of items in order.
func within[T any](items []T, from, to int64, of func(T) int64) []T {
	compare := func(item T, offset int64) int { return cmp.Compare(of(item), offset) }
	lo, _ := slices.BinarySearchFunc(items, from, compare)
	hi, _ := slices.BinarySearchFunc(items, to, compare)
	return items[lo:max(lo, hi)]
}

// firstDifference is -1 if there is none.
func firstDifference[T comparable](a, b []T) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

// at is the lower offset of what stands at i, in either.
func at[T any](a, b []T, i int, of func(T) int64) int64 {
	switch {
	case i >= len(a):
		return of(b[i])
	case i >= len(b):
		return of(a[i])
	default:
		return min(of(a[i]), of(b[i]))
	}
}

// rest is the one item at i, or nothing.
func rest[T any](items []T, i int) []T { return items[min(i, len(items)):min(i+1, len(items))] }
