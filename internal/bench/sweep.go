package bench

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Reasons why a rate does not hold.
const (
	LimitSLO        = "slo"        // the service level objective is not met
	LimitErrors     = "errors"     // records failed
	LimitThroughput = "throughput" // fewer were acked than came due
	LimitGenerator  = "generator"  // this machine did not offer the load punctually
)

// minAchieved is the share of the offered rate that has to be acked meanwhile.
const minAchieved = 0.95

// SweepReport is what RunSweep and FindMax found.
type SweepReport struct {
	Started     time.Time `json:"started"`
	Interrupted bool      `json:"interrupted"`
	// SLO are the claims that a rate has to meet to hold; empty when nothing was
	// asked of it.
	SLO []string `json:"slo"`
	// Steps are in the order they ran.
	Steps []SweepStep `json:"steps"`
	// Knee is the end of a search; nil in a sweep.
	Knee *Knee `json:"knee"`
}

// SweepStep is one rate.
type SweepStep struct {
	RatePerSecond float64 `json:"rate_per_second"`
	// Holds is nil when nothing was asked of the rate.
	Holds  *bool  `json:"holds"`
	Limit  string `json:"limit"`  // why it does not hold, one of the limits; in a sweep always slo
	Detail string `json:"detail"` // in words
	// Report is the whole run at this rate, on a topic of its own.
	Report *Report `json:"report"`
}

// Knee is the highest rate that holds.
type Knee struct {
	// RatePerSecond held, and held again; nil when none did.
	RatePerSecond *float64 `json:"rate_per_second"`
	// BrokeAt is the lowest rate that did not hold; nil when the search ended
	// before it met one.
	BrokeAt *float64 `json:"broke_at_per_second"`
	Limit   string   `json:"limit"` // why that one did not
	Detail  string   `json:"detail"`
}

// ParseSLO reads claims, as ParseAssertions does, that a rate has to meet.
func ParseSLO(s string) ([]Assertion, error) {
	claims, err := ParseAssertions(s)
	if err != nil {
		return nil, err
	}
	for _, a := range claims {
		_, quantile := Quantiles{}.named(a.metric)
		if !quantile && a.metric != metricErrors {
			return nil, fmt.Errorf("%w: objective %q: want one of a quantile, max or errors, such as p99<10ms", ErrConfig, a.Text)
		}
	}
	return claims, nil
}

// RunSweep measures one rate after the other, each for Config.Duration on a
// topic of its own.
func RunSweep(ctx context.Context, c Config, rates []float64, slo []Assertion) (*SweepReport, error) {
	if len(rates) == 0 {
		return nil, fmt.Errorf("%w: no rates to sweep", ErrConfig)
	}
	s := newSweeper(c, slo)
	for _, rate := range rates {
		if more, err := s.try(ctx, rate); !more {
			return s.end(err)
		}
	}
	return s.end(nil)
}

// FindMax searches for the highest rate at which the arm meets the objective,
// with all records acked in time. It begins at Config.Rate and holds each rate
// for Config.Duration.
func FindMax(ctx context.Context, c Config, slo []Assertion) (*SweepReport, error) {
	c = c.withDefaults()
	switch {
	case len(c.Arms) != 1 || !c.Arms[0].Acknowledged():
		return nil, fmt.Errorf("%w: a search has one arm, and one with acks", ErrConfig)
	case c.ClosedLoop:
		return nil, fmt.Errorf("%w: a closed loop has no rate to search for", ErrConfig)
	}
	s := newSweeper(c, slo)
	s.searching = true
	look := newSearch(c.Rate)
	for again := false; !look.done; {
		more, err := s.try(ctx, look.rate)
		if !more {
			return s.end(err)
		}
		last := s.report.Steps[len(s.report.Steps)-1]
		if last.Limit == LimitGenerator && !again {
			again = true // this machine may just have been busy with something else
			continue
		}
		again = false
		look.note(*last.Holds)
	}
	s.report.Knee = s.knee(look)
	return s.end(nil)
}

// sweeper runs the steps.
type sweeper struct {
	c   Config
	slo []Assertion
	// searching is that a rate has to be one that the cluster keeps up with.
	searching bool
	report    SweepReport
}

func newSweeper(c Config, slo []Assertion) *sweeper {
	s := &sweeper{c: c, slo: slo, report: SweepReport{Started: time.Now().UTC(), SLO: []string{}, Steps: []SweepStep{}}}
	for _, a := range slo {
		s.report.SLO = append(s.report.SLO, a.Text)
	}
	return s
}

// end returns the report. Without a step there is none, only the error.
func (s *sweeper) end(err error) (*SweepReport, error) {
	if len(s.report.Steps) == 0 {
		return nil, err
	}
	return &s.report, err
}

// try measures one rate. It goes on unless that failed, was interrupted, or
// found that the cluster breaks promises.
func (s *sweeper) try(ctx context.Context, rate float64) (more bool, err error) {
	c := s.c
	c.Rate = rate
	if show := c.OnProgress; show != nil {
		c.OnProgress = func(p Progress) { p.Rate = rate; show(p) }
	}
	report, err := Run(ctx, c)
	if report == nil {
		return false, err
	}
	step := SweepStep{RatePerSecond: rate, Report: report}
	if s.searching || len(s.slo) > 0 {
		holds := false
		holds, step.Limit, step.Detail = s.judge(rate, report)
		step.Holds = &holds
	}
	s.report.Steps = append(s.report.Steps, step)
	s.report.Interrupted = report.Interrupted
	broken := report.Verification != nil && !report.Verification.OK
	return err == nil && !report.Interrupted && !broken, err
}

// judge says whether a rate holds. A generator that was late is looked at last:
// what a cluster that is overloaded does to the machine beside it is not to
// excuse the cluster.
func (s *sweeper) judge(rate float64, r *Report) (holds bool, limit, detail string) {
	for _, a := range s.slo {
		if ok, detail := a.check(r); !ok {
			return false, LimitSLO, a.Text + ": " + detail
		}
	}
	if !s.searching {
		return true, "", ""
	}
	for _, arm := range r.Arms {
		asked := strings.Contains(strings.Join(s.report.SLO, ","), metricErrors)
		if arm.Errors > 0 && !asked {
			return false, LimitErrors, fmt.Sprintf("acks=%s: %d of %d records failed", arm.Acks, arm.Errors, arm.Offered)
		}
		if arm.Acks.Acknowledged() && arm.AchievedPerSecond < minAchieved*rate {
			return false, LimitThroughput, fmt.Sprintf("acks=%s: %.0f/s were acked", arm.Acks, arm.AchievedPerSecond)
		}
	}
	if !r.Generator.Valid {
		return false, LimitGenerator, *r.Generator.Reason
	}
	return true, "", ""
}

// knee is the end of the search.
func (s *sweeper) knee(look *search) *Knee {
	k := &Knee{}
	if look.found {
		k.RatePerSecond = &look.held
	}
	for _, step := range s.report.Steps {
		if !*step.Holds && (k.BrokeAt == nil || step.RatePerSecond <= *k.BrokeAt) && (!look.found || step.RatePerSecond > look.held) {
			k.BrokeAt, k.Limit, k.Detail = &step.RatePerSecond, step.Limit, step.Detail
		}
	}
	return k
}
