package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/segment"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// Times of the storage loop. Flushing is cheap (no sync) and keeps memory
// bounded; retention looks at whole segments and need not be prompt.
const (
	flushInterval     = 200 * time.Millisecond
	reliefInterval    = flushInterval / 4 // while a checkpoint is made
	retentionInterval = 10 * time.Second
)

// producerExpiry is how long a silent producer is remembered, as Kafka's
// producer.id.expiration.ms.
const producerExpiry = 24 * time.Hour

// checkpointer remembers the last checkpoint. Owned by RunStorage.
type checkpointer struct {
	last wal.LSN
	at   time.Time
	wall time.Time // wall clock of the last retention round
	mono time.Time
}

// RunStorage moves recent batches from memory to segment files, makes
// checkpoints and applies retention until ctx ends; then it makes a last
// checkpoint, so that a clean restart replays nothing. The write-ahead log must
// still be running then.
func (t *Table) RunStorage(ctx context.Context) error {
	if err := t.storageLoop(ctx); err != nil {
		return err
	}
	return t.finalCheckpoint(context.WithoutCancel(ctx))
}

// storageLoop is RunStorage but for the end.
func (t *Table) storageLoop(ctx context.Context) error {
	if t.awaitRegistration(ctx) != nil {
		return nil
	}
	flush := time.NewTicker(flushInterval)
	defer flush.Stop()
	retention := time.NewTicker(retentionInterval)
	defer retention.Stop()
	t.checkpoint.at = t.o.Now()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-flush.C:
			t.checkSpace()
			t.finishRemovals()
			t.heal()
			err = t.flushAndCheckpoint(ctx)
		case <-t.tails.crowded:
			if !t.lowSpace.Load() { // or it would be tried without a pause
				err = t.flushAndCheckpoint(ctx)
			}
		case <-retention.C:
			t.retain()
			t.sweep()
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case noSpace(err):
			t.lowSpace.Store(true) // until checkSpace finds room again
			t.refuseWaiting()
		default:
			return err
		}
	}
}

// noSpace reports whether what failed for lack of space may be tried again. A
// sync that did has failed for good, like any other sync.
func noSpace(err error) bool {
	return vfs.IsNoSpace(err) && !errors.Is(err, segment.ErrFailed) && !errors.Is(err, wal.ErrFailed)
}

// checkSpace stops appends while the disk has less than the reserve: what is in
// memory must still find room in segment files, or the write-ahead log could
// never be released again. Reads go on.
func (t *Table) checkSpace() {
	free, err := t.o.FS.Free(t.o.Dir)
	if err != nil {
		return
	}
	// Once it was too little there must be some more, or each segment that
	// retention deletes would let a few appends in between refusals.
	least := uint64(t.o.ReserveBytes)
	if t.lowSpace.Load() {
		least += least / 8
	}
	low := free < least
	if t.lowSpace.Swap(low) != low {
		t.o.Logger.Warn("disk space", slog.Bool("refusing_appends", low),
			slog.Uint64("free_bytes", free), slog.Int64("reserve_bytes", t.o.ReserveBytes))
	}
	if low {
		t.refuseWaiting()
	}
}

// refuseWaiting ends the wait of appends for room that a full disk does not make:
// no checkpoint may come to its end.
func (t *Table) refuseWaiting() {
	t.tails.room.Refuse(errLowSpace)
	t.o.WAL.Refuse(errLowSpace)
}

// LowSpace reports whether appends are refused because the disk is down to its
// reserve.
func (t *Table) LowSpace() bool { return t.lowSpace.Load() }

// awaitRegistration holds the first checkpoint back until the cluster knows of
// the replicas that failed in recovery: a checkpoint makes their emptiness look
// sound.
func (t *Table) awaitRegistration(ctx context.Context) error {
	for {
		_, registered := t.image()
		_, changed := t.Applied()
		if registered {
			return nil
		}
		if _, registered = t.image(); registered {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *Table) finalCheckpoint(ctx context.Context) error {
	if _, registered := t.image(); !registered {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := t.makeCheckpoint(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil // the write-ahead log holds what the checkpoint would have
}

// flushAndCheckpoint writes the tails out once enough has gathered, trims
// memory to its budget, and makes a checkpoint when one is due.
func (t *Table) flushAndCheckpoint(ctx context.Context) error {
	if len(t.reported) > 0 {
		return t.forgetFailures(ctx)
	}
	end := t.o.WAL.End()
	behind := int64(end - t.checkpoint.last)
	// In time for appends not to wait for it, however large log files are.
	due := min(t.o.CheckpointBytes, t.o.WAL.MaxReplay()/4)
	if behind >= due || (behind > 0 && t.o.Now().Sub(t.checkpoint.at) >= t.o.CheckpointInterval) {
		return t.makeCheckpoint(ctx)
	}
	return t.flushTails()
}

// flushTails writes tails out, and lets them go, if they exceed the budget.
func (t *Table) flushTails() error {
	replicas := t.unordered()
	t.tails.measured(replicas)
	if tailBytes(replicas) <= t.o.TailBytes {
		return nil
	}
	keep := t.o.TailBytes / 2 / int64(len(replicas))
	return t.severally(len(replicas), func(i int) error {
		r := replicas[i]
		if r.log == nil || r.log.TailBytes() <= keep {
			return nil
		}
		if err := r.log.Flush(); noSpace(err) {
			return err
		} else if err != nil {
			t.failReplica(r, fmt.Sprintf("flush: %v", err))
			return nil
		}
		t.tails.trim(r.log, keep)
		return nil
	})
}

func tailBytes(replicas []*Replica) int64 {
	var total int64
	for _, r := range replicas {
		if r.log != nil {
			total += r.log.TailBytes()
		}
	}
	return total
}

// trimmer returns what keeps memory within its budget during a checkpoint, which
// may be long: it is called for each replica that was flushed.
func (t *Table) trimmer(replicas []*Replica) func(*Replica) {
	if tailBytes(replicas) <= t.o.TailBytes/2 {
		return func(*Replica) {}
	}
	keep := t.o.TailBytes / 4 / int64(len(replicas))
	return func(r *Replica) { t.tails.trim(r.log, keep) }
}

// relieve writes tails out during a checkpoint that takes long, as RunStorage
// does at other times, until done is closed: what comes to a replica after its
// sync would keep appends waiting for the end of the others'.
func (t *Table) relieve(done <-chan struct{}) {
	look := time.NewTicker(reliefInterval)
	defer look.Stop()
	for {
		select {
		case <-done:
			return
		case <-look.C:
			if t.tails.pressing() {
				_ = t.flushTails() // a full disk, which the checkpoint meets too, or the next round
			}
		}
	}
}
