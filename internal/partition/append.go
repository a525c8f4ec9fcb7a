package partition

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/wal"
)

// Acks is what a producer waits for.
type Acks int16

// The three values of the Kafka protocol.
const (
	AcksNone   Acks = 0  // nothing
	AcksLeader Acks = 1  // this broker's own log, durable as the topic's flush mode says
	AcksAll    Acks = -1 // the high watermark
)

// AppendRequest is one partition's part of a produce request.
type AppendRequest struct {
	// Batch is exactly one validated v2 batch. The replica keeps it: the caller
	// must not touch the bytes again.
	Batch record.Batch
	// Acks decides when the returned Pending is done.
	Acks Acks
	// Deadline is when an unfinished acknowledgement becomes ErrTimedOut.
	Deadline time.Time
	// Epoch is the leader epoch the client believes in; NoEpoch when it sent none.
	Epoch cluster.Epoch
}

// Append puts a batch at the end of the log of a leading replica and returns
// its pending acknowledgement. It waits only for room in memory and in what a
// restart may have to replay, under ctx; never for another broker or consensus,
// and for a disk only once it is that far behind. While a lease has run out the
// refusal is in the Pending, and may take until another broker leads: see
// [Replica.hold].
//
// Errors: ErrNotLeader, ErrNotEnoughReplicas (nothing was appended),
// ErrFencedEpoch, ErrUnknownEpoch, ErrStorage, ErrBusy, record.ErrTooLarge for
// what no file of the write-ahead log has room for, and the sequence errors of
// package producer.
func (r *Replica) Append(ctx context.Context, req AppendRequest) (*Pending, error) {
	if err := r.reserve(ctx, len(req.Batch)); err != nil {
		return nil, r.refused(err)
	}
	r.mu.Lock()
	pending, spent, err := r.appendLocked(req)
	r.mu.Unlock()
	r.t.reserved(len(req.Batch), spent)
	if !spent {
		return pending, err
	}
	r.t.o.Wake(r.tp)
	return pending, err
}

