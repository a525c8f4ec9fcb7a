package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Fault is what a failover run does to the leader of partition 0.
type Fault struct {
	Kind string // kill, pause, stop, isolate or exec: what Driver is called with
	// Undo is what it is called with so that every replica can be read. Empty:
	// somebody else sees to that, or nobody.
	Undo   string
	Driver FaultDriver
}

// Victim is the broker that fails.
type Victim struct {
	Broker    int32
	Address   string // HOST:PORT for clients; empty: not told
	Topic     string // the one under load
	Partition int32  // for whose leader or follower it was chosen
	Leader    int32  // of that partition, just before; -1: none is known
}

// FailoverConfig is one run of failover: open-loop load of one arm, in the
// middle of which a leader fails.
type FailoverConfig struct {
	Config

	// Fault is what happens.
	Fault Fault

	// FaultAt is when, since the load that is measured began.
	//
	// The default is 5 s.
	FaultAt time.Duration
}

func (c FailoverConfig) withDefaults() FailoverConfig {
	if len(c.Arms) == 0 {
		c.Arms = []Arm{AcksAllIdempotent}
	}
	if c.Duration == 0 {
		c.Duration = 20 * time.Second
	}
	if c.FaultAt == 0 {
		c.FaultAt = 5 * time.Second
	}
	c.Config = c.Config.withDefaults()
	return c
}

func (c FailoverConfig) validate() error {
	switch {
	case len(c.Arms) != 1 || !c.Arms[0].Acknowledged():
		return fmt.Errorf("%w: a failover takes one acks setting that is acknowledged", ErrConfig)
	case c.FaultAt < 0 || c.FaultAt >= c.Duration:
		return fmt.Errorf("%w: a fault at %s of %s", ErrConfig, c.FaultAt, c.Duration)
	case c.Fault.Driver == nil:
		return fmt.Errorf("%w: no fault", ErrConfig)
	case c.ClosedLoop:
		return fmt.Errorf("%w: a closed loop stops when the leader does, and shows nothing", ErrConfig)
	case c.Rate*c.Duration.Seconds() > maxJournal:
		return fmt.Errorf("%w: %v records/s for %s: a failover keeps track of %d acks", ErrConfig, c.Rate, c.Duration, maxJournal)
	}
	return c.Config.validate()
}

// FailoverReport is what RunFailover found. Times are in milliseconds.
type FailoverReport struct {
	Started      time.Time           `json:"started"`
	Interrupted  bool                `json:"interrupted"`
	Settings     Settings            `json:"settings"`
	Fault        FaultReport         `json:"fault"`
	Arm          ArmReport           `json:"arm"`
	Partitions   []FailoverPartition `json:"partitions"`
	Generator    Generator           `json:"generator"`
	Verification *Verification       `json:"verification"` // nil: not asked for
	Replicas     *ReplicaCheck       `json:"replicas"`     // nil: not asked for
	Environment  Environment         `json:"environment"`
	Events       []Event             `json:"events"`
	Warnings     []string            `json:"warnings"`
	Assertions   []Assertion         `json:"assertions"`
	// Intervals are kept when Config asks for them.
	Intervals []Interval `json:"-"`
}

// Load is the load of the run as a report of its own: for what looks at any load.
func (r *FailoverReport) Load() *Report {
	load := &Report{
		Load: LoadOpen, Started: r.Started, Interrupted: r.Interrupted, Settings: r.Settings, Arms: []ArmReport{r.Arm}, Generator: r.Generator,
		Events: r.Events, Intervals: r.Intervals, Verification: r.Verification, Replicas: r.Replicas, Environment: r.Environment,
		Assertions: r.Assertions, Warnings: r.Warnings,
	}
	if r.Fault.Broker >= 0 {
		load.FaultsBeganMs = &r.Fault.AtMs
	}
	return load
}

// FaultReport is what was done.
type FaultReport struct {
	Kind   string  `json:"kind"`
	Broker int32   `json:"broker"` // -1: it did not come to it
	AtMs   float64 `json:"at_ms"`  // when it began
	TookMs float64 `json:"took_ms"`
}

// RunFailover measures how long partitions take no acks when a leader fails.
// When ctx is cancelled it stops the load, verifies what was sent, and returns a
// report marked interrupted.
func RunFailover(ctx context.Context, c FailoverConfig) (*FailoverReport, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	return onTarget(ctx, c.Target, func(t *target, m *monitor) (*FailoverReport, error) {
		return t.failover(ctx, c, m)
	})
}

