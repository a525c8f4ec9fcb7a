package history

import (
	"iter"
	"slices"
	"sync"
	"time"
)

// chunkBytes is the size of one piece of the log. Only the current piece has
// unused room.
const chunkBytes = 1 << 20

// History is a growing sequence of operations. It is safe for concurrent use.
type History struct {
	start time.Time

	mu         sync.Mutex
	chunks     [][]byte       // guarded by mu; what is written never changes
	last       time.Duration  // guarded by mu; End of the operation before, in this chunk
	count      int64          // guarded by mu
	partitions intern[target] // guarded by mu
	texts      intern[string] // guarded by mu
}

// target is what an operation is about.
type target struct {
	topic     string
	partition int32
}

// New starts a history now.
func New() *History { return &History{start: time.Now()} }

// Now is the time since the history's start, on the monotonic clock.
func (h *History) Now() time.Duration { return time.Since(h.start) }

// Add appends an operation and returns its ID. It keeps nothing of op.
func (h *History) Add(op Op) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.chunks); n == 0 || len(h.chunks[n-1]) > chunkBytes-chunkBytes/8 {
		h.chunks = append(h.chunks, make([]byte, 0, chunkBytes))
		h.last = 0
	}
	current := &h.chunks[len(h.chunks)-1]
	e := encoder{
		to:   *current,
		last: h.last,
		// One index for each of the two tables, so that the encoding itself
		// needs no lock.
		target: h.partitions.index(target{op.Topic, op.Partition}),
		text:   h.texts.index(op.Error),
	}
	if op.State != nil {
		e.version = h.texts.index(op.State.ISRVersion)
	}
	e.op(&op)
	*current, h.last = e.to, op.End
	h.count++
	return h.count - 1
}

// Fault does something to the cluster and takes down when, to which node
// (Unknown if to none or several), and whether it could be done.
func (h *History) Fault(node int32, what string, inject func() error) error {
	op := Op{Kind: Fault, Outcome: OK, Partition: Unknown, Offset: Unknown, LeaderEpoch: Unknown, Node: node, Error: what, Start: h.Now()}
	err := inject()
	op.End = h.Now()
	if err != nil {
		op.Outcome, op.Error = Info, what+": "+err.Error()
	}
	h.Add(op)
	return err
}

// Len is the number of operations.
func (h *History) Len() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// All yields the operations that the history has now, in order of their IDs,
// which is about the order of their ends.
func (h *History) All() iter.Seq[Op] {
	h.mu.Lock()
	chunks := slices.Clone(h.chunks)
	targets, texts := h.partitions.items, h.texts.items
	h.mu.Unlock()
	return func(yield func(Op) bool) {
		var id int64
		for _, chunk := range chunks {
			d := decoder{from: chunk, targets: targets, texts: texts}
			for len(d.from) > 0 {
				op := d.op()
				op.ID = id
				id++
				if !yield(op) {
					return
				}
			}
		}
	}
}

// intern gives each item a small number.
type intern[T comparable] struct {
	items []T
	ids   map[T]int
}

func (n *intern[T]) index(item T) int {
	id, ok := n.ids[item]
	if !ok {
		if n.ids == nil {
			n.ids = map[T]int{}
		}
		id = len(n.items)
		n.ids[item] = id
		n.items = append(n.items, item)
	}
	return id
}
