package bench

import (
	"sync"
	"time"
)

// passage follows the records of one producer until a consumer has them. The
// sender, the client's goroutine that delivers acks and the consumer write to
// it. A nil passage follows nothing.
type passage struct {
	mu       sync.Mutex
	onTheWay map[uint64]journey // guarded by mu; by sequence number
	consumed *recorder          // guarded by mu; of the block under way: from due, and from sent, to consumed
	afterAck *recorder          // guarded by mu; of the block under way: from acked to consumed
}

// journey is one record that was not yet both acked and consumed.
type journey struct {
	due, sent   time.Time
	acked, seen time.Time // zero: not yet
	consumed    *recorder // those of the block in which it was due
	afterAck    *recorder
}

func newPassage() *passage { return &passage{onTheWay: map[uint64]journey{}} }

// open starts a block.
func (p *passage) open(start time.Time, fine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.consumed, p.afterAck = newRecorder(), newRecorder()
	if fine {
		p.consumed.per.began, p.afterAck.per.began = start, start // nobody writes to them yet
	}
}

// recorders are those of the newest block.
func (p *passage) recorders() (consumed, afterAck *recorder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.consumed, p.afterAck
}

// departed notes a record that was due at due and is handed to the client at
// sent.
func (p *passage) departed(sequence uint64, due, sent time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.consumed.offering(due, sent)
	p.onTheWay[sequence] = journey{due: due, sent: sent, consumed: p.consumed, afterAck: p.afterAck}
}

// acked notes that the cluster answered, or with acks=0 that the record left.
func (p *passage) acked(sequence uint64, now time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if j, ok := p.onTheWay[sequence]; ok {
		j.acked = now
		p.move(sequence, j)
	}
}

// failed notes that the record's send failed. If it is consumed all the same,
// that is nobody's success.
func (p *passage) failed(sequence uint64, name string, now time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	j, ok := p.onTheWay[sequence]
	if !ok {
		return
	}
	delete(p.onTheWay, sequence)
	if j.seen.IsZero() {
		j.consumed.failedAs(name, j.due, now)
	}
}

// arrived notes that a consumer has the record. What comes a second time, or
// after its send failed, is for the verifier to judge.
func (p *passage) arrived(sequence uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	j, ok := p.onTheWay[sequence]
	if !ok || !j.seen.IsZero() {
		return
	}
	j.seen = now
	j.consumed.succeeded(j.due, j.sent, now)
	p.move(sequence, j)
}

// move is called with mu held, when a journey has come one step further.
func (p *passage) move(sequence uint64, j journey) {
	if j.acked.IsZero() || j.seen.IsZero() {
		p.onTheWay[sequence] = j
		return
	}
	delete(p.onTheWay, sequence)
	// A consumer may have a record before its producer has the ack: that is 0.
	took := max(j.seen.Sub(j.acked), 0)
	j.afterAck.succeeded(j.due, j.due, j.due.Add(took))
}