func (t *target) failover(ctx context.Context, c FailoverConfig, m *monitor) (*FailoverReport, error) {
	lanes, err := t.newLanes(c.Config)
	if err != nil {
		return nil, err
	}
	l := lanes[0]
	for _, p := range l.producers {
		p.keepJournal()
	}
	report := &FailoverReport{Assertions: []Assertion{}, Settings: c.settings(), Environment: t.describe(ctx), Fault: FaultReport{Kind: c.Fault.Kind, Broker: -1}}
	m.enter(PhaseWarmup, max(c.Warmup, 0))
	warmUp(ctx, lanes, c.Config, m)
	for _, p := range l.producers {
		p.journal.keep(true)
	}
	m.enter(PhaseMeasure, c.Duration)
	report.Started = time.Now().UTC()
	beside := t.observe(ctx)
	f := &failing{target: t, config: c, brokers: report.Environment.Cluster.Brokers, began: time.Now()}
	stop := background(ctx, func(load context.Context) { f.run(ctx, load) })
	recorders, offered := l.run(ctx, c.Duration, 0, m)
	stop()
	l.keep(recorders, offered, 0)
	beside.end()
	closeLanes(lanes)

	summary := &Report{}
	summary.judge(lanes, c.Config)
	report.Intervals = summary.Intervals
	report.Arm, report.Generator, report.Warnings = summary.Arms[0], summary.Generator, summary.Warnings
	f.describe(report, l)
	recovered := f.recover(ctx)
	report.Events = since(report.Started, inOrder(f.events, beside.isr.happened()))
	report.Verification, report.Interrupted = t.conclude(ctx, m, &report.Environment, beside)
	if !t.cfg.SkipVerify && f.err == nil {
		report.Replicas = t.compareReplicas(ctx)
	}
	report.Warnings = append(report.Warnings, t.warnings...)
	if ctx.Err() != nil {
		return report, recovered
	}
	return report, errors.Join(f.err, recovered)
}

// failing inflicts the fault, and watches what the other brokers say of it. All
// fields are set by run, which ends before anybody else reads them.
type failing struct {
	target   *target
	config   FailoverConfig
	brokers  []BrokerEnvironment
	began    time.Time // the load
	before   topicState
	victim   int32
	at, done time.Time // the fault; zero: it did not come to it
	views    []*view   // of the other brokers
	events   []happened
	err      error
}

// call has the driver do something to the victim, for a limited time.
func (f *failing) call(ctx context.Context, verb string) FaultResult {
	ctx, cancel := context.WithTimeout(ctx, faultLimit)
	defer cancel()
	return f.config.Fault.Driver(ctx, FaultCall{Verb: verb, Victim: f.named()})
}

// run waits for the time of the fault and inflicts it. It returns when load does,
// or when ctx is cancelled before.
func (f *failing) run(ctx, load context.Context) {
	f.victim = -1
	timer := time.NewTimer(f.config.FaultAt - time.Since(f.began))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	case <-load.Done():
		return
	}
	if f.before, f.err = f.target.inSync(ctx); f.err != nil {
		f.err = fmt.Errorf("find the leader to fail: %w", f.err)
		return
	}
	f.victim = f.before[0].Leader
	for _, b := range f.target.others(ctx, f.victim) {
		v := newView(b, f.victim)
		f.views = append(f.views, v)
		defer background(ctx, func(ctx context.Context) { v.watch(ctx, f.target) })()
	}
	f.at = time.Now()
	f.target.cfg.Logger.Info("inflicting", slog.String("fault", f.config.Fault.Kind), slog.Int("broker", int(f.victim)))
	result := f.call(ctx, f.config.Fault.Kind)
	f.done = time.Now()
	f.events = append(f.events, happened{
		at: f.at, Event: result.event(fmt.Sprintf("%s of broker %d, the leader of partition 0", f.config.Fault.Kind, f.victim)),
	})
	if result.Err != nil {
		f.err = fmt.Errorf("%s broker %d: %w", f.config.Fault.Kind, f.victim, result.Err)
		return
	}
	<-load.Done()
}

// named returns the victim with all that is known of it.
func (f *failing) named() Victim {
	return Victim{Broker: f.victim, Address: addressOf(f.brokers, f.victim), Topic: f.target.topic, Leader: f.victim}
}

// recoverLimit bounds the return of a broker and of its replicas.
const recoverLimit = time.Minute

// recover undoes the fault and waits until every replica is in sync again.
func (f *failing) recover(ctx context.Context) error {
	if f.at.IsZero() || f.err != nil {
		return nil
	}
	ctx, cancel := grace(ctx, recoverLimit, readGrace)
	defer cancel()
	if f.config.Fault.Undo == "" {
		return nil
	}
	at := time.Now()
	result := f.call(ctx, f.config.Fault.Undo)
	f.events = append(f.events, happened{at: at, Event: result.event(fmt.Sprintf("%s of broker %d, after the load", f.config.Fault.Undo, f.victim))})
	if result.Err != nil {
		return fmt.Errorf("recover broker %d from %s: %w", f.victim, f.config.Fault.Kind, result.Err)
	}
	if f.target.cfg.SkipVerify {
		return nil
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if state, err := f.target.inSync(ctx); err == nil && state.full() {
			return nil
		}
		select {
		case <-ctx.Done():
			f.target.warn("broker %d is not back in sync after %s", f.victim, recoverLimit)
			return nil
		case <-tick.C:
		}
	}
}
