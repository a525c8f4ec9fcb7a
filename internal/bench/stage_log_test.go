package bench

import (
	"bytes"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func TestStagesAreLogged(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	var w way
	for i := range w.stages {
		w.stages[i] = time.Duration(i+1) * time.Millisecond
	}
	traced, client := stageLog{keep: true}, stageLog{keep: true}
	for i := range 4 { // two seconds of two
		traced.add(start.Add(time.Duration(i)*500*time.Millisecond), w, true)
	}
	client.add(start, w, false)
	var off stageLog
	off.add(start, w, true)
	r := &Report{Started: start, StageIntervals: append(traced.intervals(AcksAll), client.intervals(AcksLeader)...)}
	if n := len(off.intervals(AcksAll)); n != 0 || len(r.StageIntervals) != 2*int(stageCount)+2 {
		t.Fatalf("%d intervals, and %d that nobody asked for", len(r.StageIntervals), n)
	}
	var buf bytes.Buffer
	if err := r.WriteStageLog(&buf); err != nil {
		t.Fatal(err)
	}
	log := hdrhistogram.NewHistogramLogReader(&buf)
	found := map[string]int64{}
	for {
		h, err := log.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		found[h.Tag()] += h.TotalCount()
		if at := h.Max(); h.Tag() == "all/fsync" && (at < 4_990_000 || at > 5_010_000) {
			t.Errorf("fsync took %d ns, want 5 ms", at)
		}
	}
	if found["all/fsync"] != 4 || found["1/net"] != 1 || found["1/fsync"] != 0 || len(found) != int(stageCount)+2 {
		t.Errorf("found %v", found)
	}
}
