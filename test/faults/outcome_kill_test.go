//go:build faults && linux

package faults

import (
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
)

// The tests TestOutcome… are the rows of the table of required outcomes, each
// with its bound: what must become of a cluster with three replicas of each
// partition and min.insync.replicas 2 when one thing fails.

// TestOutcomeLeaderKilled: SIGKILL of a leader that is not the controller.
func TestOutcomeLeaderKilled(t *testing.T) {
	r := newRig(t, plan{})
	victim := r.leaderThatIs(func(id int) bool { return id != r.controller() })
	led := r.ledBy(victim)
	r.kill(victim)
	r.awaitAcks(100)
	report := r.verdict(check.Rules{})
	r.atMost("stall of its partitions", stallOf(&report, led...), 1500*time.Millisecond)
}

// leaderThatIs finds a broker that leads something and is right.
func (r *rig) leaderThatIs(right func(id int) bool) int {
	r.Helper()
	for _, id := range r.all() {
		if right(id) && len(r.ledBy(id)) > 0 {
			return id
		}
	}
	r.Fatal("no such leader")
	return 0
}

// TestOutcomeLeaderBackAtOnce: a leader that is killed and started again before
// anybody could notice leads no epoch that it led before.
func TestOutcomeLeaderBackAtOnce(t *testing.T) {
	r := newRig(t, plan{})
	for range 3 {
		victim := r.leader(0)
		r.kill(victim)
		r.start(victim)
		r.awaitAcks(50)
		r.awaitISR(30*time.Second, func(isr []int32) bool { return len(isr) == 3 })
	}
	report := r.verdict(check.Rules{})
	r.atMost("stall", report.Longest(), 4*time.Second)
}
