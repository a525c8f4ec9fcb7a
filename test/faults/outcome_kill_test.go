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
	victim := r.leaderThat(func(id int) bool { return id != r.controller() })
	led := r.ledBy(victim)
	r.kill(victim)
	r.awaitAcks(100)
	report := r.verdict(check.Rules{})
	r.atMost("stall of its partitions", stallOf(&report, led...), 1500*time.Millisecond)
}

// TestOutcomeControllerKilled: the leader of some partitions is the controller.
func TestOutcomeControllerKilled(t *testing.T) {
	r := newRig(t, plan{})
	victim := r.controller()
	led := r.ledBy(victim)
	r.kill(victim)
	r.awaitAcks(100)
	report := r.verdict(check.Rules{})
	r.atMost("stall of its partitions", stallOf(&report, led...), 4*time.Second)
}

// leaderThat finds a broker that leads something and is right.
func (r *rig) leaderThat(is func(id int) bool) int {
	r.Helper()
	for _, id := range r.all() {
		if is(id) && len(r.ledBy(id)) > 0 {
			return id
		}
	}
	r.Fatal("no such leader")
	return 0
}

// TestOutcomeLeaderBackAtOnce: a leader that is killed and started again before
// anybody could notice goes on in no epoch that it led before.
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

// TestOutcomeFollowerKilled: acks=all waits for the grace of a broken connection,
// and no longer. The broker comes back by itself.
func TestOutcomeFollowerKilled(t *testing.T) {
	r := newRig(t, plan{partitions: 1})
	r.kill(r.followers(0)[0])
	r.awaitAcks(100)
	report := r.verdict(check.Rules{})
	r.atMost("stall", report.Longest(), 1500*time.Millisecond)
}

// TestOutcomeBothFollowersKilled: nothing is acknowledged with fewer than
// min.insync.replicas, producers are told so, what is committed stays readable,
// and one of the two is enough to go on. There are five brokers, so that the
// metadata log keeps its majority.
func TestOutcomeBothFollowersKilled(t *testing.T) {
	r := newRig(t, plan{brokers: 5, partitions: 1})
	followers := r.followers(0)
	for _, id := range followers {
		r.kill(id)
	}
	r.pause(1500 * time.Millisecond) // what was under way may still be acknowledged
	before := r.load.Least()
	r.awaitISR(15*time.Second, func(isr []int32) bool { return len(isr) == 1 })
	r.refuses(0)
	r.readable(0, before)
	if after := r.load.Least(); after != before {
		r.Errorf("%d records were acknowledged by one replica alone", after-before)
	}
	r.start(followers[1])
	r.atMost("acks after one is back", r.awaitAcks(50), 5*time.Second)
	r.verdict(check.Rules{})
}

// TestOutcomeFrozen: a leader that stops for a while, as a virtual machine does,
// and wakes up in a cluster that has gone on.
func TestOutcomeFrozen(t *testing.T) {
	r := newRig(t, plan{})
	victim := r.leaderThat(func(id int) bool { return id != r.controller() })
	led := r.ledBy(victim)
	r.freeze(victim)
	r.awaitAcks(100)
	r.pause(*frozen)
	r.thaw(victim)
	r.awaitAcks(100)
	report := r.verdict(check.Rules{})
	r.atMost("stall of its partitions", stallOf(&report, led...), 8*time.Second)
}

// TestOutcomeRollingRestart: brokers are asked to stop, one after the other, and
// nobody is told more than to try again.
func TestOutcomeRollingRestart(t *testing.T) {
	r := newRig(t, plan{})
	for _, id := range r.all() {
		r.stop(id)
		r.awaitAcks(50)
		r.start(id)
		r.awaitISR(30*time.Second, func(isr []int32) bool { return len(isr) == 3 })
	}
	report := r.verdict(check.Rules{})
	r.atMost("stall", report.Longest(), time.Second)
}
