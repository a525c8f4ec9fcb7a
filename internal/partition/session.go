package partition

import (
	"fmt"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// AckSink receives, after each sync round, how far a followed log is durable.
// It must not block; no lock is held while it is called.
type AckSink interface {
	Ack(tp cluster.TopicPartition, session uint64, durableEnd, appendedEnd int64)
}

// OpenRequest asks this broker to follow: an Open frame of replication.md §3.2.
type OpenRequest struct {
	Leader         cluster.BrokerID
	TP             cluster.TopicPartition
	Epoch          cluster.Epoch
	PartitionEpoch cluster.PartitionEpoch
	// MetaIndex is the image that made the sender the leader.
	MetaIndex uint64
	// Session is unique in the leader's process and larger than its older ones.
	Session          uint64
	LogStart, LogEnd int64
	Sink             AckSink
}

// FollowerPosition is what a follower says of its log when it accepts.
type FollowerPosition struct {
	BrokerEpoch                  cluster.BrokerEpoch
	LogStart, LogEnd, DurableEnd int64
	Epochs                       []EpochStart // empty for an empty log
}

// EpochStart is the first offset (inclusive) of a leader epoch.
type EpochStart struct {
	Epoch cluster.Epoch
	Start int64
}

// hungDisk is how long a disk may keep appends waiting before a replica on it does
// not ask to be in sync any more. The controller moves leaderships after 3 s.
const hungDisk = 2 * time.Second

// OpenFollow accepts a leader's session, preempting an older one (R5). On
// ErrNotReady the caller parks: it waits on [Table.Applied] and asks again. On
// ErrFencedEpoch Error.Epoch is the epoch this broker has seen. ErrRemoved: the
// partition is not (or no longer) placed here. ErrDiskFull and ErrBusy: its disk
// takes nothing now, and it is not in sync.
func (t *Table) OpenFollow(req OpenRequest) (FollowerPosition, error) {
	img, registered := t.image()
	r, ok := t.Get(req.TP)
	if err := MayOpen(registered, ok, req.MetaIndex, img.Index()); err != nil {
		return FollowerPosition{}, &Error{TP: req.TP, Op: "follow", Epoch: req.Epoch, Leader: req.Leader, Err: err}
	}
	self, _ := img.Broker(t.o.Self)
	// A truncation for another session must end first, or this session would
	// report, and append to, a log that is about to be cut.
	r.transition.Lock()
	defer r.transition.Unlock()
	pos, err := r.openFollow(req)
	pos.BrokerEpoch = self.Epoch
	return pos, err
}

func (r *Replica) openFollow(req OpenRequest) (FollowerPosition, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.unserved("follow"); err != nil {
		return FollowerPosition{}, err
	}
	if err := r.mayJoin(req); err != nil {
		return FollowerPosition{}, err
	}
	if detail, cause := r.standing().Accepts(req); cause != nil {
		return FollowerPosition{}, r.fail("follow", cause, detail)
	}
	// A leader of a newer epoch exists, whatever this broker's metadata says yet.
	// Whoever waited for this one is told which.
	r.maxSeenEpoch = req.Epoch
	r.follow = followSession{id: req.Session, leader: req.Leader, epoch: req.Epoch, sink: req.Sink}
	r.stepDown(fmt.Sprintf("broker %d leads epoch %d", req.Leader, req.Epoch))
	pos := FollowerPosition{LogStart: r.log.StartOffset(), LogEnd: r.log.EndOffset(), DurableEnd: r.durableEnd}
	for _, e := range r.log.Epochs() {
		pos.Epochs = append(pos.Epochs, EpochStart{Epoch: e.Epoch, Start: e.Start})
	}
	return pos, nil
}

// mayJoin refuses to follow with a disk that takes nothing now, unless this replica
// is in sync: it would join whenever nothing is written, and hold up the next write.
// Whether it is in sync needs metadata as new as the leader's. REQUIRES: r.mu is held.
func (r *Replica) mayJoin(req OpenRequest) error {
	full, hangs := r.t.lowSpace.Load(), r.t.DiskHangs()
	part := r.meta.part
	switch {
	case !full && hangs <= hungDisk:
		return nil
	case part != nil && part.PartitionEpoch < req.PartitionEpoch:
		return r.fail("follow", ErrNotReady, "with a disk that takes nothing")
	case part != nil && part.InISR(r.t.o.Self):
		return nil
	case full:
		return r.fail("follow", ErrDiskFull, errLowSpace.Error())
	default:
		return r.fail("follow", ErrBusy, fmt.Sprintf("the disk has hung for %v", hangs.Round(time.Millisecond)))
	}
}

// session checks that the given session is the one that may append.
// REQUIRES: r.mu is held.
func (r *Replica) session(op string, id uint64) error {
	if err := r.unserved(op); err != nil {
		return err
	}
	if r.follow.id == 0 || r.follow.id != id {
		return r.fail(op, ErrStaleSession, fmt.Sprintf("session %d, current %d", id, r.follow.id))
	}
	return nil
}

// CloseFollow ends an inbound session: nothing is appended or acknowledged on
// it any more (R3).
func (t *Table) CloseFollow(tp cluster.TopicPartition, session uint64) {
	if r, ok := t.Get(tp); ok {
		r.mu.Lock()
		if r.follow.id == session {
			r.follow = followSession{}
		}
		r.mu.Unlock()
	}
}
