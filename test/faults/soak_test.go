//go:build faults && linux

package faults

import (
	"cmp"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/history"
	"github.com/chronik-project/chronik/test/faults/load"
)

var (
	soakFor    = flag.Duration("faults.for", 0, "`duration` of the soak; 0 is the form's own, seconds or an hour")
	windowIs   = flag.Duration("faults.window", 8*time.Second, "mean `duration` of a window, with faults or without")
	soakOf     = flag.Int("faults.brokers", 0, "`number` of brokers in the soak, 3 or 5; 0 takes turns")
	soakOn     = flag.String("faults.disks", "", "`kind` of disks in the soak: ext4, or posix, which loses all that POSIX allows; empty takes turns")
	roundIs    = flag.Duration("faults.round", 90*time.Second, "`duration` after which a soak's round is judged")
	lifeRounds = flag.Int("faults.rounds", 8, "`number` of rounds after which a soak makes a new cluster")
)

// soak is a campaign of windows.
type soak struct {
	*campaign
	catalogue func(on string) []fault
	load      load.Config
	floor     int // acknowledgements a second, or the round is void
}

// TestSoak composes faults at random under every kind of load. Each cluster of a
// soak has a seed of its own, the soak's plus its number, and is run again alone
// by that.
func TestSoak(t *testing.T) {
	s := newSoak(t, 8, 40*time.Second, soak{
		catalogue: func(on string) []fault { return possible(on, true) },
		load:      load.Config{Idempotent: 2, Ordered: 1, Unordered: 1, Direct: 1, Rate: 120, Consumers: 2, ConsumerLife: 7 * time.Second, SampleEvery: 500 * time.Millisecond},
		floor:     20,
	})
	s.run()
	s.finish("longest stall of each partition and round, ms", 0, 0, 0)
}

// newSoak is a campaign that ends by the clock.
func newSoak(t *testing.T, goal int, short time.Duration, s soak) *soak {
	t.Helper()
	s.campaign = newCampaign(t, goal, untilThen, untilThen)
	length := cmp.Or(*soakFor, short)
	if *long {
		length = cmp.Or(*soakFor, time.Hour)
	}
	if end := s.Start.Add(length); s.until.IsZero() || end.Before(s.until) {
		s.until = end
	}
	return &s
}

// run makes one cluster after another. Trials are windows with faults.
func (s *soak) run() {
	for s.more() {
		s.cluster(func(t *testing.T) {
			brokers, on := 3+2*s.rng.IntN(2), []string{"ext4", "posix"}[s.rng.IntN(2)]
			brokers, on = cmp.Or(*soakOf, brokers), cmp.Or(*soakOn, on)
			t.Logf("%d brokers on %s disks; again: %s", brokers, on, s.again(fmt.Sprintf("-faults.for %s -faults.brokers %d -faults.disks %s", time.Until(s.until).Round(time.Second), brokers, on)))
			n := newNemesis(t, s.rng, plan{brokers: brokers, partitions: int32(brokers), load: s.load}, on)
			for round := 0; round < *lifeRounds && s.more(); round++ {
				if round > 0 {
					n.nextRound()
				}
				s.round(n, s.catalogue(on))
			}
		})
	}
}

// round runs windows until it is time to judge them.
func (s *soak) round(n *nemesis, from []fault) {
	n.Helper()
	began, count := time.Now(), 0
	n.pause(time.Second)
	for first := true; first || s.more() && time.Since(began) < *roundIs; first = false {
		w := draw(n.rng, from, *windowIs)
		n.run(w)
		count += min(1, len(w.faults))
		for _, f := range w.faults {
			s.count("fault: "+f.name, 1)
		}
	}
	if count == 0 { // all quiet
		n.fault(0, "nothing", func() error { return nil })
	}
	before := n.history.Now()
	report := s.judge(n.rig, count, check.Rules{Floor: check.Floor{
		Before: s.floor, During: s.floor * int(time.Since(began).Seconds()) / 2, After: 1,
	}})
	for _, stall := range report.Stalls {
		s.samples = append(s.samples, stall.Longest)
	}
	s.steady(n.history, before)
	s.count("rounds", 1)
	s.count("acked_unknown", report.Unknown)
}

// steady counts the seconds of a round in which nothing was acknowledged, and
// those of them that are further than three seconds from the begin or end of a
// fault.
func (s *soak) steady(h *history.History, until time.Duration) {
	const failover = 3
	acks := make([]int, int(until.Seconds()))
	excused := make([]bool, len(acks))
	for op := range h.All() {
		switch second := int(op.End.Seconds()); {
		case op.Kind == history.Send && op.Outcome == history.OK && second < len(acks):
			acks[second]++
		case op.Kind == history.Fault:
			for i := int(op.Start.Seconds()); i <= second+failover && i < len(acks); i++ {
				excused[i] = true
			}
		}
	}
	zero, without := 0, 0
	for i, n := range acks {
		if n == 0 && i > 0 {
			zero++
			if !excused[i] {
				without++
			}
		}
	}
	s.count("seconds_judged", len(acks))
	s.count("seconds_without_acks", zero)
	s.count("seconds_without_acks_and_excuse", without)
	total := 0
	for _, n := range acks {
		total += n
	}
	s.count("acked_in_seconds_judged", total)
}

// TestGoal17Load: the load that is held in the soak, 1 KiB records, without those
// faults that take the whole cluster down or make it slower than the load on
// purpose.
func TestGoal17Load(t *testing.T) {
	s := newSoak(t, 17, 8*time.Second, soak{
		catalogue: func(on string) []fault { return possible(on, false) },
		load:      load.Config{Idempotent: 3, Ordered: 1, Rate: 750, ValueBytes: 1024, MaxBuffered: 40_000, Consumers: 1, ConsumerLife: 20 * time.Second, SampleEvery: time.Second},
		floor:     200,
	})
	s.run()
	seconds, _ := s.More["seconds_judged"].(int)
	acked, _ := s.More["acked_in_seconds_judged"].(int)
	without, _ := s.More["seconds_without_acks_and_excuse"].(int)
	mean, steady := float64(acked)/float64(max(1, seconds)), 1-float64(without)/float64(max(1, seconds))
	s.More["acked_per_second"], s.More["steady"] = int(mean), fmt.Sprintf("%.4f", steady)
	if *long && mean < 2000 {
		s.Errorf("%.0f records a second were acknowledged, want at least 2000", mean)
	}
	if *long && steady < 0.999 {
		s.Errorf("acknowledgements came in %.2f %% of the seconds without a failover, want 99.9 %%", 100*steady)
	}
	s.finish("longest stall of each partition and round, ms", 0, 0, 0)
}
