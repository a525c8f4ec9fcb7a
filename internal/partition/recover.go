package partition

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/segment"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// RecoveryReport says what [Table.Recover] found.
type RecoveryReport struct {
	Replicas  int
	Replayed  int64 // bytes of write-ahead log
	TornBytes int64 // cut from the end: never acknowledged
	Failed    []cluster.TopicPartition
	Corrupt   bool // acknowledged bytes are damaged; every replica failed
	CorruptAt wal.LSN
}

// recoverFlushBytes bounds the memory that replay takes.
const recoverFlushBytes = 32 << 20

// Recover opens every replica at its checkpoint and replays the write-ahead log
// after it. What lies in segment files behind the checkpoint was never synced
// and is cut first. Damage that is not a torn tail fails the replicas it may
// have hit: their files are moved aside, they start empty, and they are
// reported so that they leave ISR and ELR before they replicate again
// (replication.md §3.10). Call it once, before Run.
func (t *Table) Recover() (RecoveryReport, error) {
	cp, err := segment.ReadCheckpoint(t.o.FS, t.o.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return RecoveryReport{}, fmt.Errorf("read checkpoint in %s: %w", t.o.Dir, err)
	}
	t.checkpoint.last = wal.LSN(cp.LSN)
	rc := &recovery{t: t, marks: cp.Partitions, failed: map[cluster.TopicPartition]string{}}
	if err := rc.openAll(); err != nil {
		return RecoveryReport{}, err
	}
	// Replicas whose directory is gone are damaged, unless replay says that
	// they were removed.
	for tp := range rc.marks {
		if _, ok := t.replicas[tp]; !ok {
			if _, err := rc.open(tp); err != nil {
				return RecoveryReport{}, err
			}
		}
	}
	res, err := t.o.WAL.Replay(wal.LSN(cp.LSN), rc.replay)
	if err != nil {
		return RecoveryReport{}, fmt.Errorf("replay write-ahead log: %w", err)
	}
	if res.Corrupt {
		for tp := range t.replicas {
			rc.fail(tp, fmt.Sprintf("write-ahead log damaged at %d", res.CorruptAt))
		}
	}
	report := RecoveryReport{
		Replayed: rc.replayed, TornBytes: res.TornBytes, Corrupt: res.Corrupt, CorruptAt: res.CorruptAt,
	}
	for tp, why := range rc.failed {
		if err := t.setAside(tp, why); err != nil {
			return report, err
		}
		report.Failed = append(report.Failed, tp)
	}
	for _, r := range t.replicas {
		r.durableEnd = r.log.EndOffset()
		r.highWatermark = max(min(r.highWatermark, r.durableEnd), r.log.StartOffset())
		if epoch, _, ok := r.log.Last(); ok {
			r.maxSeenEpoch = epoch
		}
	}
	report.Replicas = len(t.replicas)
	return report, nil
}

// recovery is the state of one [Table.Recover].
type recovery struct {
	t        *Table
	marks    map[cluster.TopicPartition]segment.Mark
	failed   map[cluster.TopicPartition]string
	replayed int64
	buffered int64
}

func (rc *recovery) fail(tp cluster.TopicPartition, why string) {
	if _, ok := rc.failed[tp]; !ok {
		rc.failed[tp] = why
	}
}

