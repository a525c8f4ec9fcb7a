package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A warm-up is over when the median ack time of every arm has agreed with
// itself for a while: caches are filled, connections and files are there, a
// virtual machine has compiled what it will.
const (
	agreeingWindows = 3
	// windowTolerance is how much the largest median of the windows that agree may
	// exceed the smallest; differences below windowFloor are never too large.
	windowTolerance = 0.25
	windowFloor     = 50 * time.Microsecond
	maxWindow       = time.Second
)

// WarmupReport is the load before the measurement, none of which is in any
// other number but the verification's.
type WarmupReport struct {
	Millis       int64            `json:"ms"`
	Records      int64            `json:"records"`
	Errors       int64            `json:"errors"`
	ErrorsByCode map[string]int64 `json:"errors_by_code"`
	// Converged is that the last windows of every arm with acks agreed; nil when
	// nothing was to be warmed up.
	Converged *bool `json:"converged"`
	// WindowMillis is how long one window of one arm was.
	WindowMillis int64 `json:"window_ms"`
	// Windows are in the order they ran.
	Windows []WarmupWindow `json:"windows"`
}

// WarmupWindow is one turn of one arm in the warm-up.
type WarmupWindow struct {
	Acks    Arm      `json:"acks"`
	Records int64    `json:"records"`
	P50     *float64 `json:"p50_us"`
	P99     *float64 `json:"p99_us"`
}

// window is how long each arm's turns are while it warms up: the shortest
// warm-up has one more of them than have to agree.
func (c Config) window() time.Duration {
	return min(c.Warmup/time.Duration((agreeingWindows+1)*len(c.Arms)), maxWindow)
}

// warmUp offers load in rounds of short turns: at least for Config.Warmup, and
// on until it has settled, but not beyond Config.WarmupMax.
func warmUp(ctx context.Context, lanes []*lane, c Config, m *monitor) WarmupReport {
	report := WarmupReport{ErrorsByCode: map[string]int64{}, Windows: []WarmupWindow{}}
	length := c.window()
	if length <= 0 {
		return report
	}
	report.WindowMillis = length.Milliseconds()
	total := newRecorder()
	medians := make([][]time.Duration, len(lanes)) // of each arm with acks, by window
	round := length * time.Duration(len(lanes))
	converged := false
	// Planned time, not the clock's: a stall must not use the warm-up up.
	for spent := time.Duration(0); ctx.Err() == nil; {
		for i, l := range lanes {
			if ctx.Err() != nil {
				break
			}
			began := time.Now()
			window := l.warm(ctx, length, c.Concurrency, m, total)
			report.Millis += time.Since(began).Milliseconds()
			report.Windows = append(report.Windows, window)
			medians[i] = append(medians[i], medianOf(window))
		}
		spent += round
		converged = allAgree(lanes, medians)
		if c.gate != nil {
			_, converged = c.gate.meet(ctx, converged) // all go on until all have settled
		}
		if spent+round > c.WarmupMax || spent >= c.Warmup && converged {
			break
		}
	}
	t := total.tally()
	report.Records, report.Errors, report.ErrorsByCode, report.Converged = t.Offered, t.Failed, total.failures(), &converged
	return report
}

// warm runs one window of an arm.
func (l *lane) warm(ctx context.Context, length time.Duration, concurrency int, m *monitor, total *recorder) WarmupWindow {
	fine := l.fine
	l.fine = false // what is not measured has no intervals
	recorders, _ := l.run(ctx, length, concurrency, m)
	l.fine = fine
	all := newRecorder()
	for _, rec := range recorders {
		all.merge(rec)
	}
	total.merge(all)
	q := all.response.quantiles()
	return WarmupWindow{Acks: l.arm, Records: all.offered, P50: q.P50, P99: q.P99}
}

// medianOf is a window's median; negative when it has none.
func medianOf(w WarmupWindow) time.Duration {
	if w.P50 == nil {
		return -1
	}
	return time.Duration(*w.P50 * float64(time.Microsecond))
}

// allAgree reports whether every arm whose records are acked has settled. What
// a send takes says nothing about the cluster.
func allAgree(lanes []*lane, medians [][]time.Duration) bool {
	for i, l := range lanes {
		if l.arm.Acknowledged() && !agree(medians[i]) {
			return false
		}
	}
	return true
}

// agree reports whether the last windows of one arm do.
func agree(medians []time.Duration) bool {
	if len(medians) < agreeingWindows {
		return false
	}
	last := medians[len(medians)-agreeingWindows:]
	least, most := slices.Min(last), slices.Max(last)
	if least < 0 {
		return false
	}
	return most-least <= max(windowFloor, time.Duration(windowTolerance*float64(least)))
}

// warning is what to say of a warm-up that has not settled.
func (w WarmupReport) warning(limit time.Duration) string {
	if w.Converged == nil || *w.Converged {
		return ""
	}
	return fmt.Sprintf("not in a steady state: the medians of the last %d windows of the warm-up differ by more than %.0f%% after %s; what is measured may still be warming up",
		agreeingWindows, 100*windowTolerance, limit)
}
