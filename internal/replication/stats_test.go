package replication

import (
	"math"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var s samples
	if s.quantile(0.5) != nil {
		t.Error("a quantile of nothing is known")
	}
	for i := range 1000 { // only the newest count: 744 to 999
		s.add(time.Duration(i) * time.Microsecond)
	}
	if p50, p99 := *s.quantile(0.5), *s.quantile(0.99); p50 != 744+128 || p99 != 744+253 {
		t.Errorf("p50 = %d, p99 = %d", p50, p99)
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	var r rate
	now := epochStart
	total := int64(5000)
	r.step(total, now)
	for range 60 {
		now = now.Add(500 * time.Millisecond)
		total += 500
		r.step(total, now)
	}
	if math.Abs(r.perSecond-1000) > 1 {
		t.Errorf("rate = %.1f, want 1000", r.perSecond)
	}
	r.step(total, now.Add(time.Minute))
	if r.perSecond > 1 {
		t.Errorf("after a minute of silence: %.1f", r.perSecond)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	unlimited := pace{}
	if d := unlimited.delay(1<<30, epochStart); d != 0 {
		t.Errorf("without a limit: wait %v", d)
	}
	p := pace{bytesPerSecond: 1 << 20}
	now := epochStart
	sent := 0
	for sent < 10<<20 {
		now = now.Add(p.delay(64<<10, now))
		sent += 64 << 10
	}
	if took := now.Sub(epochStart); took < 9800*time.Millisecond || took > 10*time.Second {
		t.Errorf("10 MiB at 1 MiB a second took %v", took)
	}
}
