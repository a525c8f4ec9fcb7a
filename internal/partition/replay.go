package partition

import (
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/wal"
)

// replay applies one frame of the write-ahead log.
func (rc *recovery) replay(f wal.Frame) error {
	if mark, ok := rc.marks[f.TP]; ok && f.LSN < wal.LSN(mark.LSN) {
		return nil // the checkpoint of this partition already holds it
	}
	rc.replayed += int64(len(f.Payload))
	r, ok := rc.t.replicas[f.TP]
	if f.Kind == wal.KindDelete {
		return rc.drop(r, f.TP)
	}
	if _, bad := rc.failed[f.TP]; bad {
		return nil
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

// flush writes out what was replayed, and lets it go.
func (rc *recovery) flush() error {
	replicas := rc.t.unordered()
	return rc.t.severally(len(replicas), func(i int) error {
		r := replicas[i]
		if r.log == nil {
			return nil
		}
		if err := r.log.Flush(); err != nil {
			return fmt.Errorf("flush %s during replay: %w", r.tp, err)
		}
		r.log.TrimTail(0)
		return nil
	})
}

// drop forgets a removed replica, sound or not. Frames after this one are of
// another replica, which was placed here later and is none that the checkpoint
// knows.
func (rc *recovery) drop(r *Replica, tp cluster.TopicPartition) error {
	delete(rc.t.replicas, tp)
	delete(rc.failed, tp)
	delete(rc.marks, tp)
	var err error
	if r != nil && r.log != nil {
		err = r.log.Close()
	}
	if err = errors.Join(err, rc.t.o.FS.RemoveAll(rc.t.replicaDir(tp)), rc.t.unmarkFailed(tp)); err != nil {
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
		return r.learn(f.Payload, r.now())
	case wal.KindTruncate, wal.KindReset:
		to, err := wal.DecodeOffset(f.Payload)
		if err != nil {
			return err
		}
		if f.Kind == wal.KindReset {
			r.windowsAt = -1
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
