package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A sample is the beginning and the end of each partition and, between them,
// windows chosen at random: a tenth of it in all.
const (
	sampleWindow = 1000 // offsets
	sampleShare  = 0.1
	sampleLeast  = 3 // windows of a partition
)

// window is a range of offsets, without its end.
type window struct{ from, to int64 }

// windows chooses those of a partition, in order. chance returns 0 to 1.
func windows(start, end int64, chance func() float64) []window {
	var all []window
	for from := start; from < end; from += sampleWindow {
		all = append(all, window{from, min(from+sampleWindow, end)})
	}
	want := max(sampleLeast, int(sampleShare*float64(len(all))))
	if len(all) <= want {
		return all
	}
	chosen := []window{all[0]}
	middle := all[1 : len(all)-1]
	for i, w := range middle { // each set of windows is as likely as any other
		if left := want - 1 - len(chosen); chance()*float64(len(middle)-i) < float64(left) {
			chosen = append(chosen, w)
		}
	}
	return append(chosen, all[len(all)-1])
}

// logSample is what is read of each partition.
type logSample struct {
	windows map[int32][]window
	ends    map[int32]int64
}

// covers reports whether a record at this offset would have been read. Beyond the
// end of the log there is nothing.
func (s logSample) covers(partition int32, offset int64) bool {
	return offset >= s.ends[partition] || slices.ContainsFunc(s.windows[partition], func(w window) bool { return w.from <= offset && offset < w.to })
}

// verifySample reads a sample back.
func (t *target) verifySample(ctx context.Context, m *monitor) *Verification {
	return t.hold(func(v *verifier) error {
		ctx, cancel := grace(ctx, readLimit, readGrace)
		defer cancel()
		ends, err := t.settledEnds(ctx, v)
		if err != nil {
			return fmt.Errorf("find the end of the log: %w", err)
		}
		s := logSample{windows: map[int32][]window{}, ends: ends}
		rounds := 0
		for partition, start := range t.starts {
			s.windows[partition] = windows(start, ends[partition], rand.Float64)
			rounds = max(rounds, len(s.windows[partition]))
		}
		v.covers = s.covers
		for i := range rounds {
			now := map[int32]window{}
			for partition, all := range s.windows {
				if i < len(all) {
					now[partition] = all[i]
				}
			}
			if err := t.readWindows(ctx, v, now); err != nil {
				return err
			}
			m.reading(v.seen(), v.total)
		}
		return nil
	})
}

// settledEnds returns the ends of the partitions, once all that was acked lies
// before them, or a while has passed.
func (t *target) settledEnds(ctx context.Context, v *verifier) (map[int32]int64, error) {
	deadline := time.Now().Add(readIdle)
	for {
		ends, err := t.ends(ctx)
		if err == nil && !v.ahead(ends) || time.Now().After(deadline) || ctx.Err() != nil {
			return ends, errors.Join(err, ctx.Err())
		}
		wait, cancel := context.WithTimeout(ctx, pollInterval)
		<-wait.Done()
		cancel()
	}
}

// readWindows reads one window of each partition.
func (t *target) readWindows(ctx context.Context, v *verifier, now map[int32]window) error {
	starts, ends := map[int32]int64{}, map[int32]int64{}
	for partition, w := range now {
		starts[partition], ends[partition] = w.from, w.to
	}
	r, err := t.newReader(starts, kgo.FetchMaxWait(readPoll))
	if err != nil {
		return err
	}
	defer r.client.Close()
	r.take = func(rec *kgo.Record) {
		if rec.Offset < ends[rec.Partition] {
			v.observe(rec.Partition, rec.Offset, rec.Value)
		}
	}
	last := time.Now()
	for ctx.Err() == nil && !r.reached(ends) {
		if r.poll(ctx) > 0 {
			last = time.Now()
		} else if time.Since(last) > readIdle {
			return r.stuck(ends, nil)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("reading back was cut short: %w", err)
	}
	return nil
}
