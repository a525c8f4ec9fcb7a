package bench

import (
	"context"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/pause"
)

// closedLoopRate is what a closed loop is taken to offer, which nobody knows.
const closedLoopRate = 10_000

// explainer says where the response times of each arm went: it has the
// producers keep journals, asks the brokers for traces, and joins the two by
// topic, partition and offset. A nil explainer explains nothing.
type explainer struct {
	interval time.Duration // between looks during a long block

	mu      sync.Mutex
	tracer  *tracer           // guarded by mu
	joiners map[*lane]*joiner // guarded by mu; of the arms with acks
}

// newExplainer finds the brokers' traces. Call it before any load.
func (t *target) newExplainer(ctx context.Context, c Config, lanes []*lane) *explainer {
	if c.SkipTraces {
		return nil
	}
	x := &explainer{tracer: t.findTraces(ctx, c.TraceAddrs), joiners: map[*lane]*joiner{}}
	rate := c.Rate
	if c.ClosedLoop {
		rate = closedLoopRate
	}
	x.interval = x.tracer.expect(rate)
	for _, l := range lanes {
		if !l.arm.Acknowledged() {
			continue
		}
		x.joiners[l] = &joiner{traced: len(x.tracer.sources) > 0, log: stageLog{keep: c.KeepIntervals}}
		for _, p := range l.producers {
			p.keepJournal()
		}
	}
	return x
}

// forget leaves out what was traced so far: the warm-up.
func (x *explainer) forget(ctx context.Context) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tracer.pullAll(ctx)
	for _, s := range x.tracer.sources {
		s.missed = 0
	}
}

// during runs a block of an arm and explains its records. The brokers are asked
// when the block is over, unless it is so long that they would have forgotten
// its beginning by then.
func (x *explainer) during(ctx context.Context, l *lane, block func()) {
	if x == nil || x.joiners[l] == nil {
		block()
		return
	}
	for _, p := range l.producers {
		p.journal.keep(true)
	}
	stop := background(ctx, func(ctx context.Context) { x.watch(ctx, l) })
	block()
	stop()
	for _, p := range l.producers {
		p.journal.keep(false)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceTimeout)
	defer cancel()
	if x.joiners[l].traced {
		pause.For(ctx, traceSettle) // what is there by then is looked at
	}
	x.look(ctx, l, time.Now())
}

// watch looks in intervals until ctx ends.
func (x *explainer) watch(ctx context.Context, l *lane) {
	tick := time.NewTicker(x.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			x.look(ctx, l, now.Add(-traceSettle))
		}
	}
}

// look explains the records that were acked up to until.
func (x *explainer) look(ctx context.Context, l *lane, until time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	news := x.tracer.pullAll(ctx)
	var samples []sample
	var exchanges []exchange
	for _, p := range l.producers {
		s, e := p.journal.take(until)
		samples, exchanges = append(samples, s...), append(exchanges, e...)
	}
	x.joiners[l].join(samples, exchanges, news)
}

// logged returns the stages of each second, if intervals are kept.
func (x *explainer) logged(lanes []*lane) []StageInterval {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []StageInterval
	for _, l := range lanes {
		if j := x.joiners[l]; j != nil {
			all = append(all, j.log.intervals(l.arm)...)
		}
	}
	return all
}

// report returns what was explained, by arm, and what has to be said with it.
// Nothing is asked after that.
func (x *explainer) report(lanes []*lane) (reports []StageReport, notes []string) {
	reports, notes = []StageReport{}, []string{}
	if x == nil {
		return reports, notes
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tracer.http.CloseIdleConnections()
	for _, l := range lanes {
		if j := x.joiners[l]; j != nil {
			reports = append(reports, j.report(l.arm))
		}
	}
	estimateReplication(reports)
	var missed uint64
	for _, s := range x.tracer.sources {
		missed += s.missed
	}
	if missed > 0 {
		x.tracer.note("the brokers had overwritten %d batches before they were asked for them", missed)
	}
	if x.tracer.every > 1 {
		x.tracer.note("a sample: one batch in %d of each broker", x.tracer.every)
	}
	return reports, append(notes, x.tracer.notes...)
}
