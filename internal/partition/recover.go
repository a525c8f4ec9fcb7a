package partition

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/chronik-project/chronik/internal/cluster"
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
	rc := &recovery{t: t, marks: cp.Partitions, from: wal.LSN(cp.LSN), failed: map[cluster.TopicPartition]string{}}
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, segment.ErrCorrupt):
		// Without it the whole write-ahead log makes up for it, or nothing does. Then
		// nobody may touch what there is.
		damaged := errors.Is(err, segment.ErrCorrupt)
		if begin, ok := t.o.WAL.Begin(); begin > 0 || damaged && !ok {
			rc.lost = fmt.Sprintf("no checkpoint to open it at: %v", err)
		}
	default:
		return RecoveryReport{}, fmt.Errorf("read checkpoint in %s: %w", t.o.Dir, err)
	}
	t.checkpoint.last = rc.from
	if err := rc.openAll(); err != nil {
		return RecoveryReport{}, err
	}
	// Replicas whose directory is gone are damaged, unless replay says that
	// they were removed.
	for tp := range rc.marks {
		if err := rc.openOnce(tp); err != nil {
			return RecoveryReport{}, err
		}
	}
	res, err := t.o.WAL.Replay(rc.from, rc.replay)
	if err != nil {
		return RecoveryReport{}, fmt.Errorf("replay write-ahead log: %w", err)
	}
	res.Corrupt = res.Corrupt || rc.lost != ""
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
	t.reported = report.Failed
	return report, nil
}

// recovery is the state of one [Table.Recover].
type recovery struct {
	t        *Table
	marks    map[cluster.TopicPartition]segment.Mark
	from     wal.LSN // of the checkpoint
	lost     string  // not empty: why no replica can be opened
	failed   map[cluster.TopicPartition]string
	replayed int64
	buffered int64
}

func (rc *recovery) fail(tp cluster.TopicPartition, why string) {
	if _, ok := rc.failed[tp]; !ok {
		rc.failed[tp] = why
	}
}

// openAll opens the replicas that have directories, or failure markers.
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
			if tp, ok := asideOf(id, part); ok {
				t.asides.add(tp, part)
			}
			n, err := strconv.ParseInt(strings.TrimSuffix(part, failureSuffix), 10, 32)
			if err != nil || n < 0 {
				continue // set aside, or not ours
			}
			if err := rc.openOnce(cluster.TopicPartition{TopicID: id, Partition: int32(n)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// openOnce opens one replica unless that was done before.
func (rc *recovery) openOnce(tp cluster.TopicPartition) error {
	if _, ok := rc.t.replicas[tp]; ok {
		return nil
	}
	_, err := rc.open(tp)
	return err
}

// open opens one replica at its checkpoint. A damaged one is failed; only an
// error of the environment is returned.
func (rc *recovery) open(tp cluster.TopicPartition) (*Replica, error) {
	t := rc.t
	mark := rc.marks[tp]
	r := newReplica(t, tp)
	r.highWatermark = mark.HighWatermark
	why, err := rc.known(tp)
	if err != nil {
		return nil, fmt.Errorf("open replica %s: %w", tp, err)
	}
	if why != "" { // its files are left as they are
		rc.fail(tp, why)
		t.replicas[tp] = r
		return r, nil
	}
	r.log, err = segment.Open(segment.Options{FS: t.o.FS, Dir: t.replicaDir(tp), Logger: t.o.Logger, Mark: mark})
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
	t.replicas[tp] = r
	return r, nil
}

// known says why a replica is known to have failed; empty if it is not.
func (rc *recovery) known(tp cluster.TopicPartition) (why string, err error) {
	said, err := vfs.ReadFile(rc.t.o.FS, rc.t.failureMarker(tp))
	mark, marked := rc.marks[tp]
	switch {
	case err == nil:
		return "failed before: " + strings.TrimPrefix(string(said), "failed before: "), nil
	case !vfs.IsNotExist(err):
		return "", err
	case marked && wal.LSN(mark.LSN) < rc.from:
		return "failed before, its marker is gone", nil
	default:
		return rc.lost, nil
	}
}
