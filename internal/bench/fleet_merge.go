package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ErrWorkerLost is beside the report of a run that lacks a worker's share.
var ErrWorkerLost = errors.New("a worker was lost")

// maxWorkers bounds the load machines of a run.
const maxWorkers = 64

// RunWorkers is Run with the load shared by the workers that listen at these
// addresses. Their histograms are merged, never averaged.
func RunWorkers(ctx context.Context, c Config, addresses []string) (*Report, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	if len(addresses) > maxWorkers || c.ClosedLoop {
		return nil, fmt.Errorf("%w: %d workers in a closed loop: %t; want at most %d, and an open loop", ErrConfig, len(addresses), c.ClosedLoop, maxWorkers)
	}
	return onTarget(ctx, c.Target, func(t *target, m *monitor) (*Report, error) {
		return t.fleet(ctx, c, addresses, m)
	})
}

func (t *target) fleet(ctx context.Context, c Config, addresses []string, m *monitor) (*Report, error) {
	report := &Report{Load: LoadOpen, Environment: t.describe(ctx), Settings: c.settings(), Assertions: []Assertion{}, Stages: []StageReport{}}
	report.StagesNotes = []string{"where the time goes is not told with several workers"}
	members, err := joinAll(ctx, addresses, c.Version, orUnknown(report.Environment.Cluster.ID))
	defer closeMembers(members)
	if err != nil {
		return nil, err
	}
	m.enter(PhaseMeasure, 0)
	report.Started = time.Now().UTC()
	beside := t.observe(ctx)
	for i, w := range members {
		if err := w.link.send(message{Kind: sayPlan, Plan: c.planFor(t.topic, i, len(members))}); err != nil {
			beside.end()
			return nil, fmt.Errorf("worker %s: %w", w.address, err)
		}
	}
	listenTo(ctx, members)
	beside.end()

	err = report.merge(members, c)
	report.Events = since(report.Started, beside.isr.happened())
	t.describeEnd(ctx, &report.Environment, beside)
	report.Interrupted = ctx.Err() != nil
	report.Warnings = append(report.Warnings, t.warnings...)
	return report, err
}

func joinAll(ctx context.Context, addresses []string, version, cluster string) ([]*member, error) {
	var members []*member
	for _, address := range addresses {
		w, err := join(ctx, address, version, cluster)
		if err != nil {
			return members, err
		}
		members = append(members, w)
	}
	return members, nil
}

func closeMembers(members []*member) {
	for _, w := range members {
		_ = w.link.conn.Close()
	}
}

// listenTo conducts the members, each of which has a goroutine that hears it.
func listenTo(ctx context.Context, members []*member) {
	hearing, stop := context.WithCancel(context.WithoutCancel(ctx))
	heard := make(chan said)
	var listeners sync.WaitGroup
	for _, w := range members {
		listeners.Go(func() { w.hear(hearing, heard) })
	}
	conduct(ctx, members, heard)
	stop()
	listeners.Wait()
}

// merge puts the members' results together as if one machine had measured them.
func (r *Report) merge(members []*member, c Config) error {
	lanes := make([]*lane, len(c.Arms))
	for i, arm := range c.Arms {
		lanes[i] = &lane{arm: arm, total: newRecorder()}
	}
	var errs []error
	r.Verification = &Verification{OK: true, Complete: true, Arms: map[string]Counts{}, Problems: []Problem{}}
	r.Warmup.ErrorsByCode, r.Warmup.Windows, r.Blocks = map[string]int64{}, []WarmupWindow{}, []BlockReport{}
	for _, w := range members {
		err := w.lost
		if err == nil {
			err = r.add(w, lanes)
		}
		one := WorkerReport{
			Address: w.address, Version: w.version, RTTMicros: *micros(w.rtt), ClockMicros: *micros(w.rtt / 2),
		}
		if err != nil {
			text := err.Error()
			one.Lost = &text
			errs = append(errs, fmt.Errorf("%w: %s: %w", ErrWorkerLost, w.address, err))
		} else {
			one.Lateness, one.Valid = w.lateness(), w.result.Report.Generator.Valid
		}
		r.Workers = append(r.Workers, one)
	}
	if c.SkipVerify {
		r.Verification = nil
	} else if len(errs) > 0 {
		r.Verification.OK, r.Verification.Complete, r.Verification.Reason = false, false, errs[0].Error()
	}
	r.judge(lanes, c)
	for i := range r.Intervals { // by the clock here, as the events
		if i == 0 || r.Intervals[i].Start.Before(r.Started) {
			r.Started = r.Intervals[i].Start.UTC()
		}
	}
	for i := range r.Arms {
		r.Arms[i].MeasuredMillis = lanes[i].measured.Milliseconds()
	}
	for _, w := range r.Workers {
		if w.Lost == nil && w.Valid {
			continue
		}
		why := "worker " + w.Address + ": its generator was late"
		if w.Lost != nil {
			why = "worker " + w.Address + " was lost: " + *w.Lost
		}
		r.Generator.Valid, r.Generator.Reason = false, &why
		r.warn("INVALID run: %s", why)
	}
	return errors.Join(errs...)
}

// lateness is that of all arms.
func (w *member) lateness() Quantiles {
	total := newHistogram()
	for _, arm := range w.result.Arms {
		_ = arm.Histograms[3].decodeInto(total) // decoded before
	}
	return total.quantiles()
}

