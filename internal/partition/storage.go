package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/segment"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// Times of the storage loop. Flushing is cheap (no sync) and keeps memory
// bounded; retention looks at whole segments and need not be prompt.
const (
	flushInterval     = 200 * time.Millisecond
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
	if err := t.awaitRegistration(ctx); err != nil {
		return t.finalCheckpoint()
	}
	if err := t.clearFailureMarkers(); err != nil {
		return err
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
			return t.finalCheckpoint()
		case <-flush.C:
			t.checkSpace()
			err = t.flushAndCheckpoint(ctx)
		case <-retention.C:
			t.retain()
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case vfs.IsNoSpace(err):
			t.lowSpace.Store(true) // until checkSpace finds room again
		default:
			return err
		}
	}
}

// checkSpace stops appends while the disk has less than the reserve: what is in
// memory must still find room in segment files, or the write-ahead log could
// never be released again. Reads go on.
func (t *Table) checkSpace() {
	free, err := t.o.FS.Free(t.o.Dir)
	if err != nil {
		return
	}
	low := free < uint64(t.o.ReserveBytes)
	if t.lowSpace.Swap(low) != low {
		t.o.Logger.Warn("disk space", slog.Bool("refusing_appends", low),
			slog.Uint64("free_bytes", free), slog.Int64("reserve_bytes", t.o.ReserveBytes))
	}
}

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

