package bench

import (
	"context"
	"sync"
	"time"
)

// ProgressInterval is how often Target.OnProgress is called.
const ProgressInterval = 250 * time.Millisecond

// Phase is what a run is doing.
type Phase string

// The phases of a run, in order.
const (
	PhasePrepare Phase = "prepare" // topic, clients
	PhaseFill    Phase = "fill"    // a topic, to be read
	PhaseWarmup  Phase = "warm-up" // load that is not measured
	PhaseMeasure Phase = "measure"
	PhaseVerify  Phase = "verify" // reading back
	PhaseClean   Phase = "clean"  // deleting the topic
)

// Progress is a look at a run under way.
type Progress struct {
	Phase   Phase
	Arm     Arm           // of the block under way; empty outside of blocks
	Elapsed time.Duration // in this phase
	Total   time.Duration // planned for this phase; 0 when nobody knows
	Offered int64         // records of this phase
	Acked   int64
	Failed  int64
	// Rate is the step's, in a sweep or search; 0 otherwise.
	Rate float64
	// Read and ToRead count records of PhaseVerify.
	Read, ToRead int64
	// P99 is the response time's, of the block under way; 0 when unknown.
	P99 time.Duration
}

// monitor collects what Progress shows. Its method watch runs beside the
// benchmark; all others are called by the benchmark.
type monitor struct {
	mu      sync.Mutex
	phase   Phase         // guarded by mu
	began   time.Time     // guarded by mu; of the phase
	total   time.Duration // guarded by mu
	arm     Arm           // guarded by mu
	current []*recorder   // guarded by mu; of the block under way
	past    tally         // guarded by mu; of this phase's earlier blocks
	read    int64         // guarded by mu
	toRead  int64         // guarded by mu
}

func newMonitor() *monitor { return &monitor{phase: PhasePrepare, began: time.Now()} }

// enter starts a phase.
func (m *monitor) enter(p Phase, total time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.phase, m.began, m.total = p, time.Now(), total
	m.arm, m.current, m.past = "", nil, tally{}
}

// block starts a block of the phase.
func (m *monitor) block(arm Arm, recorders []*recorder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past = m.sum()
	m.arm, m.current = arm, recorders
}

// reading says how many records have been read back, of how many.
func (m *monitor) reading(read, toRead int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read, m.toRead = read, toRead
}

// sum is called with mu held. Recorders never call back, so that taking their
// locks here is safe.
func (m *monitor) sum() tally {
	t := m.past
	for _, rec := range m.current {
		now := rec.tally()
		t.Offered += now.Offered
		t.Acked += now.Acked
		t.Failed += now.Failed
	}
	return t
}

func (m *monitor) progress() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.sum()
	p := Progress{
		Phase: m.phase, Arm: m.arm, Elapsed: time.Since(m.began), Total: m.total,
		Offered: t.Offered, Acked: t.Acked, Failed: t.Failed, Read: m.read, ToRead: m.toRead,
	}
	for _, rec := range m.current {
		if d, ok := rec.p99(); ok {
			p.P99 = max(p.P99, d)
		}
	}
	return p
}

// watch calls show until ctx ends.
func (m *monitor) watch(ctx context.Context, show func(Progress)) {
	tick := time.NewTicker(ProgressInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			show(m.progress())
		}
	}
}
