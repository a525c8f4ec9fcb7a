package bench

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// stageNames are the stages in interval logs.
var stageNames = [stageCount]string{"client", "net", "queue", "append", "fsync", "follower", "respond"}

// StageInterval is one stage of the records of one arm that came due in one
// second, in nanoseconds.
type StageInterval struct {
	Acks  Arm
	Stage string
	Start time.Time
	Times *hdrhistogram.PackedHistogram
}

// stageLog keeps the stages of each second. The zero value keeps nothing.
type stageLog struct {
	keep    bool
	seconds map[int64]*[stageCount]*hdrhistogram.PackedHistogram // by Unix time
}

// add keeps one record's way. Without traces all but the client's own stages are
// unknown.
func (l *stageLog) add(due time.Time, w way, traced bool) {
	if !l.keep {
		return
	}
	at := l.seconds[due.Unix()]
	if at == nil {
		at = &[stageCount]*hdrhistogram.PackedHistogram{}
		for i := range at {
			at[i] = hdrhistogram.NewPacked(1, int64(histogramMax), histogramDigits)
		}
		if l.seconds == nil {
			l.seconds = map[int64]*[stageCount]*hdrhistogram.PackedHistogram{}
		}
		l.seconds[due.Unix()] = at
	}
	for i, d := range w.stages {
		if traced || stage(i) <= stageNet {
			_ = at[i].RecordValue(int64(max(d, 0))) // beyond ten minutes: the response time says so
		}
	}
}

func (l *stageLog) intervals(arm Arm) []StageInterval {
	var all []StageInterval
	for _, second := range slices.Sorted(maps.Keys(l.seconds)) {
		for i, h := range l.seconds[second] {
			if h.TotalCount() > 0 {
				h.Compact()
				all = append(all, StageInterval{Acks: arm, Stage: stageNames[i], Start: time.Unix(second, 0), Times: h})
			}
		}
	}
	return all
}

// WriteStageLog writes the stages of each second as a HdrHistogram interval log,
// in nanoseconds, tagged with acks and stage: "all/fsync".
func (r *Report) WriteStageLog(w io.Writer) error {
	sorted := slices.Clone(r.StageIntervals)
	slices.SortStableFunc(sorted, func(a, b StageInterval) int { return a.Start.Compare(b.Start) })
	log := hdrhistogram.NewHistogramLogWriter(w)
	if err := log.OutputComment("[chronik bench, stages of response times in nanoseconds, tagged with acks/stage]"); err != nil {
		return err
	}
	base := r.Started.Truncate(time.Second).UnixMilli()
	if len(sorted) > 0 {
		base = min(base, sorted[0].Start.UnixMilli())
	}
	log.SetBaseTime(base)
	if err := cmp.Or(log.OutputLogFormatVersion(), log.OutputStartTime(base), log.OutputBaseTime(base), log.OutputLegend()); err != nil {
		return err
	}
	for _, s := range sorted {
		s.Times.SetTag(fmt.Sprintf("%s/%s", s.Acks, s.Stage))
		s.Times.SetStartTimeMs(s.Start.UnixMilli())
		s.Times.SetEndTimeMs(s.Start.Add(time.Second).UnixMilli())
		if err := log.OutputIntervalPackedHistogram(s.Times); err != nil {
			return err
		}
	}
	return nil
}
