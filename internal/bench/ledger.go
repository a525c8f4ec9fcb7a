package bench

import "sync"

// outcome is what is known of a record.
type outcome uint8

const (
	inFlight    outcome = iota // offered, and nothing heard yet
	acked                      // the cluster said it has it, at an offset
	sentUnacked                // sent with acks=0: nothing was promised
	failed                     // an error: it may be there or not, both are legal
)

// entry is what became of one record: 16 bytes, because a run has millions.
type entry struct {
	offset    int64 // where the ack said it is
	partition int32 // where it was sent; -1 until the client has chosen
	outcome   outcome
	sightings uint8 // how often it was read back, at most 255
	placed    bool  // it was read where the ack said
}

// entriesPerChunk keeps growth from copying, which would stall the pacer.
const entriesPerChunk = 1 << 16

// ledger remembers every record of one producer by its sequence number. While
// load runs, the sender adds and the client's goroutine resolves.
type ledger struct {
	arm Arm

	mu     sync.Mutex
	chunks [][]entry // guarded by mu
	length uint64    // guarded by mu; the next sequence number
	frozen bool      // guarded by mu; what is heard now is too late to count
}

func newLedger(arm Arm) *ledger { return &ledger{arm: arm} }

// add enters a new record and returns its sequence number and partition. The
// partitions take turns, so that the load stays even when some of them fail;
// with none, the client will choose and the partition is -1.
func (l *ledger) add(partitions int32) (sequence uint64, partition int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	partition = -1
	if partitions > 0 {
		partition = int32(l.length % uint64(partitions))
	}
	if l.length%entriesPerChunk == 0 {
		l.chunks = append(l.chunks, make([]entry, 0, entriesPerChunk))
	}
	last := len(l.chunks) - 1
	l.chunks[last] = append(l.chunks[last], entry{partition: partition, offset: -1})
	l.length++
	return l.length - 1, partition
}

// at returns the entry of a sequence number, or nil if none was given out.
// It is called with mu held.
func (l *ledger) at(sequence uint64) *entry {
	if sequence >= l.length {
		return nil
	}
	return &l.chunks[sequence/entriesPerChunk][sequence%entriesPerChunk]
}

// ack notes where the cluster says a record is.
func (l *ledger) ack(sequence uint64, partition int32, offset int64) {
	l.resolve(sequence, acked, partition, offset)
}

// sent notes a record that asked for no ack and left this machine.
func (l *ledger) sent(sequence uint64, partition int32) {
	l.resolve(sequence, sentUnacked, partition, -1)
}

// fail notes that a record failed, or that nobody knows.
func (l *ledger) fail(sequence uint64, partition int32) {
	l.resolve(sequence, failed, partition, -1)
}

func (l *ledger) resolve(sequence uint64, o outcome, partition int32, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.at(sequence); e != nil && !l.frozen {
		e.outcome, e.partition, e.offset = o, partition, offset
	}
}

// freeze makes the ledger final: an ack that comes later is not counted.
func (l *ledger) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = true
}

// each calls fn for every entry in order.
func (l *ledger) each(fn func(sequence uint64, e *entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for sequence := range l.length {
		fn(sequence, l.at(sequence))
	}
}
