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
	if state, ok := r.savedProducers(end); ok {
		r.producers, r.windowsAt = state, end
		return nil
	}
	return r.rebuildProducers()
}

// savedProducers reads the snapshot, if it is the one of that end.
func (r *Replica) savedProducers(end int64) (state *producer.State, ok bool) {
	data, err := vfs.ReadFile(r.t.o.FS, filepath.Join(r.t.replicaDir(r.tp), producersFile))
	if err != nil {
		return nil, false
	}
	state, at, err := producer.Restore(data)
	return state, err == nil && at == end
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

// rebuildProducers makes the windows anew after a truncation: from the snapshot
// of the last checkpoint and what was appended since, if the cut left that part
// alone, as it does mostly, or else from the whole log. REQUIRES: r.transition
// and r.files are held, or recovery.
func (r *Replica) rebuildProducers() error {
	state, from := producer.New(), r.log.StartOffset()
	if at := r.windowsAt; at > from && at <= r.log.EndOffset() {
		if saved, ok := r.savedProducers(at); ok {
			state, from = saved, at
		}
	} else {
		r.windowsAt = -1 // what is appended there from now on is something else
	}
	now := r.now()
	err := r.scan(from, func(b record.Batch) { state.Update(b, now) })
	if err != nil {
		return fmt.Errorf("rebuild producer windows: %w", err)
	}
	r.mu.Lock()
	r.producers = state
	r.mu.Unlock()
	return nil
}