// openAll opens the replicas that have directories.
func (rc *recovery) openAll() error {
	t := rc.t
	topics, err := t.o.FS.ReadDir(t.topicsDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", t.topicsDir(), err)
	}
	for _, name := range topics {
		id, err := cluster.ParseUUID(name)
		if err != nil {
			continue // not ours
		}
		parts, err := t.o.FS.ReadDir(filepath.Join(t.topicsDir(), name))
		if err != nil {
			return fmt.Errorf("list topic %s: %w", id, err)
		}
		for _, part := range parts {
			n, err := strconv.ParseInt(part, 10, 32)
			if err != nil || n < 0 {
				continue // set aside, or not ours
			}
			if _, err := rc.open(cluster.TopicPartition{TopicID: id, Partition: int32(n)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// open opens one replica at its checkpoint. A damaged one is failed; only an
// error of the environment is returned.
func (rc *recovery) open(tp cluster.TopicPartition) (*Replica, error) {
	t := rc.t
	mark := rc.marks[tp]
	dir := t.replicaDir(tp)
	log, err := segment.Open(segment.Options{FS: t.o.FS, Dir: dir, Logger: t.o.Logger, Mark: mark})
	r := newReplica(t, tp)
	r.log, r.highWatermark = log, mark.HighWatermark
	switch {
	case errors.Is(err, segment.ErrCorrupt):
		rc.fail(tp, err.Error())
	case err != nil:
		return nil, fmt.Errorf("open replica %s: %w", tp, err)
	default:
		if err := r.loadProducers(mark.End); err != nil {
			rc.fail(tp, fmt.Sprintf("producer windows: %v", err))
		}
	}
	if why, err := vfs.ReadFile(t.o.FS, filepath.Join(dir, failureMarker)); err == nil {
		rc.fail(tp, string(why))
	}
	t.replicas[tp] = r
	return r, nil
}

// replay applies one frame of the write-ahead log.
func (rc *recovery) replay(f wal.Frame) error {
	if mark, ok := rc.marks[f.TP]; ok && f.LSN < wal.LSN(mark.LSN) {
		return nil // the checkpoint of this partition already holds it
	}
	rc.replayed += int64(len(f.Payload))
	if _, bad := rc.failed[f.TP]; bad {
		return nil
	}
	r, ok := rc.t.replicas[f.TP]
	if f.Kind == wal.KindDelete {
		return rc.drop(r, f.TP)
	}
	if !ok {
		var err error
		if r, err = rc.open(f.TP); err != nil {
			return err
		}
	}
	if err := r.redo(f); err != nil {
		rc.fail(f.TP, fmt.Sprintf("replay at %d: %v", f.LSN, err))
		return nil
	}
	if rc.buffered += int64(len(f.Payload)); rc.buffered >= recoverFlushBytes {
		rc.buffered = 0
		return rc.flush()
	}
	return nil
}

func (rc *recovery) flush() error {
	for tp, r := range rc.t.replicas {
		if r.log == nil {
			continue
		}
		if err := r.log.Flush(); err != nil {
			return fmt.Errorf("flush %s during replay: %w", tp, err)
		}
		r.log.TrimTail(0)
	}
	return nil
}

// drop forgets a removed replica.
func (rc *recovery) drop(r *Replica, tp cluster.TopicPartition) error {
	delete(rc.t.replicas, tp)
	delete(rc.failed, tp)
	if r == nil || r.log == nil {
		return nil
	}
	if err := r.log.Delete(); err != nil {
		return fmt.Errorf("delete removed replica %s: %w", tp, err)
	}
	return nil
}

// redo applies one frame to the log in memory and, for cuts, on disk.
func (r *Replica) redo(f wal.Frame) error {
	switch f.Kind {
	case wal.KindAppend:
		if err := r.log.Append(f.Payload); err != nil {
			return err
		}
		for rest := f.Payload; len(rest) > 0; {
			b, tail, err := record.Next(rest)
			if err != nil {
				return err
			}
			r.producers.Update(b, r.now())
			rest = tail
		}
		return nil
	case wal.KindTruncate, wal.KindReset:
		to, err := wal.DecodeOffset(f.Payload)
		if err != nil {
			return err
		}
		if f.Kind == wal.KindReset {
			err = r.log.ResetTo(to)
		} else {
			err = r.log.TruncateTo(to)
		}
		if err != nil {
			return err
		}
		return r.rebuildProducers()
	default:
		return fmt.Errorf("frame of unknown kind %d", f.Kind)
	}
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

// producersFile holds the producer windows as of the checkpoint.
const producersFile = "producers.snapshot"

// loadProducers restores the windows as of end, from the snapshot when it fits
// and from the log otherwise. REQUIRES: recovery, or r.transition is held.
func (r *Replica) loadProducers(end int64) error {
	data, err := vfs.ReadFile(r.t.o.FS, filepath.Join(r.t.replicaDir(r.tp), producersFile))
	if err == nil {
		state, at, err := producer.Restore(data)
		if err == nil && at == end {
			r.producers = state
			return nil
		}
	}
	return r.rebuildProducers()
}

// scan calls f for every batch from offset to the log end.
func (r *Replica) scan(offset int64, f func(record.Batch)) error {
	const chunkBytes = 1 << 20
	for end := r.log.EndOffset(); offset < end; {
		chunks, err := r.log.Read(offset, chunkBytes, end, true)
		if err != nil {
			return err
		}
		for _, chunk := range chunks {
			for rest := chunk; len(rest) > 0; {
				var b record.Batch
				if b, rest, err = record.Next(rest); err != nil {
					return err
				}
				f(b)
				offset = b.NextOffset()
			}
		}
		if len(chunks) == 0 {
			return fmt.Errorf("no data at %d, log end %d", offset, end)
		}
	}
	return nil
}
