package api

import (
	"context"
	"time"
)

// The records of a fetch response take memory from the moment they are read: the
// log's own, which it would let go of otherwise, or what was read from a file. A
// consumer that reads slowly keeps them there. So all responses share
// Options.FetchBytes. Each gets a part of what is left, which leaves something
// for whoever comes next, and gives it back once it is sent.

const (
	// leastShare is what a response gets if there is so much: smaller ones cost
	// more in calls than they save in memory.
	leastShare = 64 << 10
	// roomPatience is how long a fetch waits for room at least, also one that
	// does not want to wait for records: or clients that ask again at once would
	// lose their place in the queue each time. It is also the most that one waits
	// whose first batch is larger than the least share.
	roomPatience = time.Second
)

// read reads as much as there is room for, and reports whether the response is
// due. When nothing is left it waits its turn.
func (f *fetched) read(ctx context.Context) (due bool) {
	f.Release()
	share, ok := f.table.room.Share(f.maxBytes, leastShare)
	if !ok {
		if _, due := f.pass(0, false); due || !f.behind() {
			return due
		}
		return f.readInTurn(ctx, min(f.maxBytes, leastShare))
	}
	total, due := f.fill(share)
	if total > 0 && f.held == 0 { // the first batch alone is more than is left
		return f.readInTurn(ctx, total)
	}
	return due || total >= f.enough(share)
}

// readInTurn is read for a fetch that found too little room: it waits for n
// bytes of it, first come first served. If its time is over before that the
// response is due without records, and the client asks again.
func (f *fetched) readInTurn(ctx context.Context, n int) (due bool) {
	for f.takeInTurn(ctx, n) {
		total, due := f.fill(n)
		if total == 0 || f.held > 0 {
			return due || total >= f.enough(n)
		}
		n = total
	}
	f.pass(0, false)
	return true
}

// takeInTurn waits for n bytes of room until the fetch's own time is over, and
// for roomPatience at least. For more than the least share it waits no longer than
// that: whoever is first in the queue and wants much keeps those who want little
// from what there is.
func (f *fetched) takeInTurn(ctx context.Context, n int) bool {
	until := time.Now().Add(roomPatience)
	if n <= leastShare && f.deadline.After(until) {
		until = f.deadline
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return f.table.room.Take(ctx, n) == nil
}

// fill reads into n bytes of room that were taken, and gives back what it does
// not need. Where the first batch needs more than there is, it gives all back,
// and held is 0.
func (f *fetched) fill(n int) (total int, due bool) {
	total, due = f.pass(n, true)
	if f.table.room.Resize(n, total) {
		f.held = total
		return total, due
	}
	f.table.room.Give(n)
	f.drop()
	return total, due
}

// drop lets go of what was read, and of its room.
func (f *fetched) drop() {
	f.Release()
	for i := range f.parts {
		f.parts[i].result.Batches = nil
	}
}

// enough is how many bytes make a response due that has room for n. Where that
// is less than the client would wait for, half of it is enough: batches are
// whole, so no more may fit.
func (f *fetched) enough(n int) int {
	if n >= f.maxBytes {
		return f.minBytes
	}
	return min(f.minBytes, n/2)
}

// behind reports whether the last pass found records to read.
func (f *fetched) behind() bool {
	for i := range f.parts {
		if p := &f.parts[i]; p.err == nil && p.replica != nil && p.offset < p.result.HighWatermark {
			return true
		}
	}
	return false
}

// Release gives back the room that the records took.
func (f *fetched) Release() {
	if f.held > 0 {
		f.table.room.Give(f.held)
		f.held = 0
	}
}