func (t *Table) finalCheckpoint() error {
	if _, registered := t.image(); !registered {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return t.makeCheckpoint(ctx)
}

// flushAndCheckpoint writes the tails out once enough has gathered, trims
// memory to its budget, and makes a checkpoint when one is due.
func (t *Table) flushAndCheckpoint(ctx context.Context) error {
	end := t.o.WAL.End()
	behind := int64(end - t.checkpoint.last)
	if behind >= t.o.CheckpointBytes || (behind > 0 && t.o.Now().Sub(t.checkpoint.at) >= t.o.CheckpointInterval) {
		return t.makeCheckpoint(ctx)
	}
	replicas := t.unordered()
	var tail int64
	for _, r := range replicas {
		if r.log != nil {
			tail += r.log.TailBytes()
		}
	}
	if tail <= t.o.TailBytes {
		return nil
	}
	keep := t.o.TailBytes / 2 / int64(len(replicas))
	for _, r := range replicas {
		if r.log == nil || r.log.TailBytes() <= keep {
			continue
		}
		if err := r.log.Flush(); vfs.IsNoSpace(err) {
			return err
		} else if err != nil {
			t.failReplica(r, fmt.Sprintf("flush: %v", err))
			continue
		}
		r.log.TrimTail(keep)
	}
	return nil
}

// makeCheckpoint syncs every segment up to a mark, then writes the marks, and
// releases the write-ahead log below them. A mark is taken under the replica's
// mutex together with the log position, so that replay knows per partition
// which frames the segments already hold.
func (t *Table) makeCheckpoint(ctx context.Context) error {
	cp := segment.Checkpoint{LSN: int64(t.o.WAL.End()), Partitions: map[cluster.TopicPartition]segment.Mark{}}
	highest := cp.LSN
	replicas := t.Replicas()
	for _, r := range replicas {
		mark, ok, err := r.checkpoint()
		if vfs.IsNoSpace(err) {
			return err
		}
		if err != nil {
			t.failReplica(r, fmt.Sprintf("checkpoint: %v", err))
			if err := t.markFailed(r.tp, err.Error()); err != nil {
				return err
			}
			continue
		}
		if ok {
			cp.Partitions[r.tp] = mark
			highest = max(highest, mark.LSN)
		}
	}
	// The log must be durable as far as the marks reach: if it were cut below
	// them after a crash, new frames would reuse positions that marks call old.
	if err := t.o.WAL.WaitSynced(ctx, wal.LSN(highest)); err != nil {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := segment.WriteCheckpoint(t.o.FS, t.o.Dir, cp); err != nil {
		return fmt.Errorf("write checkpoint in %s: %w", t.o.Dir, err)
	}
	for _, r := range replicas {
		if mark, ok := cp.Partitions[r.tp]; ok {
			if err := r.log.Committed(mark); err != nil {
				t.o.Logger.Warn("delete files that no checkpoint needs", r.attrs("error", err)...)
			}
		}
	}
	t.checkpoint.last, t.checkpoint.at = wal.LSN(cp.LSN), t.o.Now()
	if err := t.o.WAL.Release(wal.LSN(cp.LSN)); err != nil {
		return fmt.Errorf("release write-ahead log below %d: %w", cp.LSN, err)
	}
	return nil
}

// checkpoint makes the replica's segments durable up to the returned mark.
// Nothing is cut meanwhile.
func (r *Replica) checkpoint() (mark segment.Mark, ok bool, err error) {
	r.files.Lock()
	defer r.files.Unlock()
	r.mu.Lock()
	if r.failed != "" || r.log == nil {
		r.mu.Unlock()
		return mark, false, nil
	}
	dirty := r.log.Dirty()
	mark = r.log.Mark(int64(r.t.o.WAL.End()))
	mark.HighWatermark = r.highWatermark
	var windows []byte
	if dirty {
		windows = r.producers.Snapshot(mark.End)
	}
	r.mu.Unlock()
	if !dirty {
		return mark, true, nil
	}
	if err := r.log.Sync(mark); err != nil {
		return mark, false, err
	}
	err = r.t.writeReplicaFile(r.tp, producersFile, windows)
	return mark, err == nil, err
}

// markFailed writes the failure marker.
func (t *Table) markFailed(tp cluster.TopicPartition, why string) error {
	if err := t.writeReplicaFile(tp, failureMarker, []byte(why)); err != nil {
		return fmt.Errorf("mark failed replica %s: %w", tp, err)
	}
	return nil
}

// writeReplicaFile replaces a small file beside a replica's segments, durably.
func (t *Table) writeReplicaFile(tp cluster.TopicPartition, name string, data []byte) error {
	dir := t.replicaDir(tp)
	if err := vfs.MkdirAllSync(t.o.FS, dir); err != nil {
		return err
	}
	return vfs.WriteFileAtomic(t.o.FS, filepath.Join(dir, name), data)
}

// failReplica takes a replica out of service after its disk refused.
func (t *Table) failReplica(r *Replica, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != "" {
		return
	}
	r.failed = why
	if r.lead != nil {
		r.failWaiters(r.lead, ErrStorage, why)
	}
	r.wakeWatchers()
	t.o.Logger.Error("replica failed", append(r.attrs("epoch", int64(r.maxSeenEpoch)), slog.String("why", why))...)
}

// retain deletes sealed segments that the topics' retention has passed. When
// the wall clock moved against the monotonic one since the last round, ages
// mean nothing and segments are not deleted by age in this round.
func (t *Table) retain() {
	now := t.o.Now()
	jumped := t.checkpoint.jumped(now)
	for _, r := range t.Replicas() {
		r.mu.Lock()
		cfg, hw, failed := r.meta.config, r.highWatermark, r.failed
		applied := r.meta.part != nil
		r.producers.ExpireBefore(now.Add(-producerExpiry))
		r.mu.Unlock()
		if !applied || failed != "" {
			continue
		}
		keep := segment.Retention{Time: cfg.RetentionTime, Bytes: cfg.RetentionBytes}
		if jumped {
			keep.Time = -1
		}
		deleted, err := r.log.Retain(now, keep, hw)
		if err != nil {
			t.o.Logger.Warn("retention", r.attrs("error", err)...)
		} else if deleted > 0 {
			t.o.Logger.Info("deleted old segments", r.attrs("segments", deleted)...)
		}
	}
}

// maxClockDrift is how far the wall clock may move against the monotonic one
// between two retention rounds before ages are distrusted.
const maxClockDrift = time.Minute

func (c *checkpointer) jumped(now time.Time) bool {
	wall := now.Round(0) // strips the monotonic reading
	defer func() { c.wall, c.mono = wall, now }()
	if c.mono.IsZero() {
		return false
	}
	drift := wall.Sub(c.wall) - now.Sub(c.mono)
	return drift > maxClockDrift || drift < -maxClockDrift
}

// failureMarker is a file in a replica's directory that says: this replica lost
// data, and the cluster may not know yet. It outlives restarts until the
// registration that reports it has been applied.
const failureMarker = "failed"

func (t *Table) clearFailureMarkers() error {
	for _, r := range t.Replicas() {
		name := filepath.Join(t.replicaDir(r.tp), failureMarker)
		if _, err := vfs.ReadFile(t.o.FS, name); err != nil {
			continue
		}
		if err := t.o.FS.Remove(name); err != nil {
			return fmt.Errorf("clear failure marker of %s: %w", r.tp, err)
		}
		if err := t.o.FS.SyncDir(filepath.Dir(name)); err != nil {
			return fmt.Errorf("clear failure marker of %s: %w", r.tp, err)
		}
	}
	return nil
}
