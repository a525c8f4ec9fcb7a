package disk

import "slices"

// extent is a range of a file's bytes: [start, end).
type extent struct{ start, end int64 }

// extents are ranges in ascending order that neither overlap nor touch.
type extents []extent

// add returns the extents with one more range in them.
func (e extents) add(start, end int64) extents {
	if start >= end {
		return e
	}
	first, _ := slices.BinarySearchFunc(e, start, func(x extent, at int64) int { return int(min(max(x.end-at, -1), 1)) })
	last := first
	for last < len(e) && e[last].start <= end {
		start, end = min(start, e[last].start), max(end, e[last].end)
		last++
	}
	return slices.Replace(e, first, last, extent{start: start, end: end})
}

// cut returns what lies below a size.
func (e extents) cut(size int64) extents {
	for i, x := range e {
		if x.start >= size {
			return e[:i]
		}
		if x.end > size {
			e[i].end = size
			return e[:i+1]
		}
	}
	return e
}

// bytes is how much they cover.
func (e extents) bytes() int64 {
	var n int64
	for _, x := range e {
		n += x.end - x.start
	}
	return n
}
