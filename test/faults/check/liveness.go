package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/chronik-project/chronik/test/faults/history"
)

// void says why a run with so few acknowledgements proves nothing.
func void(r *Report, floor Floor) string {
	none := r.Window == Window{}
	switch {
	case none && floor.During+floor.After > 0:
		return "no fault is in the history"
	case r.Before < floor.Before:
		return fmt.Sprintf("%d acknowledgements before the faults, want at least %d", r.Before, floor.Before)
	case r.During < floor.During:
		return fmt.Sprintf("%d acknowledgements during the faults, want at least %d", r.During, floor.During)
	case r.After < floor.After:
		return fmt.Sprintf("%d acknowledgements after the faults, want at least %d", r.After, floor.After)
	default:
		return ""
	}
}

// liveness checks C11, and measures.
func (c *checker) liveness() {
	c.stall = Stall{Topic: c.topic, Partition: c.index, Recovered: -1, FullISR: -1}
	if len(c.sends) == 0 {
		return
	}
	c.stalls()
	if (c.window == Window{}) {
		return
	}
	c.recovery()
	c.fullISR()
}

// stalls finds the times in which records waited for an acknowledgement and
// none came.
func (c *checker) stalls() {
	var acks []time.Duration
	byEnd := make([]Window, 0, len(c.sends))
	for i := range c.sends {
		s := &c.sends[i]
		byEnd = append(byEnd, s.span())
		if s.outcome == history.OK {
			acks = append(acks, s.end)
		}
	}
	c.stall.Acked = len(acks)
	slices.Sort(acks)
	slices.SortFunc(byEnd, func(a, b Window) int { return cmp.Compare(a.To, b.To) })
	// since[i] is when the first of those that end at i or later began.
	since := make([]time.Duration, len(byEnd))
	for i := len(byEnd) - 1; i >= 0; i-- {
		since[i] = byEnd[i].From
		if i+1 < len(byEnd) {
			since[i] = min(since[i], since[i+1])
		}
	}
	last := byEnd[len(byEnd)-1].To
	waiting, before := 0, time.Duration(0)
	for _, ack := range append(acks, last) {
		for waiting < len(byEnd) && byEnd[waiting].To <= before {
			waiting++
		}
		if waiting < len(byEnd) {
			c.gap(Window{From: max(before, since[waiting]), To: ack})
		}
		before = ack
	}
}

func (c *checker) gap(w Window) {
	length := w.To - w.From
	c.stall.Longest = max(c.stall.Longest, length)
	if length > c.rules.StallThreshold {
		c.stall.Gaps = append(c.stall.Gaps, w)
	}
}

// recovery measures from the end of the faults to the next acknowledgement.
func (c *checker) recovery() {
	for i := range c.sends {
		s := &c.sends[i]
		if took := s.end - c.window.To; s.outcome == history.OK && took > 0 && (c.stall.Recovered < 0 || took < c.stall.Recovered) {
			c.stall.Recovered = took
		}
	}
	if bound := c.rules.MaxRecovery; bound > 0 && (c.stall.Recovered < 0 || c.stall.Recovered > bound) {
		c.flag(NoRecovery, -1, nil, "%s after the faults, want at most %s", tookText(c.stall.Recovered, "the first acknowledgement"), bound)
	}
}

// fullISR measures from the end of the faults until every sample says that all
// replicas are in sync.
func (c *checker) fullISR() {
	full := time.Duration(-1)
	for i := range c.states {
		s := &c.states[i]
		switch {
		case s.Replicas == nil || s.ISR == nil || s.start <= c.window.To:
		case len(s.ISR) < len(s.Replicas):
			full = -1
		case full < 0:
			full = s.end - c.window.To
		}
	}
	c.stall.FullISR = full
	if bound := c.rules.MaxFullISR; bound > 0 && (full < 0 || full > bound) {
		c.flag(ISRNotFull, -1, nil, "%s after the faults, want at most %s", tookText(full, "all in sync"), bound)
	}
}

func tookText(d time.Duration, what string) string {
	if d < 0 {
		return "never " + what
	}
	return fmt.Sprintf("%s %s", what, d.Round(time.Millisecond))
}
