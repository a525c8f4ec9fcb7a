package trace

import (
	"sync"
	"sync/atomic"
)

// RingBatches is how many batches a [Ring] keeps: about 2 MiB of memory.
const RingBatches = 8192

// Ring keeps the newest batches. Adding neither allocates nor waits: every slot
// has a lock of its own, which only a reader of that very slot can hold. Safe
// for concurrent use; a nil Ring keeps nothing.
type Ring struct {
	next  atomic.Uint64 // batches ever added
	slots []slot
}

type slot struct {
	mu    sync.Mutex
	n     uint64 // guarded by mu; number of the batch, from 1; 0: none yet
	batch Batch  // guarded by mu
}

// NewRing returns a ring of that many batches.
func NewRing(batches int) *Ring { return &Ring{slots: make([]slot, batches)} }

// Add keeps a copy of a batch.
func (r *Ring) Add(b *Batch) {
	if r == nil {
		return
	}
	n := r.next.Add(1)
	s := &r.slots[(n-1)%uint64(len(r.slots))]
	s.mu.Lock()
	if n > s.n { // else this goroutine slept through a whole turn of the ring
		s.n, s.batch = n, *b
	}
	s.mu.Unlock()
}

// Query selects batches of a ring.
type Query struct {
	// Since is the Next of the answer before; 0 asks for the oldest kept.
	Since uint64
	// Limit bounds the answer.
	Limit int
	// Every takes one batch of that many; 0 and 1 take all.
	Every uint64
	// Topic, when not empty, leaves out all others.
	Topic string
}

// Answer is what a ring has.
type Answer struct {
	// Next is what to ask for next: everything before it is in this answer, was
	// left out by the query, or is among the Missed.
	Next uint64
	// Missed counts batches since Query.Since that had been overwritten.
	Missed uint64
	// More says that Limit cut the answer short.
	More    bool
	Batches []Batch
}

// Read answers a query.
func (r *Ring) Read(q Query) Answer {
	if r == nil {
		return Answer{}
	}
	newest := r.next.Load()
	a := Answer{Next: min(q.Since, newest)} // a larger one is of another process
	if q.Since > newest {
		a.Next = 0
	}
	if kept := uint64(len(r.slots)); newest-a.Next > kept {
		a.Missed = newest - a.Next - kept
		a.Next = newest - kept
	}
	for ; a.Next < newest; a.Next++ {
		if len(a.Batches) >= q.Limit {
			a.More = true
			return a
		}
		n := a.Next + 1
		s := &r.slots[a.Next%uint64(len(r.slots))]
		s.mu.Lock()
		have, b := s.n, s.batch
		s.mu.Unlock()
		switch {
		case have < n:
			return a // taken, and not written yet: the next question gets it
		case have > n:
			a.Missed++
		case q.Every > 1 && n%q.Every != 0, q.Topic != "" && b.Topic != q.Topic:
		default:
			a.Batches = append(a.Batches, b)
		}
	}
	return a
}

// Len is how many batches the ring has room for.
func (r *Ring) Len() int {
	if r == nil {
		return 0
	}
	return len(r.slots)
}
