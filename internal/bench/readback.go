package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// readIdle is how long reading waits for what lies before the end of the
	// log and does not come.
	readIdle = 5 * time.Second
	// readIdleUnacked is how long it waits at the end of the log for records
	// that nobody promised: acks=0 may still be on its way.
	readIdleUnacked = 500 * time.Millisecond
	// readIdleAhead is how long it waits at the end of the log for records
	// that were acked beyond it. acks=1 acknowledges a record before consumers
	// may see it, and a follower that is stuck holds it back until it leaves
	// the in-sync set.
	readIdleAhead = 30 * time.Second
	// readPoll bounds one wait for more.
	readPoll = 200 * time.Millisecond
	// readLimit bounds reading everything back.
	readLimit = 30 * time.Minute
)

// reader reads this run's records from the beginning, past every end.
type reader struct {
	target *target
	client *kgo.Client
	next   map[int32]int64   // the offset to read, by partition
	take   func(*kgo.Record) // what is done with each
	came   time.Time         // when what is taken came
	fault  error             // the last error of a fetch
}

// verify reads everything back.
func (t *target) verify(ctx context.Context, m *monitor) *Verification {
	return t.hold(func(v *verifier) error { return t.readBack(ctx, v, m) })
}

// hold holds what read observes against the ledgers. The producers must be
// closed.
func (t *target) hold(read func(*verifier) error) *Verification {
	for _, l := range t.ledgers {
		l.freeze()
	}
	v := newVerifier(t.run, t.ledgers)
	err := read(v)
	result := v.finish(err == nil)
	if err != nil {
		result.Reason = err.Error()
	}
	result.OK = result.Complete && !result.broken()
	return result
}

func (t *target) readBack(ctx context.Context, v *verifier, m *monitor) error {
	ctx, cancel := grace(ctx, readLimit, readGrace)
	defer cancel()
	r, err := t.newReader(t.starts, kgo.FetchMaxWait(readPoll))
	if err != nil {
		return err
	}
	defer r.client.Close()
	return r.verify(ctx, v, m)
}

// newReader opens a consumer of the partitions in starts, from these offsets.
func (t *target) newReader(starts map[int32]int64, opts ...kgo.Opt) (*reader, error) {
	offsets := make(map[int32]kgo.Offset, len(starts))
	for partition, start := range starts {
		offsets[partition] = kgo.NewOffset().At(start)
	}
	client, err := t.connect(append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.topic: offsets}))...)
	if err != nil {
		return nil, err
	}
	return &reader{target: t, client: client, next: maps.Clone(starts)}, nil
}

// verify reads until all that was sent has been seen, or nothing more comes.
// What lies before the end of the log after that is read too: a duplicate may
// be the very last record.
func (r *reader) verify(ctx context.Context, v *verifier, m *monitor) error {
	r.take = func(rec *kgo.Record) { v.observe(rec.Partition, rec.Offset, rec.Value) }
	last := time.Now() // when something new was seen
	for ctx.Err() == nil {
		n := r.poll(ctx)
		m.reading(v.seen(), v.total)
		if n > 0 {
			last = time.Now()
			continue
		}
		idle := time.Since(last)
		ends, err := r.target.ends(ctx)
		switch {
		case err == nil && r.reached(ends):
			if v.settled(r.next, idle) {
				return nil // what is missing is missing from the log
			}
		case idle > readIdle:
			return r.stuck(ends, err)
		}
	}
	return fmt.Errorf("reading back was cut short: %w", context.Cause(ctx))
}

// settled reports, at the end of the log, whether it is worth waiting for more.
func (v *verifier) settled(next map[int32]int64, idle time.Duration) bool {
	if v.missingUnacked > 0 && idle <= readIdleUnacked {
		return false
	}
	return v.missingAcked == 0 || idle > readIdleAhead || !v.ahead(next)
}

// poll takes what has come, and returns how many records it was.
func (r *reader) poll(ctx context.Context) int {
	wait, cancel := context.WithTimeout(ctx, readPoll)
	defer cancel()
	fetches := r.client.PollFetches(wait)
	r.came = time.Now()
	fetches.EachError(func(_ string, partition int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			r.fault = fmt.Errorf("partition %d: %w", partition, err)
		}
	})
	n := 0
	fetches.EachRecord(func(rec *kgo.Record) {
		n++
		r.take(rec)
		r.next[rec.Partition] = rec.Offset + 1
	})
	return n
}

// reached reports whether every partition that is read was read to its end.
func (r *reader) reached(ends map[int32]int64) bool {
	for partition, next := range r.next {
		if next < ends[partition] {
			return false
		}
	}
	return true
}

// stuck says why reading got nowhere.
func (r *reader) stuck(ends map[int32]int64, err error) error {
	if err != nil {
		return fmt.Errorf("find the end of the log: %w", err)
	}
	for partition, next := range r.next {
		if end := ends[partition]; next < end {
			why := r.fault
			if why == nil {
				why = errors.New("the broker returns nothing more")
			}
			return fmt.Errorf("reading back stopped at offset %d of %d in partition %d: %w", next, end, partition, why)
		}
	}
	return nil
}
