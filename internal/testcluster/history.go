package testcluster

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Value is what a record holds: its producer, and its place among all that this
// producer sent.
type Value struct {
	Producer, Seq int
}

// String is the record's bytes on the wire.
func (v Value) String() string { return fmt.Sprintf("%d-%d", v.Producer, v.Seq) }

// ParseValue reads what String wrote; what follows a second dash is padding.
func ParseValue(b []byte) (Value, error) {
	var v Value
	if _, err := fmt.Sscanf(string(b), "%d-%d", &v.Producer, &v.Seq); err != nil {
		return Value{}, fmt.Errorf("record value %.20q: %w", b, err)
	}
	return v, nil
}

// Entry is a record at its place in a partition.
type Entry struct {
	Offset int64
	Value  Value
}

// Replica is a partition as one broker holds it, below the high watermark.
type Replica struct {
	Broker  int32
	Entries []Entry
	// Batches are the bytes that the broker served.
	Batches []byte
}

// View is what one broker says of a partition.
type View struct {
	// Broker is who says it, Run which of its processes.
	Broker, Run   int32
	Leader, Epoch int32
	Replicas, ISR []int32
}

// noLeader stands in a view for a partition that nobody leads.
const noLeader = -1

// History is what clients saw of one topic while things went wrong. It is safe
// for concurrent use. These are the promises that it knows:
//
//	H1  Every acknowledged record is on every in-sync replica, at the offset
//	    of its acknowledgement.
//	H2  No record is there twice, whatever was retried.
//	H3  A producer's records stand in the order in which it sent them.
//	H4  Offsets have no holes, as nothing is deleted or compacted.
//	H5  In-sync replicas hold the same bytes.
//	H6  A consumer sees every offset once, in order, and what it saw stays.
//	H7  The latest offset, asked of leaders of the same or newer epochs, never
//	    regresses.
//	H8  In-sync sets are parts of the replicas and hold the leader, an epoch
//	    has one leader, and no process of a broker goes back to an older epoch.
//	H9  A producer is answered within the bound.
type History struct {
	bound time.Duration

	mu         sync.Mutex
	partitions map[int32]*partitionHistory // guarded by mu
	found      []string                    // guarded by mu; noticed while it happened
}

type partitionHistory struct {
	acked    []Entry
	consumed []Entry
	latest   map[int32]int64 // the largest seen in an epoch
	leaders  map[int32]int32 // by epoch
	epochs   map[[2]int32]int32
}

// maxFound bounds the complaints that are kept: after the first few they say
// nothing new.
const maxFound = 20

// NewHistory returns an empty history of a topic whose producers are to be
// answered within the bound.
func NewHistory(bound time.Duration) *History {
	return &History{bound: bound, partitions: map[int32]*partitionHistory{}}
}

// partition REQUIRES: h.mu is held.
func (h *History) partition(p int32) *partitionHistory {
	ph, ok := h.partitions[p]
	if !ok {
		ph = &partitionHistory{latest: map[int32]int64{}, leaders: map[int32]int32{}, epochs: map[[2]int32]int32{}}
		h.partitions[p] = ph
	}
	return ph
}

// complain REQUIRES: h.mu is held.
func (h *History) complain(format string, args ...any) {
	if len(h.found) < maxFound {
		h.found = append(h.found, fmt.Sprintf(format, args...))
	}
}

// Complain notes a broken promise that a client noticed by itself.
func (h *History) Complain(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.complain(format, args...)
}

// Answered notes how long a produce request with acks=all was under way.
func (h *History) Answered(took time.Duration) {
	if took > h.bound {
		h.Complain("H9: a produce request was answered after %s, the bound is %s", took, h.bound)
	}
}

// Acked notes an acknowledgement.
func (h *History) Acked(p int32, e Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ph := h.partition(p)
	ph.acked = append(ph.acked, e)
}

// AckedCount is how many records of a partition are acknowledged.
func (h *History) AckedCount(p int32) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.partition(p).acked)
}

// ConsumedCount is how many records of a partition its consumer was handed.
func (h *History) ConsumedCount(p int32) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.partition(p).consumed)
}

// Consumed notes what the one consumer of a partition, which began at offset
// zero, was handed next.
func (h *History) Consumed(p int32, e Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ph := h.partition(p)
	if next := int64(len(ph.consumed)); e.Offset != next {
		h.complain("H6: partition %d: consumed offset %d after %d", p, e.Offset, next-1)
		return
	}
	ph.consumed = append(ph.consumed, e)
}

