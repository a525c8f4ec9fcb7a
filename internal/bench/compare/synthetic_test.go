package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/chronik-project/chronik/internal/bench"
)

// model makes runs whose seconds depend on each other, as those of brokers do:
// a level that drifts, and a tail.
type model struct {
	seconds, perSecond int
	faster             float64 // multiplies every time; 0 is 1
	drift              float64 // of the level from second to second
	ofRun              float64 // how much runs differ
}

func (m model) run(seed uint64, arms ...bench.Arm) Run {
	rng := rand.New(rand.NewPCG(seed, 7))
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	report := &bench.Report{Load: bench.LoadOpen, Started: start, Generator: bench.Generator{Valid: true}}
	factor := m.faster
	if factor == 0 {
		factor = 1
	}
	factor *= math.Exp(m.ofRun * rng.NormFloat64())
	for _, arm := range arms {
		level := 0.0
		report.Arms = append(report.Arms, bench.ArmReport{Acks: arm, Valid: true, Offered: int64(m.seconds * m.perSecond)})
		for i := range m.seconds {
			level = 0.7*level + m.drift*rng.NormFloat64()
			h := hdrhistogram.NewPacked(1, int64(10*time.Minute), 3)
			for range m.perSecond {
				ms := math.Exp(level+0.4*rng.NormFloat64()) + 3*rng.ExpFloat64()*float64(rng.IntN(20)/19)
				if err := h.RecordValue(int64(ms * factor * float64(time.Millisecond))); err != nil {
					panic(err)
				}
			}
			report.Intervals = append(report.Intervals, bench.Interval{
				Acks: arm, Start: start.Add(time.Duration(i) * time.Second), End: start.Add(time.Duration(i+1) * time.Second), Response: h,
			})
		}
	}
	return Run{Dir: fmt.Sprintf("run-%d", seed), Report: report}
}

// side makes runs of consecutive seeds.
func (m model) side(name string, runs int, seed uint64, arms ...bench.Arm) Side {
	s := Side{Name: name}
	for i := range runs {
		s.Runs = append(s.Runs, m.run(seed+uint64(i), arms...))
	}
	return s
}
