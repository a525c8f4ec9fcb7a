package replication

import (
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// Outgoing is a leader's session with one follower of one partition, without the
// links, lists and locks that this package keeps it among. The simulation sends
// what it says, on a network of its own.
type Outgoing struct{ s session }

// NewOutgoing returns a session that is not connected.
func NewOutgoing(tp cluster.TopicPartition, epoch cluster.Epoch) Outgoing {
	return Outgoing{session{key: key{tp: tp, epoch: epoch}}}
}

// Session is the current session id, 0 while not connected.
func (o *Outgoing) Session() uint64 { return o.s.session }

// Cursor is the offset of the next record to send.
func (o *Outgoing) Cursor() int64 { return o.s.cursor }

// BrokerEpoch is the follower's, from its answer.
func (o *Outgoing) BrokerEpoch() cluster.BrokerEpoch { return o.s.brokerEpoch }

// Open reports whether data may flow, Live whether it does on the live lane.
func (o *Outgoing) Open() bool { return o.s.open() }

// Live reports whether data flows on the live lane.
func (o *Outgoing) Live() bool { return o.s.phase == phaseLive }

// MayConnect reports whether an attempt to open is due.
func (o *Outgoing) MayConnect(now time.Time) bool {
	return o.s.phase == phaseConnecting && !o.s.over && !o.s.retryAt.After(now)
}

// Connect begins an attempt under a new session id.
func (o *Outgoing) Connect(id uint64) { o.s.connect(id) }

// Answered takes the follower's answer to Open; parked says that it waits for
// its metadata. It reports false for an answer to another attempt.
func (o *Outgoing) Answered(epoch cluster.Epoch, id uint64, parked bool, be cluster.BrokerEpoch) bool {
	a := openAck{key: o.keyOf(epoch, id), position: partition.FollowerPosition{BrokerEpoch: be}}
	if parked {
		a.code = openWait
	}
	return o.s.answered(a)
}

// Truncate begins a cut.
func (o *Outgoing) Truncate(c partition.Cut) { o.s.truncate(c) }

// CutDone takes the follower's word that the cut is durable. It reports false
// when that is not what was asked for.
func (o *Outgoing) CutDone(epoch cluster.Epoch, id uint64, durableEnd int64) bool {
	return o.s.cutDone(truncated{key: o.keyOf(epoch, id), durableEnd: durableEnd})
}

// Begin starts to send from logEnd, lag offsets behind the leader's log.
func (o *Outgoing) Begin(durableEnd, logEnd, lag int64, liveWindowBytes int) {
	o.s.begin(durableEnd, logEnd, lag, liveWindowBytes)
}

// Review makes the session leave a lane that does not suit it. It reports
// whether the change has been made, rather than begun.
func (o *Outgoing) Review(logEnd int64, bulkWindowBytes int) (moved bool) {
	return o.s.review(logEnd, bulkWindowBytes)
}

// Room is how many bytes may be sent now, on the live lane or on the bulk one.
func (o *Outgoing) Room(liveWindowBytes, bulkWindowBytes int) (bytes int, live bool) {
	switch {
	case o.s.sendsOn(laneLive):
		return o.s.budget(laneLive, liveWindowBytes), true
	case o.s.sendsOn(laneBulk):
		return o.s.budget(laneBulk, bulkWindowBytes), false
	default:
		return 0, o.Live()
	}
}

// Sent notes a Data frame up to next that leaves now.
func (o *Outgoing) Sent(next int64, bytes int, hw int64, now time.Time) {
	ln := laneBulk
	if o.Live() {
		ln = laneLive
	}
	o.s.sent(ln, next, bytes, hw, now)
}

// Acked takes a cumulative ack; ok is false when it is not of this session. An
// error ends the session. It reports whether data now flows on the other lane.
func (o *Outgoing) Acked(epoch cluster.Epoch, id uint64, durableEnd, appendedEnd int64, now time.Time) (ok, switched bool, err error) {
	a := ack{key: o.keyOf(epoch, id), durableEnd: durableEnd, appendedEnd: appendedEnd}
	if !o.s.owns(a.key) {
		return false, false, nil
	}
	p, err := o.s.acked(a, now)
	return true, p.switched, err
}

// Failed ends the session after trouble: the next attempt waits for a while.
func (o *Outgoing) Failed(now time.Time) {
	o.s.backOff(now)
	o.s.lost()
}

// Lost ends the session: its connection is gone.
func (o *Outgoing) Lost() { o.s.lost() }

func (o *Outgoing) keyOf(epoch cluster.Epoch, id uint64) key {
	return key{tp: o.s.tp, epoch: epoch, session: id}
}
