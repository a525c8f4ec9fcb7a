package bench

import (
	"context"
	"errors"
	"slices"
	"time"
)

// settleGaps ends the look for gaps of the current step.
func (f *faultRunner) settleGaps(now time.Time) {
	if f.current < 0 {
		return
	}
	run := &f.runs[f.current]
	partition, worst := f.gaps.worst(now)
	if partition < 0 {
		return
	}
	run.UnavailableMs, run.UnavailablePartition = ptr(ms(worst.length)), &partition
	if !worst.to.IsZero() {
		run.FirstAckMs = ptr(ms(worst.to.Sub(f.at)))
	}
}

// conclude undoes what is left, waits for every replica, reports, and compares
// the replicas.
func (f *faultRunner) conclude(ctx context.Context, report *Report, lanes []*lane) error {
	report.Faults, report.FaultPhases = []FaultRun{}, []FaultPhaseReport{}
	if f == nil {
		return nil
	}
	settle, cancel := grace(ctx, recoverLimit, readGrace)
	defer cancel()
	for _, i := range slices.Backward(slices.Clone(f.open)) {
		f.undo(settle, i)
	}
	report.Faults = f.runs
	for _, l := range lanes {
		report.FaultPhases = append(report.FaultPhases, l.total.parts.report(l.arm)...)
	}
	if began, ended := f.clock.span(); !began.IsZero() {
		report.FaultsBeganMs = ptr(ms(began.Sub(f.began)))
		if !ended.IsZero() {
			report.FaultsEndedMs = ptr(ms(ended.Sub(f.began)))
		}
	}
	if !f.target.cfg.SkipVerify && f.current >= 0 {
		f.awaitAll(settle)
		report.Replicas = f.target.compareReplicas(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(f.errs...)
}

// awaitAll waits until every replica is in sync, or ctx ends.
func (f *faultRunner) awaitAll(ctx context.Context) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if state, err := f.look(ctx); err == nil && state.full() {
			return
		}
		select {
		case <-ctx.Done():
			f.target.warn("not every replica is back in sync %s after the faults", recoverLimit)
			return
		case <-tick.C:
		}
	}
}

// excuse tells what acks=1 lost to a fault from losses: nobody had promised that
// a record is there once its leader fails.
func (r *Report) excuse() {
	v := r.Verification
	if v == nil || r.FaultsBeganMs == nil {
		return
	}
	counts := v.Arms[string(AcksLeader)]
	if counts.Lost == 0 {
		return
	}
	r.warn("acks=1 lost %d records to the faults: it promises nothing once a leader fails", counts.Lost)
	v.Lost -= counts.Lost
	v.LostUnpromised += counts.Lost
	counts.LostUnpromised, counts.Lost = counts.Lost, 0
	v.Arms[string(AcksLeader)] = counts
	v.Problems = slices.DeleteFunc(v.Problems, func(p Problem) bool { return p.Kind == kindLost && p.Acks == string(AcksLeader) })
	v.OK = v.Complete && !v.broken()
}
