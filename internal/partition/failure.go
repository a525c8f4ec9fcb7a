package partition

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

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

// markFailed writes the failure marker.
func (t *Table) markFailed(tp cluster.TopicPartition, why string) error {
	if err := t.writeReplicaFile(tp, failureMarker, []byte(why)); err != nil {
		return fmt.Errorf("mark failed replica %s: %w", tp, err)
	}
	return nil
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

// setAside moves a failed replica's files away, for the operator to look at,
// and starts it empty.
func (t *Table) setAside(tp cluster.TopicPartition, why string) error {
	if r := t.replicas[tp]; r != nil && r.log != nil {
		if err := r.log.Close(); err != nil {
			t.o.Logger.Warn("close failed replica", r.attrs("error", err)...)
		}
	}
	dir := t.replicaDir(tp)
	aside := fmt.Sprintf("%s.failed-%d", dir, t.o.Now().UnixNano())
	if err := t.o.FS.Rename(dir, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move failed replica %s aside: %w", tp, err)
	}
	if err := t.o.FS.SyncDir(filepath.Dir(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move failed replica %s aside: %w", tp, err)
	}
	t.o.Logger.Error("replica failed: moved aside, will be replicated again",
		slog.String("partition", tp.String()), slog.String("why", why), slog.String("kept_in", aside))
	delete(t.replicas, tp)
	r := t.create(tp, "", 0)
	if r.failed != "" {
		return fmt.Errorf("recreate failed replica %s: %s", tp, r.failed)
	}
	if err := t.markFailed(tp, why); err != nil {
		return err
	}
	// Without this frame the next replay would apply the old frames again.
	_, err := t.o.WAL.Append(wal.Entry{Kind: wal.KindReset, TP: tp, Payload: wal.EncodeOffset(0)})
	return err
}
