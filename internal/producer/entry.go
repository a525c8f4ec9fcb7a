package producer

import "time"

// window is how many batches of a producer are remembered: as many as Kafka's
// clients keep in flight at most when they are idempotent.
const window = 5

// written is a batch that is in the log.
type written struct {
	first, last int32 // sequences
	base, next  int64 // offsets, [base, next)
}

// entry is one producer, in its newest epoch.
type entry struct {
	epoch   int16
	count   uint8 // of batches
	batches [window]written
	seen    time.Time // when it last wrote
}

// add remembers a batch in place of the oldest one.
func (e *entry) add(w written) {
	if e.count == window {
		copy(e.batches[:], e.batches[1:])
		e.count--
	}
	e.batches[e.count] = w
	e.count++
}

// find returns the batch that had exactly these sequences.
func (e *entry) find(first, last int32) (written, bool) {
	for _, w := range e.batches[:e.count] {
		if w.first == first && w.last == last {
			return w, true
		}
	}
	return written{}, false
}

// lastSequence is -1 before the first batch of the epoch.
func (e *entry) lastSequence() int32 {
	if e.count == 0 {
		return -1
	}
	return e.batches[e.count-1].last
}
