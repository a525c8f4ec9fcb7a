package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Arrival is the process that records arrive by.
type Arrival string

// The arrival processes.
const (
	// Uniform spaces records evenly.
	Uniform Arrival = "uniform"
	// Poisson draws independent exponential gaps, as many unrelated clients
	// would cause. Bursts make its tail longer than that of Uniform.
	Poisson Arrival = "poisson"
)

// ParseArrival reads the name of an arrival process.
func ParseArrival(s string) (Arrival, error) {
	switch a := Arrival(s); a {
	case Uniform, Poisson:
		return a, nil
	default:
		return "", fmt.Errorf("%w: unknown arrival %q: want uniform or poisson", ErrConfig, s)
	}
}

// Schedule says when each record is due, as an offset from the start of the
// load. It depends on nothing but its inputs: not on the clock, and never on
// how the cluster behaves.
type Schedule struct {
	gap    float64    // mean gap between arrivals, in nanoseconds
	phase  float64    // offset of the first arrival, in nanoseconds
	random *rand.Rand // nil for Uniform
	n      int64      // arrivals taken, for Uniform
	next   float64    // offset of the next arrival, in nanoseconds
}

// NewSchedule returns the schedule of ratePerSecond arrivals. phase, between 0
// and 1, shifts the arrivals by that share of a gap, so that several producers
// with uniform arrivals interleave.
func NewSchedule(arrival Arrival, ratePerSecond, phase float64, seed uint64) *Schedule {
	s := &Schedule{gap: float64(time.Second) / ratePerSecond}
	if arrival == Poisson {
		s.random = rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
		s.next = s.draw()
		return s
	}
	s.phase = phase * s.gap
	s.next = s.phase
	return s
}

// Peek returns when the next record is due.
func (s *Schedule) Peek() time.Duration { return time.Duration(s.next) }

// Advance takes the next arrival.
func (s *Schedule) Advance() {
	if s.random != nil {
		s.next += s.draw()
		return
	}
	// From the count, so that rounding cannot add up over a long run.
	s.n++
	s.next = s.phase + float64(s.n)*s.gap
}

func (s *Schedule) draw() float64 { return -math.Log(1-s.random.Float64()) * s.gap }