// add adds what one member found.
func (r *Report) add(w *member, lanes []*lane) error {
	result := w.result
	if result == nil || result.Report == nil || len(result.Arms) != len(lanes) || len(result.Report.Arms) != len(lanes) {
		return fmt.Errorf("%w: its result has other arms", ErrProtocol)
	}
	for i, l := range lanes {
		if err := result.Arms[i].addTo(l, result.Report.Arms[i]); err != nil {
			return err
		}
	}
	r.addWarmup(result.Report.Warmup)
	r.addBlocks(result.Report.Blocks)
	if v := result.Report.Verification; v != nil {
		r.Verification.join(v)
	}
	return r.addIntervals(w)
}

func (a armResult) addTo(l *lane, report ArmReport) error {
	for i, h := range l.total.histograms() {
		if err := a.Histograms[i].decodeInto(h); err != nil {
			return err
		}
	}
	l.total.offered += report.Offered
	l.total.failed += report.Errors
	l.total.acked += report.Response.Count
	for name, n := range report.ErrorsByCode {
		l.total.errors[name] += n
	}
	l.total.pacing = a.Pacing
	l.measured, l.answered = max(l.measured, a.Measured), max(l.answered, a.Answered)
	return nil
}

func (r *Report) addWarmup(w WarmupReport) {
	r.Warmup.Millis = max(r.Warmup.Millis, w.Millis)
	r.Warmup.Records += w.Records
	r.Warmup.Errors += w.Errors
	r.Warmup.WindowMillis = w.WindowMillis
	for name, n := range w.ErrorsByCode {
		r.Warmup.ErrorsByCode[name] += n
	}
	if w.Converged != nil && (r.Warmup.Converged == nil || !*w.Converged) {
		r.Warmup.Converged = w.Converged
	}
}

// addBlocks adds the counts of the same turns. Their quantiles cannot be added:
// the intervals have them.
func (r *Report) addBlocks(blocks []BlockReport) {
	for i, b := range blocks {
		b.P50, b.P99, b.Max = nil, nil, nil
		if i >= len(r.Blocks) {
			r.Blocks = append(r.Blocks, b)
			continue
		}
		r.Blocks[i].Offered += b.Offered
		r.Blocks[i].Acked += b.Acked
		r.Blocks[i].Errors += b.Errors
	}
}

// join adds what another machine verified of its own records.
func (v *Verification) join(o *Verification) {
	v.add(o.Counts)
	v.OK, v.Complete = v.OK && o.OK, v.Complete && o.Complete
	if v.Reason == "" {
		v.Reason = o.Reason
	}
	for name, counts := range o.Arms {
		sum := v.Arms[name]
		sum.add(counts)
		v.Arms[name] = sum
	}
	v.Problems = append(v.Problems, o.Problems[:min(len(o.Problems), maxProblems-len(v.Problems))]...)
}

// addIntervals merges intervals that began together, to a millisecond: what the
// clocks differ by after they were compared.
func (r *Report) addIntervals(w *member) error {
	for _, wire := range w.result.Intervals {
		start := w.ours(wire.Start).Round(time.Millisecond)
		into := r.intervalAt(wire.Acks, start, w.ours(wire.End))
		for i, k := range Kinds() {
			h, err := hdrhistogram.Decode(wire.HDR[i])
			if err != nil {
				return fmt.Errorf("%w: %w", ErrProtocol, err)
			}
			if dropped := into.of(k).MergeFrom(h); dropped > 0 {
				return fmt.Errorf("%w: %d times are longer than %s", ErrProtocol, dropped, histogramMax)
			}
		}
	}
	return nil
}

func (r *Report) intervalAt(arm Arm, start, end time.Time) *Interval {
	for i := range r.Intervals {
		if iv := &r.Intervals[i]; iv.Acks == arm && start.Sub(iv.Start).Abs() <= time.Millisecond {
			return iv
		}
	}
	iv := newInterval(start, end)
	iv.Acks = arm
	r.Intervals = append(r.Intervals, *iv)
	return &r.Intervals[len(r.Intervals)-1]
}

// pack makes a worker's report fit for a message.
func pack(report *Report, lanes []*lane, base time.Time) (*workResult, error) {
	result := &workResult{Report: report, Intervals: []intervalWire{}}
	for _, l := range lanes {
		arm := armResult{Measured: l.measured, Answered: l.answered, Pacing: l.total.pacing}
		for i, h := range l.total.histograms() {
			wire, err := encodeHistogram(h)
			if err != nil {
				return nil, err
			}
			arm.Histograms[i] = wire
		}
		result.Arms = append(result.Arms, arm)
	}
	for i := range report.Intervals {
		iv := &report.Intervals[i]
		wire := intervalWire{Acks: iv.Acks, Start: iv.Start.Sub(base).Nanoseconds(), End: iv.End.Sub(base).Nanoseconds()}
		for j, k := range Kinds() {
			total := hdrhistogram.New(1, int64(histogramMax), histogramDigits)
			iv.of(k).MergeInto(total)
			p, err := total.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
			if err != nil {
				return nil, err
			}
			wire.HDR[j] = p
		}
		result.Intervals = append(result.Intervals, wire)
	}
	return result, nil
}