// appendLocked does steps 6 and 7 of docs/life-of-a-record.md. spent says
// whether the batch took its reservation. REQUIRES: r.mu is held.
func (r *Replica) appendLocked(req AppendRequest) (p *Pending, spent bool, err error) {
	lead, err := r.leading("append")
	if p := r.hold(req); p != nil {
		return p, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if err := r.checkEpoch("append", req.Epoch); err != nil {
		return nil, false, err
	}
	if req.Acks == AcksAll && lead.state.UnderMinISR() {
		return nil, false, r.fail("append", ErrNotEnoughReplicas, r.missingReplicas(lead))
	}
	now := r.now()
	verdict, err := r.producers.Check(req.Batch)
	if err != nil {
		return nil, false, r.fail("append", err, "")
	}
	if verdict.Kind == producer.Duplicate {
		p := r.newPending(verdict.Base, verdict.Next, -1)
		r.await(lead, p, req) // R13: a duplicate waits like the original
		return p, false, nil
	}
	base := r.log.EndOffset()
	appendTime := int64(-1)
	if r.meta.config.MessageTimestampType == cluster.TimestampLogAppend {
		appendTime = now.UnixMilli()
		req.Batch.StampLogAppendTime(appendTime)
	}
	req.Batch.Stamp(base, int32(lead.epoch))
	if spent, err := r.write(req.Batch, req.Batch.NextOffset(), now); err != nil {
		return nil, spent, r.fail("append", ErrStorage, err.Error())
	}
	lead.state.Appended(r.log.EndOffset(), now)
	p = r.newPending(base, r.log.EndOffset(), appendTime)
	r.traced(p, req.Acks, now)
	r.await(lead, p, req)
	return p, true, nil
}

// write puts stamped batches that end at next into the write-ahead log's
// buffer, the log's tail and the producer windows: memory only. spent says
// whether the reservation was taken, also by what failed after that. REQUIRES:
// r.mu is held, and room in the write-ahead log is reserved.
func (r *Replica) write(batches []byte, next int64, now time.Time) (spent bool, err error) {
	_, err = r.t.o.WAL.Append(wal.Entry{
		Kind: wal.KindAppend, TP: r.tp, Payload: batches,
		Async: r.meta.config.Flush == cluster.FlushAsync, Notify: r, Generation: r.generation, End: next,
	})
	if err != nil {
		return false, fmt.Errorf("write-ahead log: %w", err)
	}
	if err := r.log.Append(batches); err != nil {
		// The write-ahead log holds what the partition's log refuses: going on
		// would acknowledge records that recovery cannot place.
		r.retire(fmt.Sprintf("log refuses an append that the write-ahead log holds: %v", err))
		return true, err
	}
	return true, r.learn(batches, now)
}

// endOf is the offset after the last record of the concatenated batches.
func endOf(batches []byte) (int64, error) {
	var end int64
	for rest := batches; len(rest) > 0; {
		b, tail, err := record.Next(rest)
		if err != nil {
			return 0, err
		}
		end, rest = b.NextOffset(), tail
	}
	return end, nil
}

func (r *Replica) newPending(base, next, appendTime int64) *Pending {
	return &Pending{
		base: base, next: next, appendTime: appendTime,
		logStart: r.log.StartOffset(), done: make(chan struct{}),
	}
}

// await queues p, or finishes it at once when its end has been reached.
// REQUIRES: r.mu is held.
func (r *Replica) await(lead *leadership, p *Pending, req AppendRequest) {
	w := waiter{end: p.next, deadline: req.Deadline, pending: p}
	switch {
	case req.Acks == AcksNone,
		req.Acks == AcksAll && p.next <= r.highWatermark,
		req.Acks == AcksLeader && p.next <= r.durableEnd:
		p.finish(nil)
	case req.Acks == AcksAll:
		lead.replicas.push(w)
	default:
		lead.local.push(w)
	}
}

// missingReplicas explains ErrNotEnoughReplicas. REQUIRES: r.mu is held.
func (r *Replica) missingReplicas(lead *leadership) string {
	isr := lead.state.ISR()
	s := fmt.Sprintf("%d of %d replicas in sync, min.insync.replicas %d; missing:", len(isr), len(r.meta.part.Replicas), r.meta.minISR)
	for _, id := range r.meta.part.Replicas {
		if !slices.Contains(isr, id) {
			s += fmt.Sprintf(" broker %d", id)
		}
	}
	return s
}

// Synced is called by the write-ahead log's syncer once everything of this
// replica up to end is durable (or written, for an async topic). Reports of an
// older generation speak of bytes that were cut since and are dropped.
func (r *Replica) Synced(generation uint64, end int64) {
	r.mu.Lock()
	if generation != r.generation || end <= r.durableEnd || r.failed != "" {
		r.mu.Unlock()
		return
	}
	r.durableEnd = end
	var moved bool
	session := r.follow
	appended := r.log.EndOffset()
	if r.lead != nil {
		now := r.now()
		moved = r.lead.state.LocalSynced(end, now)
		r.tracedSync(end, now)
		r.lead.local.tracedRelease(end, r.t.o.Self, now)
		r.lead.local.release(end)
		r.advance(moved, r.t.o.Self)
	}
	r.mu.Unlock()
	switch {
	case moved:
		r.t.o.Wake(r.tp)
	case session.acking:
		// The session may end before this is sent; the leader drops acks of
		// sessions that are over (R4).
		session.sink.Ack(r.tp, session.id, end, appended)
	}
}

// advance follows a move of the high watermark that the word of a broker
// caused, or no broker's: it releases acknowledgements and wakes consumers.
// REQUIRES: r.mu is held and r leads.
func (r *Replica) advance(moved bool, by cluster.BrokerID) {
	if !moved {
		return
	}
	r.highWatermark = r.lead.state.HighWatermark()
	if r.lead.replicas.len() > 0 {
		r.lead.replicas.tracedRelease(r.highWatermark, by, r.now())
	}
	r.lead.replicas.release(r.highWatermark)
	r.wakeWatchers()
}

// failWaiters finishes every waiter with cause. REQUIRES: r.mu is held.
func (r *Replica) failWaiters(lead *leadership, cause error, detail string) {
	if lead.replicas.len()+lead.local.len()+lead.held.len() == 0 {
		return
	}
	err := r.fail("acknowledge", cause, detail)
	lead.replicas.failAll(err)
	lead.local.failAll(err)
	lead.held.failAll(err)
}

// expire finishes waiters past their deadline. The records stay (K25).
// REQUIRES: r.mu is held and r leads.
func (r *Replica) expire(now time.Time) {
	if r.lead.held.len() > 0 {
		r.lead.held.expire(now, func() error { return r.fail("append", ErrNotLeader, leaseRanOut) })
	}
	if r.lead.replicas.len()+r.lead.local.len() == 0 {
		return
	}
	r.lead.replicas.expire(now, func() error { return r.fail("acknowledge", ErrTimedOut, r.holdingBack(now)) })
	r.lead.local.expire(now, func() error {
		return r.fail("acknowledge", ErrTimedOut, fmt.Sprintf("leader's own disk: durable up to %d of %d", r.durableEnd, r.log.EndOffset()))
	})
}

// holdingBack names the in-sync members that the high watermark waits for.
// REQUIRES: r.mu is held and r leads.
func (r *Replica) holdingBack(now time.Time) string {
	end := r.log.EndOffset()
	s := fmt.Sprintf("high watermark %d of %d; held back by", r.highWatermark, end)
	lowest := int64(math.MaxInt64)
	if r.durableEnd < end {
		s += fmt.Sprintf(" this broker's disk (durable up to %d)", r.durableEnd)
		lowest = r.durableEnd
	}
	for _, f := range r.lead.state.Followers(now) {
		if f.InISR && f.DurableEnd < end {
			s += fmt.Sprintf(" broker %d (%s, durable up to %d)", f.ID, f.State, f.DurableEnd)
			lowest = min(lowest, f.DurableEnd)
		}
	}
	if lowest == math.MaxInt64 {
		s += " nobody: the in-sync set is below min.insync.replicas"
	}
	return s
}
