package meta

import (
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
)

// fsm is cluster.Apply as raft wants it. Raft calls it from one goroutine; it
// does no IO and looks at no clock.
type fsm struct {
	board *board
	// fail is told, once, that an entry cannot be understood: a newer broker
	// wrote it. Applying what follows would make this broker diverge.
	fail     func(error)
	failOnce sync.Once
	failed   error // owned by raft's FSM goroutine
}

var _ raft.BatchingFSM = (*fsm)(nil)

// Apply applies one entry.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies entries and puts up the last image.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	img := f.board.image()
	before := img
	results := make([]any, len(logs))
	for i, l := range logs {
		if l.Type != raft.LogCommand {
			continue
		}
		var res cluster.Result
		img, res = f.applyOne(img, l)
		results[i] = res
	}
	if img != before {
		f.board.setImage(img)
	}
	return results
}

func (f *fsm) applyOne(img *cluster.Image, l *raft.Log) (*cluster.Image, cluster.Result) {
	if f.failed != nil {
		return img, cluster.Result{Err: f.failed}
	}
	cmd, err := cluster.Decode(l.Data)
	if err != nil {
		f.failed = fmt.Errorf("metadata entry %d: %w: %w", l.Index, err, ErrStuck)
		f.failOnce.Do(func() { f.fail(f.failed) })
		return img, cluster.Result{Err: f.failed}
	}
	return cluster.Apply(img, l.Index, cmd)
}

// Snapshot captures the image; it is immutable, so there is nothing to copy.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.failed != nil {
		return nil, f.failed
	}
	return imageSnapshot{f.board.image()}, nil
}

// maxSnapshotBytes bounds what a snapshot may make this broker allocate.
const maxSnapshotBytes = 1 << 30

// Restore replaces the image with a snapshot's.
func (f *fsm) Restore(r io.ReadCloser) error {
	data, err := io.ReadAll(io.LimitReader(r, maxSnapshotBytes))
	if err != nil {
		return fmt.Errorf("read metadata snapshot: %w", err)
	}
	if err := r.Close(); err != nil {
		return fmt.Errorf("read metadata snapshot: %w", err)
	}
	img, err := cluster.DecodeImage(data)
	if err != nil {
		return err
	}
	f.board.setImage(img)
	return nil
}

// imageSnapshot writes an image to raft's snapshot store.
type imageSnapshot struct{ img *cluster.Image }

// Persist writes the image.
func (s imageSnapshot) Persist(sink raft.SnapshotSink) error {
	data, err := s.img.Encode()
	if err == nil {
		_, err = sink.Write(data)
	}
	if err != nil {
		_ = sink.Cancel() // the first error says more
		return fmt.Errorf("write metadata snapshot: %w", err)
	}
	return sink.Close()
}

// Release has nothing to release.
func (imageSnapshot) Release() {}
