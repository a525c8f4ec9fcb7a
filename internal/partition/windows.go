package partition

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

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

// learn updates the windows with batches that were appended. REQUIRES: r.mu is
// held, or recovery.
func (r *Replica) learn(batches []byte, now time.Time) error {
	for rest := batches; len(rest) > 0; {
		b, tail, err := record.Next(rest)
		if err != nil {
			return err
		}
		r.producers.Update(b, now)
		rest = tail
	}
	return nil
}

// scan calls f for every batch from offset to the log end.
func (r *Replica) scan(offset int64, f func(record.Batch)) error {
	const chunkBytes = 1 << 20
	for end := r.log.EndOffset(); offset < end; {
		chunks, err := r.readLog(offset, chunkBytes, end, true)
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

// rebuildProducers reads the windows anew from the log, after a truncation.
// REQUIRES: r.transition is held.
func (r *Replica) rebuildProducers() error {
	state := producer.New()
	now := r.now()
	err := r.scan(r.log.StartOffset(), func(b record.Batch) { state.Update(b, now) })
	if err != nil {
		return fmt.Errorf("rebuild producer windows: %w", err)
	}
	r.mu.Lock()
	r.producers = state
	r.mu.Unlock()
	return nil
}
