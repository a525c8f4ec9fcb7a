package bench

import (
	"context"
	"sync"
	"time"
)

// lane is one arm under test: its producers, their schedules, and what was
// measured. Its fields are owned by the goroutine that runs the benchmark,
// except for what the block under way hands to its senders.
type lane struct {
	arm       Arm
	producers []*producer
	schedules []*Schedule // one a producer; nil in a closed loop
	rate      float64     // of one producer; 0 in a closed loop
	clock     time.Duration
	total     *recorder     // of all measured blocks
	measured  time.Duration // that load was offered
	answered  time.Duration // from the first record's time to the last ack, summed over the blocks
	began     time.Time     // of the newest block
	fine      bool          // intervals are kept
	intervals []Interval    // of all measured blocks
	faults    *faultClock   // nil without faults
	gaps      *gapMeter     // nil without faults
	tail      *tail         // nil unless a consumer awaits the records
	gate      *gate         // nil unless other workers begin together with this one
}

// newLanes opens the producers of every arm.
func (t *target) newLanes(c Config) ([]*lane, error) {
	lanes := make([]*lane, 0, len(c.Arms))
	for _, arm := range c.Arms {
		l := &lane{arm: arm, total: newRecorder(), fine: c.KeepIntervals, gate: c.gate}
		for i := range c.Producers {
			p, err := t.newProducer(arm, t.partitions, append(c.loadOptions(), arm.options()...)...)
			if err != nil {
				closeLanes(lanes)
				l.close()
				return nil, err
			}
			p.share(c.index, c.workers)
			l.producers = append(l.producers, p)
			if !c.ClosedLoop {
				// The same schedule for every arm, bursts included.
				n := float64(c.Producers)
				l.rate = c.Rate / n
				l.schedules = append(l.schedules, NewSchedule(c.Arrival, l.rate, (float64(i)+c.phase())/n, c.Seed+uint64(i)))
			}
		}
		lanes = append(lanes, l)
	}
	return lanes, nil
}

func (l *lane) close() {
	for _, p := range l.producers {
		p.client.Close()
	}
}

func closeLanes(lanes []*lane) {
	for _, l := range lanes {
		l.close()
	}
}

// startDelay lies between the decision to start a block and its first record,
// so that every sender is up by then.
const startDelay = 2 * time.Millisecond

// run offers load for the given time, waits for what is outstanding, and
// returns a recorder a producer and how long load was offered. The wait keeps
// arms apart: one arm's backlog would be measured as the next one's latency.
func (l *lane) run(ctx context.Context, length time.Duration, concurrency int, m *monitor) ([]*recorder, time.Duration) {
	recorders := make([]*recorder, len(l.producers))
	for i := range recorders {
		recorders[i] = newRecorder()
	}
	m.block(l.arm, recorders)
	start, _ := l.gate.meet(ctx, true)
	l.began = start
	if l.faults != nil {
		for _, rec := range recorders {
			rec.parts = newSplit(l.faults) // nobody writes to it yet
		}
	}
	if !l.arm.Acknowledged() {
		defer func() { l.gaps.pass(time.Since(start)) }()
	}
	l.tail.open(start, l.fine)
	if l.fine {
		for _, rec := range recorders {
			rec.per.began = start // nobody writes to it yet
		}
	}
	if l.schedules != nil {
		l.openLoop(ctx, start, length, recorders)
	} else {
		l.closedLoop(ctx, start.Add(length), concurrency, recorders)
	}
	offered := length // a schedule is through when its last record is out, a little before the end
	if ctx.Err() != nil {
		offered = min(max(time.Since(start), 0), length)
	}
	rest, cancel := grace(ctx, drainLimit, drainGrace)
	defer cancel()
	for _, rec := range recorders {
		rec.drain(rest, FailureAbandoned)
	}
	return recorders, offered
}

// openLoop follows the schedules, whatever the cluster does.
func (l *lane) openLoop(ctx context.Context, start time.Time, length time.Duration, recorders []*recorder) {
	from := l.clock
	l.clock += length
	load := context.WithoutCancel(ctx) // records that are out may still end well
	var senders sync.WaitGroup
	for i, p := range l.producers {
		senders.Go(func() {
			nap, how := precisePacing(l.rate <= maxRealtimeRate)
			recorders[i].pacedBy(how)
			pace(ctx, l.schedules[i], start, from, from+length, nap, func(due time.Time) {
				p.offer(load, recorders[i], due, nil)
			})
		})
	}
	senders.Wait()
}

// closedLoop sends the next record when the last one is answered.
func (l *lane) closedLoop(ctx context.Context, end time.Time, concurrency int, recorders []*recorder) {
	load := context.WithoutCancel(ctx) // records that are out may still end well
	var callers sync.WaitGroup
	for i := range concurrency {
		callers.Go(func() {
			p, rec := l.producers[i%len(l.producers)], recorders[i%len(l.producers)]
			answered := make(chan struct{}, 1)
			for now := time.Now(); now.Before(end) && ctx.Err() == nil; now = time.Now() {
				p.offer(load, rec, now, answered)
				select {
				case <-answered:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	callers.Wait()
}

// keep adds one measured block to the lane's result and returns its summary.
func (l *lane) keep(recorders []*recorder, offered time.Duration, startMillis int64) BlockReport {
	block := newRecorder()
	for _, rec := range recorders {
		block.merge(rec)
	}
	l.intervals = append(l.intervals, block.per.finish(l.arm, offered)...)
	block.per = intervals{} // not of all blocks as well
	l.total.merge(block)
	l.measured += offered
	// A cluster that is overloaded answers all the same, later.
	l.answered += max(offered, block.lastAck.Sub(l.began))
	return block.blockReport(l.arm, offered, startMillis)
}
