package partition

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// failReplica takes a replica out of service after its disk refused.
func (t *Table) failReplica(r *Replica, why string) {
	r.mu.Lock()
	r.retire(why)
	r.mu.Unlock()
	t.o.Wake(r.tp)
}

// failDamaged takes a replica out of service whose files are not what was
// written: heal starts it anew.
func (t *Table) failDamaged(r *Replica, why string) {
	r.mu.Lock()
	first := r.failed == "" // what failed for another reason waits for the next start
	r.retire(why)
	r.mu.Unlock()
	if first {
		t.chores.damage(r)
	}
	t.o.Wake(r.tp)
}

// retire takes the replica out of service, until the next start unless heal gets
// to it: it neither leads, and so asks for no in-sync set either, nor follows,
// and acknowledges nothing more. REQUIRES: r.mu is held.
func (r *Replica) retire(why string) {
	if r.failed != "" {
		return
	}
	r.failed = why
	if lead := r.lead; lead != nil {
		r.lead = nil
		lead.end()
		r.failWaiters(lead, ErrStorage, why)
	}
	r.follow = followSession{}
	r.wakeWatchers()
	r.t.o.Logger.Error("replica failed", append(r.attrs("epoch", int64(r.maxSeenEpoch)), slog.String("why", why))...)
}

// unserved is why the replica serves nothing at all; nil if it does. REQUIRES:
// r.mu is held.
func (r *Replica) unserved(op string) error {
	switch {
	case r.removed:
		return r.fail(op, ErrRemoved, "")
	case r.failed != "":
		return r.fail(op, ErrStorage, r.failed)
	default:
		return nil
	}
}

// failureSuffix makes the name of a replica's failure marker: a file beside its
// directory that says that the replica lost data, and that the cluster may not
// know yet. It outlives restarts until the registration that reports it has
// been applied. It is not in the directory, which is moved aside meanwhile.
const failureSuffix = ".failed"

func (t *Table) failureMarker(tp cluster.TopicPartition) string {
	return t.replicaDir(tp) + failureSuffix
}

// markOnce writes the failure marker of a replica that has failed since the
// start: the next checkpoint leaves it out, and nothing else would tell the next
// start that its log is not whole. REQUIRES: r.files is held.
func (r *Replica) markOnce() error {
	r.mu.Lock()
	why, due := r.failed, r.failed != "" && !r.removed && r.log != nil
	r.mu.Unlock()
	if !due || r.marked {
		return nil
	}
	if err := r.t.markFailed(r.tp, why); err != nil {
		return err
	}
	r.marked = true
	return nil
}

// markFailed writes the failure marker.
func (t *Table) markFailed(tp cluster.TopicPartition, why string) error {
	name := t.failureMarker(tp)
	err := vfs.MkdirAllSync(t.o.FS, filepath.Dir(name))
	if err == nil {
		err = vfs.WriteFileAtomic(t.o.FS, name, []byte(why))
	}
	if err != nil {
		return fmt.Errorf("mark failed replica %s: %w", tp, err)
	}
	return nil
}

// unmarkFailed removes the failure marker, if there is one.
func (t *Table) unmarkFailed(tp cluster.TopicPartition) error {
	name := t.failureMarker(tp)
	if _, _, err := t.o.FS.Stat(name); vfs.IsNotExist(err) {
		return nil
	}
	err := vfs.RemoveIfExists(t.o.FS, name)
	if err == nil {
		err = t.o.FS.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("clear failure marker of %s: %w", tp, err)
	}
	return nil
}

// forgetFailures ends what recovery began with the replicas that had failed:
// the cluster knows of them. A checkpoint of their new, empty logs comes first,
// or another restart would look for the files that were moved aside, and fail
// replicas that had been made whole again. REQUIRES: the registration that
// reports them has been applied.
func (t *Table) forgetFailures(ctx context.Context) error {
	if err := t.makeCheckpoint(ctx); err != nil {
		return err
	}
	for _, tp := range t.reported {
		if r, ok := t.Get(tp); ok && r.hasFailed() {
			continue // again, and that is not reported yet
		}
		if err := t.unmarkFailed(tp); err != nil {
			return err
		}
	}
	t.reported = nil
	return nil
}

func (r *Replica) hasFailed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed != ""
}

// setAside moves a failed replica's files away, for the operator to look at until
// it is in sync again, and starts it empty. The marker is first: wherever power is
// lost after it, the next recovery fails the replica again. It is for recovery.
func (t *Table) setAside(tp cluster.TopicPartition, why string) error {
	r := t.replicas[tp]
	if r == nil {
		r = newReplica(t, tp)
	}
	if err := t.moveAside(r, why); err != nil {
		return err
	}
	r = t.insert(t.empty(tp, "", 0))
	if r.failed != "" {
		return fmt.Errorf("recreate failed replica %s: %s", tp, r.failed)
	}
	return t.startAnew(tp)
}

// moveAside marks a replica as failed and moves its files away.
func (t *Table) moveAside(r *Replica, why string) error {
	if r.log != nil {
		if err := r.log.Close(); err != nil {
			t.o.Logger.Warn("close failed replica", r.attrs("error", err)...)
		}
	}
	if err := t.markFailed(r.tp, why); err != nil {
		return err
	}
	dir := t.replicaDir(r.tp)
	aside := fmt.Sprintf("%s%s-%d", dir, failureSuffix, t.o.Now().UnixNano())
	if err := t.o.FS.Rename(dir, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move failed replica %s aside: %w", r.tp, err)
	}
	if err := t.o.FS.SyncDir(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("move failed replica %s aside: %w", r.tp, err)
	}
	t.asides.add(r.tp, filepath.Base(aside))
	t.o.Logger.Error("replica failed: moved aside, will be replicated again",
		slog.String("partition", r.tp.String()), slog.String("why", why), slog.String("kept_in", aside))
	return nil
}

// startAnew makes the next replay forget the frames of the log that failed.
func (t *Table) startAnew(tp cluster.TopicPartition) error {
	_, err := t.o.WAL.Append(wal.Entry{Kind: wal.KindReset, TP: tp, Payload: wal.EncodeOffset(0)})
	return err
}
