package isr

import (
	"math"
	"math/bits"
	"time"
)

// windowHalf is how long one of the two halves of a tally is filled: what is
// reported covers the last 30 to 60 seconds.
const windowHalf = 30 * time.Second

// window says when the halves of all tallies were last swapped.
type window struct{ swapped time.Duration }

// rotate forgets what is too old in the tallies of all replicas.
func (w *window) rotate(replicas []replica, t time.Duration) {
	age := t - w.swapped
	if age < windowHalf {
		return
	}
	for i := range replicas {
		waits := &replicas[i].waits
		waits.before = waits.now
		if age >= 2*windowHalf {
			waits.before = counts{}
		}
		waits.now = counts{}
	}
	w.swapped = t
}

// tally is how a replica took part in commits lately.
type tally struct{ now, before counts }

// Waits are counted in buckets of half an octave: from 16 microseconds, which
// no disk beats, to 67 seconds, which nobody waits for.
const (
	waitBuckets  = 44
	waitBaseBits = 4
)

type counts struct {
	last  uint32 // moves of the high watermark it was last for
	waits [waitBuckets]uint32
}

// add counts one wait from append to durability.
func (c *counts) add(wait time.Duration) { c.waits[waitBucket(wait)]++ }

// waitBucket is the bucket of a wait: two for every power of two microseconds.
func waitBucket(wait time.Duration) int {
	us := uint64(max(0, wait/time.Microsecond))
	octave := bits.Len64(us) - 1 - waitBaseBits
	if octave < 0 {
		return 0
	}
	half := int(us>>(octave+waitBaseBits-1)) & 1
	return min(2*octave+half, waitBuckets-1)
}

// waitBound is the longest wait of a bucket.
func waitBound(bucket int) time.Duration {
	octave, half := bucket/2, bucket%2
	return (time.Duration(1) << (octave + waitBaseBits)) * time.Duration(3+half) / 2 * time.Microsecond
}

// p99 is the wait that one in a hundred exceeded, rounded up to its bucket;
// unknown without any.
func (t *tally) p99() time.Duration {
	var total uint64
	for b := range waitBuckets {
		total += uint64(t.now.waits[b]) + uint64(t.before.waits[b])
	}
	if total == 0 {
		return unknown
	}
	above := total / 100
	for b := waitBuckets - 1; b >= 0; b-- {
		n := uint64(t.now.waits[b]) + uint64(t.before.waits[b])
		if n > above {
			return waitBound(b)
		}
		above -= n
	}
	return unknown
}

// share is the part of recent commits that this tally's replica was last for;
// not a number if there were none.
func (t *tally) share(replicas []replica) float64 {
	var total uint64
	for i := range replicas {
		w := &replicas[i].waits
		total += uint64(w.now.last) + uint64(w.before.last)
	}
	if total == 0 {
		return math.NaN()
	}
	return float64(uint64(t.now.last)+uint64(t.before.last)) / float64(total)
}
