package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// FaultPhase is where a record lies in a run with faults.
type FaultPhase int

// The phases.
const (
	// BeforeFault is what was answered before the first fault began.
	BeforeFault FaultPhase = iota
	// DuringFault is what was not, and was due before everything was undone and
	// every replica was in sync again.
	DuringFault
	// AfterFault is what was due after that.
	AfterFault
	faultPhases
)

var faultPhaseNames = [faultPhases]string{"before", "during", "after"}

// faultClock tells the phases of records apart. Nil: there are none.
type faultClock struct {
	origin       time.Time
	began, ended atomic.Int64 // nanoseconds since origin; 0: not yet
}

func newFaultClock() *faultClock { return &faultClock{origin: time.Now()} }

func (c *faultClock) begin(at time.Time) { c.began.CompareAndSwap(0, int64(at.Sub(c.origin))) }

func (c *faultClock) end(at time.Time) { c.ended.Store(int64(at.Sub(c.origin))) }

// span returns when the faults began and ended; zero times for what did not
// happen.
func (c *faultClock) span() (began, ended time.Time) {
	if d := c.began.Load(); d > 0 {
		began = c.origin.Add(time.Duration(d))
	}
	if d := c.ended.Load(); d > 0 {
		ended = c.origin.Add(time.Duration(d))
	}
	return began, ended
}

// phase is that of a record which was due then and answered now.
func (c *faultClock) phase(due, now time.Time) FaultPhase {
	began, ended := c.span()
	switch {
	case began.IsZero() || now.Before(began):
		return BeforeFault
	case !ended.IsZero() && due.After(ended):
		return AfterFault
	default:
		return DuringFault
	}
}

// split is the response times of one arm by phase. The zero value splits nothing.
type split struct {
	clock *faultClock
	parts [faultPhases]*splitPart
}

type splitPart struct {
	response *histogram
	failed   int64
}

func newSplit(clock *faultClock) split {
	s := split{clock: clock}
	if clock == nil {
		return s
	}
	for i := range s.parts {
		s.parts[i] = &splitPart{response: newHistogram()}
	}
	return s
}

func (s *split) succeeded(due, now time.Time) {
	if s.clock != nil {
		s.parts[s.clock.phase(due, now)].response.record(now.Sub(due))
	}
}

func (s *split) failed(due, now time.Time) {
	if s.clock != nil {
		s.parts[s.clock.phase(due, now)].failed++
	}
}

func (s *split) merge(from *split) {
	if from.clock == nil {
		return
	}
	if s.clock == nil {
		*s = newSplit(from.clock)
	}
	for i := range s.parts {
		s.parts[i].response.merge(from.parts[i].response)
		s.parts[i].failed += from.parts[i].failed
	}
}

// FaultPhaseReport is what one arm took in one phase.
type FaultPhaseReport struct {
	Acks     Arm       `json:"acks"`
	Phase    string    `json:"phase"` // before, during or after the faults
	Response Quantiles `json:"response_us"`
	Errors   int64     `json:"errors"`
}

func (s *split) report(arm Arm) []FaultPhaseReport {
	var reports []FaultPhaseReport
	if s.clock == nil {
		return nil
	}
	for i, p := range s.parts {
		reports = append(reports, FaultPhaseReport{Acks: arm, Phase: faultPhaseNames[i], Response: p.response.quantiles(), Errors: p.failed})
	}
	return reports
}

// gapMeter measures, for each partition, the longest time without an ack since
// the last fault began. Nil measures nothing.
type gapMeter struct {
	mu      sync.Mutex
	last    map[int32]time.Time // guarded by mu; the last ack
	longest map[int32]gap       // guarded by mu; since the fault
	open    bool                // guarded by mu; there was a fault
}

// gap is a time without an ack. It never ended if to is zero.
type gap struct {
	length time.Duration
	to     time.Time
}

func newGapMeter(partitions int32, now time.Time) *gapMeter {
	m := &gapMeter{last: map[int32]time.Time{}, longest: map[int32]gap{}}
	for p := range partitions {
		m.last[p] = now
	}
	return m
}

func (m *gapMeter) acked(partition int32, now time.Time) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.last[partition]
	if known && m.open && now.Sub(last) > m.longest[partition].length {
		m.longest[partition] = gap{length: now.Sub(last), to: now}
	}
	if now.After(last) {
		m.last[partition] = now
	}
}

// pass leaves out a time in which no ack was asked for.
func (m *gapMeter) pass(d time.Duration) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, last := range m.last {
		m.last[p] = last.Add(d)
	}
}

// mark begins to look for gaps, and forgets those that were found.
func (m *gapMeter) mark() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = true
	m.longest = map[int32]gap{}
}

// worst returns the longest gap since mark, counting those that go on.
func (m *gapMeter) worst(now time.Time) (partition int32, worst gap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	partition = -1
	for p, last := range m.last {
		g := m.longest[p]
		if rest := now.Sub(last); rest > g.length {
			g = gap{length: rest}
		}
		if partition < 0 || g.length > worst.length || (g.length == worst.length && p < partition) {
			partition, worst = p, g
		}
	}
	return partition, worst
}
