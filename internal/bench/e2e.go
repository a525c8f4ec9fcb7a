package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// LatencyOfConsumption is the end of a response time that counts until a
// consumer has the record.
const LatencyOfConsumption = "consumed"

// E2EConfig is one run from produce to consume. It has one arm, acks=all unless
// Config says otherwise, and an open loop.
type E2EConfig struct {
	Config
	Fetch Fetching
}

func (c E2EConfig) withDefaults() E2EConfig {
	if len(c.Arms) == 0 {
		c.Arms = []Arm{AcksAll}
	}
	c.Config = c.Config.withDefaults()
	c.Fetch = c.Fetch.withDefaults()
	return c
}

func (c E2EConfig) validate() error {
	if err := c.Config.validate(); err != nil {
		return err
	}
	if len(c.Arms) != 1 || c.ClosedLoop {
		return fmt.Errorf("%w: from produce to consume is an open loop with one acks setting", ErrConfig)
	}
	return c.Fetch.validate()
}

// E2EReport is what RunE2E found. Its one arm's response time is from the time
// that a record was due until the consumer had it, and its service time from
// the send until then; a record that failed or was not consumed is an error.
type E2EReport struct {
	Report
	// Ack is the same load as its producer saw it: until the ack.
	Ack ArmReport `json:"ack"`
	// AckToConsumed is from the ack until the consumer had the record; 0 where
	// the consumer was first.
	AckToConsumed Quantiles `json:"ack_to_consumed_us"`
	Fetch         Fetching  `json:"fetch"`

	// AckIntervals and AfterAckIntervals are kept when Config asks for intervals;
	// only the Response of the latter means something.
	AckIntervals      []Interval `json:"-"`
	AfterAckIntervals []Interval `json:"-"`
}

// RunE2E measures from produce to consume, by one clock: producer and consumer
// are in this process. Cancelling ctx and the error beside a report mean the
// same as with Run.
func RunE2E(ctx context.Context, c E2EConfig) (*E2EReport, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	return onTarget(ctx, c.Target, func(t *target, m *monitor) (*E2EReport, error) {
		return t.endToEnd(ctx, c, m)
	})
}

func (t *target) endToEnd(ctx context.Context, c E2EConfig, m *monitor) (*E2EReport, error) {
	lanes, err := t.newLanes(c.Config)
	if err != nil {
		return nil, err
	}
	l := lanes[0]
	consumer, err := t.follow(ctx, l, c.Fetch)
	if err != nil {
		l.close()
		return nil, err
	}
	defer consumer.close()
	report := &E2EReport{Fetch: c.Fetch, Report: Report{
		Load: LoadOpen, Environment: t.describe(ctx), Settings: c.settings(), Assertions: []Assertion{},
	}}
	explain := t.newExplainer(ctx, c.Config, lanes)
	m.enter(PhaseWarmup, max(c.Warmup, 0))
	report.Warmup = warmUp(ctx, lanes, c.Config, m)

	turns := c.turns(c.Duration)
	report.Started = time.Now().UTC()
	c.Logger.Info("measuring", slog.String("topic", t.topic))
	m.enter(PhaseMeasure, turns.total(c.Config))
	beside := t.observe(ctx)
	explain.forget(ctx)
	measure(ctx, lanes, c.Config, turns, m, explain)
	consumed, afterAck := consumer.drain(ctx)
	beside.end()
	report.Events = since(report.Started, beside.isr.happened())
	report.Stages, report.StagesNotes = explain.report(lanes)
	l.close()

	report.arrivals(l, consumed, afterAck, c.Config)
	if why := report.Warmup.warning(c.WarmupMax); why != "" && ctx.Err() == nil {
		t.warn("%s", why)
	}
	t.describeEnd(ctx, &report.Environment, beside)
	if !c.SkipVerify {
		m.enter(PhaseVerify, 0)
		report.Verification = consumer.verify(ctx, m)
	}
	report.Interrupted = ctx.Err() != nil
	report.Warnings = append(report.Warnings, t.warnings...)
	return report, nil
}

// arrivals fills in what the consumer saw, as one more lane beside that of the
// acks: the same load with another end.
func (r *E2EReport) arrivals(acks *lane, consumed, afterAck []*recorder, c Config) {
	end := &lane{arm: acks.arm, total: newRecorder(), fine: acks.fine, began: acks.began}
	r.Blocks = []BlockReport{end.keep(consumed, acks.measured, 0)}
	end.total.pacing = acks.total.pacing
	r.judge([]*lane{end}, c)
	r.Arms[0].LatencyOf = LatencyOfConsumption
	r.Ack, _ = acks.report(c)
	if acks.arm.Acknowledged() {
		r.Arms[0].Acked = r.Ack.Acked
	}
	r.AckIntervals = acks.intervals

	beyond := &lane{arm: acks.arm, total: newRecorder(), fine: acks.fine, began: acks.began}
	beyond.keep(afterAck, acks.measured, 0)
	r.AckToConsumed = beyond.total.response.quantiles()
	r.AfterAckIntervals = beyond.intervals
}

// Hop is a part of the way, of which an E2EReport has times beside those of the
// whole.
type Hop string

// The hops.
const (
	HopAck      Hop = "ack"
	HopAfterAck Hop = "ack-to-consumed"
)

// Hops lists them.
func Hops() []Hop { return []Hop{HopAck, HopAfterAck} }

// WriteHopLog is WriteLog for a part of the way.
func (r *E2EReport) WriteHopLog(w io.Writer, h Hop) error {
	part := Report{Started: r.Started, Intervals: r.AckIntervals}
	if h == HopAfterAck {
		part.Intervals = r.AfterAckIntervals
	}
	return part.WriteLog(w, KindResponse)
}
