package partition

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/segment"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

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
		if err != nil {
			return err
		}
		if ok {
			cp.Partitions[r.tp] = mark
			highest = max(highest, mark.LSN)
		} else if r.log != nil {
			cp.Partitions[r.tp] = segment.Mark{} // older than the checkpoint: a sign that it has failed
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
	t.checkpoint.last, t.checkpoint.at = wal.LSN(cp.LSN), t.o.Now()
	if err := t.o.WAL.Release(wal.LSN(cp.LSN)); err != nil {
		return fmt.Errorf("release write-ahead log below %d: %w", cp.LSN, err)
	}
	return nil
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
	if err := r.t.writeReplicaFile(r.tp, producersFile, windows); err != nil {
		return mark, err
	}
	r.windowsAt = mark.End
	return mark, nil
}

// writeReplicaFile replaces a small file beside a replica's segments, durably.
func (t *Table) writeReplicaFile(tp cluster.TopicPartition, name string, data []byte) error {
	dir := t.replicaDir(tp)
	if err := vfs.MkdirAllSync(t.o.FS, dir); err != nil {
		return err
	}
	return vfs.WriteFileAtomic(t.o.FS, filepath.Join(dir, name), data)
}
