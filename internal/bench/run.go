package bench

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Run measures what Config asks for. When ctx is cancelled it stops the load,
// verifies what was sent, and returns a report marked interrupted. An error
// beside a report concerns what came after the measurement.
func Run(ctx context.Context, c Config) (*Report, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	return onTarget(ctx, c.Target, func(t *target, m *monitor) (*Report, error) {
		return t.acksAll(ctx, c, m)
	})
}

// onTarget opens the target, measures, and cleans up.
func onTarget[R any](ctx context.Context, cfg Target, measure func(*target, *monitor) (*R, error)) (*R, error) {
	m := newMonitor()
	stop := cfg.watch(ctx, m)
	defer stop()
	t, err := openTarget(ctx, cfg)
	if err != nil {
		return nil, err
	}
	report, err := measure(t, m)
	m.enter(PhaseClean, 0)
	return report, errors.Join(err, t.close(ctx))
}

// watch reports progress until stop is called.
func (t Target) watch(ctx context.Context, m *monitor) (stop func()) {
	if t.OnProgress == nil {
		return func() {}
	}
	return background(ctx, func(ctx context.Context) { m.watch(ctx, t.OnProgress) })
}

// background runs fn until stop is called, which waits for its end. It goes on
// when ctx is cancelled: what follows the interruption is watched too.
func background(ctx context.Context, fn func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { fn(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func (t *target) acksAll(ctx context.Context, c Config, m *monitor) (*Report, error) {
	lanes, err := t.newLanes(c)
	if err != nil {
		return nil, err
	}
	t.leaveTo(c.index, c.workers)
	c.gate.show(lanes)
	report := &Report{Load: LoadOpen, Environment: t.describe(ctx), Settings: c.settings(), Assertions: []Assertion{}}
	if c.ClosedLoop {
		report.Load = LoadClosed
		t.warn("closed loop: a stall of the cluster slows the load down and is hidden from these quantiles (coordinated omission)")
	}
	explain := t.newExplainer(ctx, c, lanes)
	faults := t.newFaultRunner(c, report.Environment.Cluster.Brokers, lanes)
	m.enter(PhaseWarmup, max(c.Warmup, 0))
	report.Warmup = warmUp(ctx, lanes, c, m)

	turns := c.turns(c.Duration)
	report.Started = time.Now().UTC()
	c.Logger.Info("measuring", slog.String("topic", t.topic), slog.Int("arms", len(lanes)))
	m.enter(PhaseMeasure, turns.total(c))
	beside := t.observe(ctx)
	explain.forget(ctx)
	faults.beside(ctx, func() { report.Blocks = measure(ctx, lanes, c, turns, m, explain) })
	beside.end()
	report.Stages, report.StagesNotes = explain.report(lanes)
	report.StageIntervals = explain.logged(lanes)
	closeLanes(lanes)

	report.judge(lanes, c)
	if why := report.Warmup.warning(c.WarmupMax); why != "" && ctx.Err() == nil {
		t.warn("%s", why)
	}
	inflicted := faults.conclude(ctx, report, lanes)
	report.Events = since(report.Started, inOrder(faults.happened(), beside.isr.happened()))
	report.Verification, report.Interrupted = t.conclude(ctx, m, &report.Environment, beside)
	report.excuse()
	report.Warnings = append(report.Warnings, t.warnings...)
	return report, inflicted
}

// conclude looks at the cluster after the load and reads everything back, if
// that is asked for. interrupted says that ctx ended before it was done.
func (t *target) conclude(ctx context.Context, m *monitor, env *Environment, beside *observer) (v *Verification, interrupted bool) {
	t.describeEnd(ctx, env, beside)
	if !t.cfg.SkipVerify {
		m.enter(PhaseVerify, 0)
		if t.cfg.SampleVerify {
			v = t.verifySample(ctx, m)
		} else {
			v = t.verify(ctx, m)
		}
	}
	return v, ctx.Err() != nil
}

// total is how long the plan takes with all arms.
func (p plan) total(c Config) time.Duration {
	return p.block * time.Duration(p.blocks*len(c.Arms))
}

// eachTurn calls fn for every block in order: all, 1, 0, all, 1, 0, ...
func eachTurn(ctx context.Context, lanes []*lane, p plan, fn func(*lane)) {
	for range p.blocks {
		for _, l := range lanes {
			if ctx.Err() != nil {
				return
			}
			fn(l)
		}
	}
}

func measure(ctx context.Context, lanes []*lane, c Config, p plan, m *monitor, x *explainer) []BlockReport {
	blocks := []BlockReport{}
	began := time.Now()
	eachTurn(ctx, lanes, p, func(l *lane) {
		at := time.Since(began).Milliseconds()
		x.during(ctx, l, func() {
			recorders, offered := l.run(ctx, p.block, c.Concurrency, m)
			blocks = append(blocks, l.keep(recorders, offered, at))
		})
	})
	return blocks
}

// judge fills in the arms and whether the generator did what was asked of it.
func (r *Report) judge(lanes []*lane, c Config) {
	r.Warnings = []string{}
	lateness := newHistogram()
	var invalid []string
	for _, l := range lanes {
		arm, why := l.report(c)
		if why != "" {
			invalid = append(invalid, why)
		}
		if arm.Errors > 0 {
			r.warn("acks=%s: %d of %d records failed; the quantiles leave them out", l.arm, arm.Errors, arm.Offered)
		}
		lateness.merge(l.total.lateness)
		if l.total.pacing != "" {
			r.Generator.Pacing = &l.total.pacing
		}
		r.Generator.Shed += arm.ErrorsByCode[FailureShed]
		r.Arms = append(r.Arms, arm)
		r.Intervals = append(r.Intervals, l.intervals...)
	}
	q := lateness.quantiles()
	r.Generator.LatenessP50, r.Generator.LatenessP99, r.Generator.LatenessMax = q.P50, q.P99, q.Max
	r.Generator.Valid = len(invalid) == 0
	if !r.Generator.Valid {
		why := strings.Join(invalid, "; ")
		r.Generator.Reason = &why
		r.warn("INVALID run: %s", why)
	}
}

func (c Config) settings() Settings {
	p := c.turns(c.Duration)
	s := Settings{
		DurationMillis: c.Duration.Milliseconds(), WarmupMillis: max(c.Warmup, 0).Milliseconds(), WarmupMaxMillis: max(c.WarmupMax, 0).Milliseconds(),
		BlockMillis: p.block.Milliseconds(), BlocksPerArm: p.blocks,
		RecordBytes: c.RecordBytes, Producers: c.Producers, Compression: "none",
		InflightPerBroker: maxInflight, Partitioner: "round-robin",
		Attempts:    "1; all+idempotent retries",
		MaxBuffered: c.MaxBuffered, AckTimeoutMillis: c.AckTimeout.Milliseconds(),
	}
	if c.ClosedLoop {
		s.Concurrency = &c.Concurrency
		return s
	}
	s.RatePerSecond, s.Arrival = &c.Rate, &c.Arrival
	if c.Arrival == Poisson {
		// As text: JSON readers round numbers of this size.
		seed := strconv.FormatUint(c.Seed, 10)
		s.Seed = &seed
	}
	return s
}
