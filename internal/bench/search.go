package bench

import (
	"math"
	"strconv"
)

// Bounds of a search.
const (
	maxSearchRate   = 2_000_000.0
	minSearchRate   = 1.0
	searchPrecision = 1.1 // the knee lies between a rate that held and at most this many times that
	maxSearchSteps  = 40
	maxSetbacks     = 3 // times that a rate did not hold again
)

// search looks for the highest rate that holds: it doubles the rate until one
// does not hold, halves the gap, and tries what it found once more, since a
// rate near the knee may hold by luck. It is pure: it says what to try, and is
// told what came of it.
type search struct {
	rate  float64 // to try next
	held  float64 // the highest rate that held; 0: none yet
	broke float64 // the lowest rate that did not; 0: none yet
	// confirming is that rate held before.
	confirming bool
	setbacks   int
	steps      int
	done       bool
	found      bool // with done: held has held twice
}

func newSearch(start float64) *search {
	return &search{rate: min(max(twoDigits(start), minSearchRate), maxSearchRate)}
}

// note takes the outcome of trying s.rate.
func (s *search) note(holds bool) {
	s.steps++
	switch {
	case holds && s.confirming:
		s.done, s.found = true, true
		return
	case holds:
		s.held = s.rate
	case s.confirming:
		s.setbacks++
		s.confirming, s.broke, s.held = false, s.rate, 0
		s.rate = twoDigits(s.rate / searchPrecision)
		s.done = s.setbacks == maxSetbacks || s.rate < minSearchRate
		return
	default:
		s.broke = s.rate
	}
	s.choose()
	s.done = s.done || s.steps >= maxSearchSteps
}

// choose picks the next rate.
func (s *search) choose() {
	var next float64
	switch {
	case s.held == 0:
		next = max(twoDigits(s.broke/2), minSearchRate)
		s.done = next >= s.broke
	case s.broke == 0:
		next = min(twoDigits(2*s.held), maxSearchRate)
	default:
		next = twoDigits(math.Sqrt(s.held * s.broke))
	}
	near := s.held > 0 && (s.broke > 0 && s.broke <= s.held*searchPrecision || next <= s.held || s.broke > 0 && next >= s.broke)
	if s.confirming = near; near {
		next = s.held
	}
	s.rate = next
}

// twoDigits rounds a rate to two digits: more of them would claim a precision
// that no measurement has.
func twoDigits(rate float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(rate, 'g', 2, 64), 64)
	if err != nil {
		return rate // neither a number nor one of this size
	}
	return rounded
}
