package partition

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/budget"
	"github.com/chronik-project/chronik/internal/segment"
)

// leastTailRoom lets the largest usual batches in, however small a budget is.
const leastTailRoom = 8 << 20

// tails bounds the recent batches in memory, over all partitions. Beyond
// Options.TailBytes they are written to segments, which takes a disk's time;
// when half as much again has come meanwhile, appends wait.
type tails struct {
	room *budget.Budget // of hard bytes
	soft int64
	hard int64
	// coming are the bytes that have room and are in no tail yet.
	coming atomic.Int64
	// crowded asks for a flush; capacity 1.
	crowded chan struct{}
}

func newTails(softBytes int64) tails {
	hard := max(softBytes+softBytes/2, leastTailRoom)
	return tails{room: budget.New(int(hard)), soft: softBytes, hard: hard, crowded: make(chan struct{}, 1)}
}

// take waits for room for n bytes. Whoever has it says with settled what became
// of it.
func (t *tails) take(ctx context.Context, n int) error {
	if t.over() {
		select {
		case t.crowded <- struct{}{}:
		default:
		}
	}
	if err := t.room.Take(ctx, n); err != nil {
		return err
	}
	t.coming.Add(int64(n))
	return nil
}

// over reports whether some are to be written to segments. It is an estimate.
func (t *tails) over() bool {
	used, _ := t.room.Used()
	return int64(used) > t.soft
}

// pressing reports whether appends wait, or soon will.
func (t *tails) pressing() bool {
	used, waiting := t.room.Used()
	return waiting > 0 || int64(used) > (t.soft+t.hard)/2
}

// settled says that n bytes that were taken are in a tail now, or that they
// will not be.
func (t *tails) settled(n int, appended bool) {
	t.coming.Add(-int64(n))
	if !appended {
		t.room.Give(n)
	}
}

// trim lets go of the flushed batches of a log until at most keepBytes are left.
func (t *tails) trim(log *segment.Log, keepBytes int64) {
	t.room.Give(int(log.TrimTail(keepBytes)))
}

// measured adopts what the tails really hold, whatever has cut them. A batch that
// enters or leaves one meanwhile may be counted wrongly, until the next time.
func (t *tails) measured(replicas []*Replica) {
	total := t.coming.Load()
	for _, r := range replicas {
		if r.log != nil && !r.hasFailed() { // a failed one takes no more, and gets no smaller
			total += r.log.TailBytes()
		}
	}
	t.room.Set(int(total))
}

// RoomWait is how long ago an append got room in memory or in the write-ahead log,
// while others wait for it; zero when none does.
func (t *Table) RoomWait() time.Duration {
	return max(t.o.WAL.Stalled(), t.tails.room.Stalled())
}

// DiskHangs is how long the disk has kept waiting whoever appends: the age of the
// log's sync under way, or the wait for room. Room comes from checkpoints, whose
// syncs are of other files. One that is slow gives room again and again, and counts
// for nothing.
func (t *Table) DiskHangs() time.Duration {
	return max(t.o.WAL.SyncInFlight(), t.RoomWait())
}
