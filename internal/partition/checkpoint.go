package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/segment"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// slowCheckpoint is how long a checkpoint takes that operators should know of:
// appends may have waited for it.
const slowCheckpoint = 5 * time.Second

// makeCheckpoint syncs every segment up to a mark, then writes the marks, and
// releases the write-ahead log below them. A mark is taken under the replica's
// mutex together with the log position, so that replay knows per partition
// which frames the segments already hold.
func (t *Table) makeCheckpoint(ctx context.Context) error {
	began, from := t.o.Now(), t.o.WAL.End()
	replicas := t.Replicas()
	marks, err := t.syncMarks(replicas)
	if err != nil {
		return err
	}
	cp := segment.Checkpoint{LSN: int64(from), Partitions: map[cluster.TopicPartition]segment.Mark{}}
	highest := cp.LSN
	for i, r := range replicas {
		if r.log != nil {
			cp.Partitions[r.tp] = marks[i] // zero, so older than the checkpoint, is a sign that it has failed
			highest = max(highest, marks[i].LSN)
		}
	}
	// The log must be durable as far as the marks reach: if it were cut below
	// them after a crash, new frames would reuse positions that marks call old.
	if err := t.o.WAL.WaitSynced(ctx, wal.LSN(highest)); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	t.finishRemovals()
	if err := segment.WriteCheckpoint(t.o.FS, t.o.Dir, cp); err != nil {
		return fmt.Errorf("write checkpoint in %s: %w", t.o.Dir, err)
	}
	for _, r := range replicas {
		if mark, ok := cp.Partitions[r.tp]; ok && mark.LSN >= cp.LSN {
			if err := r.log.Committed(mark); err != nil {
				t.o.Logger.Warn("delete files that no checkpoint needs", r.attrs("error", err)...)
			}
		}
	}
	took, level := t.o.Now().Sub(began), slog.LevelDebug
	if took > slowCheckpoint {
		level = slog.LevelInfo
	}
	t.o.Logger.Log(ctx, level, "checkpoint", slog.Int64("lsn", cp.LSN), slog.Int64("bytes", int64(from-t.checkpoint.last)),
		slog.Int("replicas", len(replicas)), slog.Duration("took", took))
	t.checkpoint.last, t.checkpoint.at = from, t.o.Now()
	if err := t.o.WAL.Release(from); err != nil {
		return fmt.Errorf("release write-ahead log below %d: %w", from, err)
	}
	return nil
}

// syncMarks makes every replica's segments durable up to a mark. The mark of a
// replica that has failed is zero.
func (t *Table) syncMarks(replicas []*Replica) ([]segment.Mark, error) {
	marks := make([]segment.Mark, len(replicas))
	trim := t.trimmer(replicas)
	done := make(chan struct{})
	var relief sync.WaitGroup
	relief.Go(func() { t.relieve(done) })
	defer func() {
		close(done)
		relief.Wait()
	}()
	err := t.severally(len(replicas), func(i int) error {
		mark, ok, err := replicas[i].checkpoint()
		if ok {
			marks[i] = mark
			trim(replicas[i])
		}
		return err
	})
	return marks, err
}

// severally calls do with the numbers below n, several at a time, because the
// file system commits together what is synced at once: one after the other, the
// syncs of a thousand partitions take longer than it takes to write what they
// sync. After an error no further call is begun; one that ends the process comes
// before one that does not.
func (t *Table) severally(n int, do func(i int) error) error {
	errs := make([]error, min(t.o.CheckpointSyncs, n))
	var next atomic.Int64
	var broken atomic.Bool
	var working sync.WaitGroup
	for worker := range errs {
		working.Go(func() {
			for !broken.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[worker] = do(i); errs[worker] != nil {
					broken.Store(true)
				}
			}
		})
	}
	working.Wait()
	for _, err := range errs {
		if err != nil && !noSpace(err) {
			return err
		}
	}
	return errors.Join(errs...)
}

// checkpoint makes the replica's segments durable up to the returned mark. It
// is not ok if the replica has failed, now or before; then it is marked so. An
// error is a full disk, or that the failure could not be marked.
func (r *Replica) checkpoint() (mark segment.Mark, ok bool, err error) {
	r.files.Lock()
	defer r.files.Unlock()
	mark, err = r.syncMark()
	switch {
	case noSpace(err):
		return mark, false, err
	case err != nil:
		r.t.failReplica(r, fmt.Sprintf("checkpoint: %v", err))
		return mark, false, r.markOnce()
	default:
		return mark, true, nil
	}
}

// syncMark takes a mark and makes the segments durable up to it. Nothing is cut
// meanwhile. REQUIRES: r.files is held.
func (r *Replica) syncMark() (mark segment.Mark, err error) {
	r.mu.Lock()
	if err := r.unserved("checkpoint"); err != nil {
		r.mu.Unlock()
		return mark, err
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
		return mark, nil
	}
	if err := r.log.Sync(mark); err != nil {
		return mark, err
	}
	r.windowsAt = -1
	if err := r.writeFile(producersFile, windows); err != nil {
		return mark, err
	}
	r.windowsAt = mark.End
	return mark, nil
}

// writeFile replaces a small file beside the replica's segments, durably.
// REQUIRES: r.files is held.
func (r *Replica) writeFile(name string, data []byte) error {
	dir := r.t.replicaDir(r.tp)
	if !r.named {
		if err := vfs.MkdirAllSync(r.t.o.FS, dir); err != nil {
			return err
		}
		r.named = true
	}
	return vfs.WriteFileAtomic(r.t.o.FS, filepath.Join(dir, name), data)
}
