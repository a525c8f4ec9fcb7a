package trace

import (
	"sort"
	"time"
)

// MaxFollowers is how many followers of one batch are told apart. Replication
// factors above five leave the others out.
const MaxFollowers = 4

// NoBroker stands where no broker is meant.
const NoBroker int32 = -1

// Stamp is a moment on this process's monotonic clock, in nanoseconds since it
// started; 0 is a moment that did not come.
type Stamp int64

var started = time.Now()

// At is the stamp of a time.
func At(t time.Time) Stamp { return Stamp(t.Sub(started)) }

// Batch is what is known of one batch on its way. Its size is constant, and
// whoever owns the acknowledgement fills it in.
type Batch struct {
	Topic     string
	Partition int32
	Epoch     int32
	Base      int64 // offset of the first record
	Count     int32 // records
	Acks      int16

	Received  Stamp // the request was there, whole
	Began     Stamp // the partition took it up
	Appended  Stamp // it was in the log's memory
	Fsynced   Stamp // the leader's own disk had it
	Committed Stamp // the acknowledgement was due; for acks=all, the high watermark covered it
	Written   Stamp // the response began to be written to the socket

	// Last is the broker whose word made the acknowledgement due: the leader's
	// own, a follower's, or NoBroker when the in-sync set changed.
	Last int32

	Followers [MaxFollowers]Follower // the first with Acked == 0 and all after it are unused
}

// Follower is the way of a batch to one follower and back.
type Follower struct {
	ID          int32
	QueueMicros uint32 // as the follower told: how long data waited for a round to begin
	FsyncMicros uint32 // as the follower told: the write and sync of the round
	Sent        Stamp  // the frame that carried it began to be written; 0: unknown
	Acked       Stamp  // the leader read the acknowledgement
}

// Ack is one acknowledgement of a follower.
type Ack struct {
	At           time.Time
	Queue, Fsync time.Duration
	// Flights are the frames that carried what is acknowledged, in order of
	// their ends, up to the first that reaches beyond it.
	Flights []Flight
}

// Flight is one frame that was sent to a follower.
type Flight struct {
	End  int64 // offset after its last record
	Sent time.Time
}

// Follower notes that a follower has everything before end, where this batch
// ends. It reports false when that was noted before.
func (b *Batch) Follower(id int32, end int64, a *Ack) (news bool) {
	for i := range b.Followers {
		f := &b.Followers[i]
		switch {
		case f.Acked == 0:
			*f = Follower{ID: id, QueueMicros: micros(a.Queue), FsyncMicros: micros(a.Fsync), Acked: At(a.At)}
			f.Sent = a.sent(end)
			return true
		case f.ID == id:
			return false
		}
	}
	return true
}

// sent is when the frame with the batch that ends at end was sent. Several
// batches may share a frame, and an acknowledgement may cover several frames.
func (a *Ack) sent(end int64) Stamp {
	i := sort.Search(len(a.Flights), func(i int) bool { return a.Flights[i].End >= end })
	if i == len(a.Flights) {
		return 0
	}
	return At(a.Flights[i].Sent)
}

func micros(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), 1<<32-1))
}
