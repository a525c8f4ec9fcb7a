package partition

import (
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/trace"
)

// LeadInfo is what a sender needs to know to open sessions.
type LeadInfo struct {
	TP             cluster.TopicPartition
	Epoch          cluster.Epoch
	PartitionEpoch cluster.PartitionEpoch
	// MetaIndex is the image that made this replica the leader: a follower that
	// has not applied it parks.
	MetaIndex                       uint64
	LogStart, LogEnd, HighWatermark int64
	Followers                       []cluster.BrokerID // the replicas without this broker
}

// Lead describes the current leadership; false when this replica does not lead.
func (r *Replica) Lead() (LeadInfo, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil || r.failed != "" {
		return LeadInfo{}, false
	}
	info := LeadInfo{
		TP: r.tp, Epoch: r.lead.epoch, PartitionEpoch: r.meta.part.PartitionEpoch, MetaIndex: r.meta.index,
		LogStart: r.log.StartOffset(), LogEnd: r.log.EndOffset(), HighWatermark: r.highWatermark,
	}
	for _, id := range r.meta.part.Replicas {
		if id != r.t.o.Self {
			info.Followers = append(info.Followers, id)
		}
	}
	return info, true
}

// Position returns the leader's log end and high watermark in epoch, for a
// sender that decides whether anything is due; false when the epoch is over.
func (r *Replica) Position(epoch cluster.Epoch) (logEnd, highWatermark int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil || r.lead.epoch != epoch {
		return 0, 0, false
	}
	return r.log.EndOffset(), r.highWatermark, true
}

// FollowerOpened starts to count a follower's acks in this session, after it
// has truncated. A later session of the same follower replaces it.
func (r *Replica) FollowerOpened(peer cluster.BrokerID, epoch cluster.Epoch, session uint64, be cluster.BrokerEpoch, durableEnd, appendedEnd int64) error {
	return r.onLead("open session", epoch, peer, func(lead *leadership) bool {
		delete(lead.notes, peer)
		return lead.state.SessionOpened(peer, session, be, durableEnd, r.now())
	})
}

// FollowerAck counts a cumulative ack. Of another session or epoch it is
// ErrStaleSession and counts nothing (R4). how is for the traces of what it
// covers, which keep none of it.
func (r *Replica) FollowerAck(peer cluster.BrokerID, epoch cluster.Epoch, session uint64, durableEnd, appendedEnd int64, how trace.Ack) error {
	var stale error
	err := r.onLead("ack", epoch, peer, func(lead *leadership) bool {
		moved, err := lead.state.Acked(peer, session, durableEnd, appendedEnd, r.now())
		if err != nil {
			stale = r.fail("ack", ErrStaleSession, err.Error())
		} else {
			lead.tracedAck(peer, durableEnd, &how)
		}
		return moved
	})
	return errors.Join(err, stale)
}

// FollowerClosed ends a session: connection lost, error, or preempted.
func (r *Replica) FollowerClosed(peer cluster.BrokerID, session uint64, reason string) {
	r.withLead(func(lead *leadership) bool {
		lead.notes[peer] = linkNote{reason: reason}
		return lead.state.SessionClosed(peer, session, r.now())
	})
}

// FollowerLive says whether the session sends on the live lane (R15).
func (r *Replica) FollowerLive(peer cluster.BrokerID, session uint64, live bool) {
	r.withLead(func(lead *leadership) bool { return lead.state.CaughtUpLive(peer, session, live, r.now()) })
}

// FollowerState is what to show of a follower whose session does not count yet:
// a word of package status and a reason.
func (r *Replica) FollowerState(peer cluster.BrokerID, state, reason string) {
	r.withLead(func(lead *leadership) bool {
		lead.notes[peer] = linkNote{state: state, reason: reason}
		return false
	})
}

// withLead runs f on the leadership, if there is one, and follows a move of the
// high watermark, which f reports.
func (r *Replica) withLead(f func(*leadership) (moved bool)) {
	r.mu.Lock()
	moved := r.lead != nil && f(r.lead)
	r.advance(moved, cluster.NoBroker)
	r.mu.Unlock()
	if moved {
		r.t.o.Wake(r.tp)
	}
}

// onLead is withLead for the word of a broker in a given epoch:
// ErrStaleSession when that is over.
func (r *Replica) onLead(op string, epoch cluster.Epoch, by cluster.BrokerID, f func(*leadership) (moved bool)) error {
	r.mu.Lock()
	if r.lead == nil || r.lead.epoch != epoch {
		err := r.fail(op, ErrStaleSession, fmt.Sprintf("for epoch %d", epoch))
		r.mu.Unlock()
		return err
	}
	moved := f(r.lead)
	r.advance(moved, by)
	r.mu.Unlock()
	if moved {
		r.t.o.Wake(r.tp)
	}
	return nil
}

// ProposalResolved reports what became of an in-sync proposal.
func (t *Table) ProposalResolved(p Proposal, outcome isr.Outcome) {
	r, ok := t.Get(p.TP)
	if !ok {
		return
	}
	r.withLead(func(lead *leadership) bool {
		return lead.epoch == p.Epoch && lead.state.Resolve(p.Proposal, outcome, r.now())
	})
}

// Chunk is what one Data frame carries.
type Chunk struct {
	Base, Next    int64         // offsets [Base, Next)
	PrevEpoch     cluster.Epoch // of the batch before Base; NoEpoch at the log start
	PrevCRC       uint32
	Batches       [][]byte // share memory with the log: do not modify
	HighWatermark int64
	LogStart      int64
}

// ReadForFollower reads whole batches from offset to the log end, of any age
// and at least one. Base == Next when there is nothing. Errors: ErrNotLeader
// when the epoch is over, ErrOffsetOutOfRange below the log start.
func (r *Replica) ReadForFollower(epoch cluster.Epoch, offset int64, maxBytes int) (Chunk, error) {
	r.mu.Lock()
	if r.lead == nil || r.lead.epoch != epoch {
		defer r.mu.Unlock()
		return Chunk{}, r.fail("read for follower", ErrNotLeader, "")
	}
	c := Chunk{
		Base: offset, Next: offset, PrevEpoch: cluster.NoEpoch,
		HighWatermark: r.highWatermark, LogStart: r.log.StartOffset(),
	}
	end := r.log.EndOffset()
	r.mu.Unlock()
	if offset < c.LogStart || offset > end {
		return Chunk{}, r.failUnlocked("read for follower", ErrOffsetOutOfRange, fmt.Sprintf("offset %d, log [%d, %d)", offset, c.LogStart, end))
	}
	if offset == end {
		return c, nil
	}
	prevEpoch, prevCRC, ok, err := r.log.Preceding(offset)
	if err != nil {
		r.giveUpIfDamaged(err)
		return Chunk{}, r.failUnlocked("read for follower", ErrStorage, err.Error())
	}
	if ok {
		c.PrevEpoch, c.PrevCRC = prevEpoch, prevCRC
	}
	if c.Batches, err = r.readLog(offset, maxBytes, end, true); err != nil {
		return Chunk{}, r.failUnlocked("read for follower", ErrStorage, err.Error())
	}
	for _, b := range c.Batches {
		if c.Next, err = endOf(b); err != nil {
			return Chunk{}, r.failUnlocked("read for follower", ErrStorage, err.Error())
		}
	}
	return c, nil
}

func (r *Replica) failUnlocked(op string, cause error, detail string) *Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fail(op, cause, detail)
}