// Latest notes the latest offset that a leader of an epoch gave. Questions are
// asked one after the other.
func (h *History) Latest(p, epoch int32, offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ph := h.partition(p)
	for older, seen := range ph.latest {
		if older <= epoch && seen > offset {
			h.complain("H7: partition %d: latest offset %d in epoch %d, was %d in epoch %d", p, offset, epoch, seen, older)
		}
	}
	ph.latest[epoch] = max(ph.latest[epoch], offset)
}

// Viewed notes what a broker says of a partition.
func (h *History) Viewed(p int32, v View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ph := h.partition(p)
	for _, id := range v.ISR {
		if !slices.Contains(v.Replicas, id) {
			h.complain("H8: partition %d: in sync %v, replicas %v", p, v.ISR, v.Replicas)
		}
	}
	if run := [2]int32{v.Broker, v.Run}; ph.epochs[run] > v.Epoch {
		h.complain("H8: partition %d: broker %d went from epoch %d to %d", p, v.Broker, ph.epochs[run], v.Epoch)
	} else {
		ph.epochs[run] = v.Epoch
	}
	if v.Leader == noLeader {
		return
	}
	if !slices.Contains(v.ISR, v.Leader) {
		h.complain("H8: partition %d: leader %d, in sync %v", p, v.Leader, v.ISR)
	}
	if was, ok := ph.leaders[v.Epoch]; ok && was != v.Leader {
		h.complain("H8: partition %d: epoch %d has the leaders %d and %d", p, v.Epoch, was, v.Leader)
	}
	ph.leaders[v.Epoch] = v.Leader
}

// Check compares a partition, as its in-sync replicas hold it in the end, with
// what was acknowledged and consumed.
func (h *History) Check(p int32, replicas []Replica) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ph := h.partition(p)
	for i, r := range replicas {
		for _, v := range slices.Concat(checkLog(r.Entries), checkSeen("H1", "acknowledged", ph.acked, r.Entries), checkSeen("H6", "consumed", ph.consumed, r.Entries)) {
			h.complain("partition %d on broker %d: %s", p, r.Broker, v)
		}
		if i > 0 && !bytes.Equal(r.Batches, replicas[0].Batches) {
			h.complain("H5: partition %d: brokers %d and %d hold different bytes", p, replicas[0].Broker, r.Broker)
		}
	}
}

// checkLog finds holes, duplicates and disorder in a log.
func checkLog(log []Entry) []string {
	var found []string
	for i, e := range log {
		if e.Offset != int64(i) {
			found = append(found, fmt.Sprintf("H4: record %d has offset %d", i, e.Offset))
			break
		}
	}
	bySent := slices.Clone(log)
	slices.SortStableFunc(bySent, func(a, b Entry) int {
		return cmp.Or(a.Value.Producer-b.Value.Producer, a.Value.Seq-b.Value.Seq)
	})
	for i := 1; i < len(bySent); i++ {
		a, b := bySent[i-1], bySent[i]
		switch {
		case a.Value == b.Value:
			found = append(found, fmt.Sprintf("H2: value %s is at offsets %d and %d", a.Value, a.Offset, b.Offset))
		case a.Value.Producer == b.Value.Producer && a.Offset > b.Offset:
			found = append(found, fmt.Sprintf("H3: value %s is at offset %d, value %s at %d", a.Value, a.Offset, b.Value, b.Offset))
		}
	}
	return found
}

// checkSeen finds what somebody saw and the log does not hold.
func checkSeen(rule, how string, seen, log []Entry) []string {
	at := map[int64]Value{}
	for _, e := range log {
		at[e.Offset] = e.Value
	}
	var found []string
	for _, e := range seen {
		switch v, ok := at[e.Offset]; {
		case !ok:
			found = append(found, fmt.Sprintf("%s: value %s was %s at offset %d, the log has %d records", rule, e.Value, how, e.Offset, len(log)))
		case v != e.Value:
			found = append(found, fmt.Sprintf("%s: value %s was %s at offset %d, where value %s stands", rule, e.Value, how, e.Offset, v))
		}
	}
	return found
}

// Violations lists the broken promises that were found so far.
func (h *History) Violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.found)
}

// Counts sums up how much was acknowledged and consumed: a history without
// enough of it proves nothing.
func (h *History) Counts() (acked, consumed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range maps.Values(h.partitions) {
		acked += len(p.acked)
		consumed += len(p.consumed)
	}
	return acked, consumed
}
