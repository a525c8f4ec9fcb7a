package segment

import (
	"slices"
	"sort"

	"github.com/chronik-project/chronik/internal/record"
)

// tail is the most recent part of a log, in memory: whole batches, without a
// gap, up to the end of the log. The bytes are never changed, so they may be
// handed out; only the list is guarded by Log.mu.
type tail struct {
	batches []record.Batch
	bytes   int64
}

func (t *tail) push(b record.Batch) {
	t.batches = append(t.batches, b)
	t.bytes += int64(len(b))
}

// holds reports whether the record at offset is in memory, if it is in the log.
func (t *tail) holds(offset int64) bool {
	return len(t.batches) > 0 && t.batches[0].BaseOffset() <= offset
}

// find is the index of the batch that holds offset, or that follows it.
func (t *tail) find(offset int64) int {
	return sort.Search(len(t.batches), func(i int) bool { return t.batches[i].NextOffset() > offset })
}

// cut drops the batches that end above end.
func (t *tail) cut(end int64) {
	n := sort.Search(len(t.batches), func(i int) bool { return t.batches[i].NextOffset() > end })
	for _, b := range t.batches[n:] {
		t.bytes -= int64(len(b))
	}
	clear(t.batches[n:])
	t.batches = t.batches[:n]
}

// trim drops batches from the front, none that ends above flushed, until at
// most keepBytes are left.
func (t *tail) trim(keepBytes, flushed int64) {
	n := 0
	for n < len(t.batches) && t.bytes > keepBytes && t.batches[n].NextOffset() <= flushed {
		t.bytes -= int64(len(t.batches[n]))
		n++
	}
	clear(t.batches[:n])
	t.batches = t.batches[n:]
	if len(t.batches) == 0 {
		t.batches = nil
	}
}

// from returns a copy of the list of batches from the one that holds offset on,
// of so many bytes, but one at least.
func (t *tail) from(offset, maxBytes int64) []record.Batch {
	first := t.find(offset)
	n, total := first, int64(0)
	for n < len(t.batches) && (n == first || total+int64(len(t.batches[n])) <= maxBytes) {
		total += int64(len(t.batches[n]))
		n++
	}
	return slices.Clone(t.batches[first:n])
}

// bytesFrom is the size of the batches from the one that holds offset on.
func (t *tail) bytesFrom(offset int64) int64 {
	total := int64(0)
	for _, b := range t.batches[t.find(offset):] {
		total += int64(len(b))
	}
	return total
}
