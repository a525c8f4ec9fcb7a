package partition

import (
	"time"

	"github.com/chronik-project/chronik/internal/segment"
)

// retain deletes sealed segments that the topics' retention has passed. When
// the wall clock moved against the monotonic one since the last round, ages
// mean nothing and segments are not deleted by age in this round.
func (t *Table) retain() {
	now := t.o.Now()
	jumped := t.checkpoint.jumped(now)
	for _, r := range t.Replicas() {
		r.mu.Lock()
		cfg, hw, failed := r.meta.config, r.highWatermark, r.failed
		applied := r.meta.part != nil
		r.producers.ExpireBefore(now.Add(-producerExpiry))
		r.mu.Unlock()
		if !applied || failed != "" {
			continue
		}
		keep := segment.Retention{Time: cfg.RetentionTime, Bytes: cfg.RetentionBytes}
		if jumped {
			keep.Time = -1
		}
		deleted, err := r.log.Retain(now, keep, hw)
		if err != nil {
			t.o.Logger.Warn("retention", r.attrs("error", err)...)
		} else if deleted > 0 {
			t.o.Logger.Info("deleted old segments", r.attrs("segments", deleted)...)
		}
	}
}

// maxClockDrift is how far the wall clock may move against the monotonic one
// between two retention rounds before ages are distrusted.
const maxClockDrift = time.Minute

func (c *checkpointer) jumped(now time.Time) bool {
	wall := now.Round(0) // strips the monotonic reading
	defer func() { c.wall, c.mono = wall, now }()
	if c.mono.IsZero() {
		return false
	}
	drift := wall.Sub(c.wall) - now.Sub(c.mono)
	return drift > maxClockDrift || drift < -maxClockDrift
}
