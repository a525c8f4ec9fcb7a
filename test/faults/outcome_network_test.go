//go:build faults && linux

package faults

import (
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/host"
)

// TestOutcomeCutFromController: a leader whose way to the controller alone is
// cut stops before another is elected, and nothing is committed twice.
func TestOutcomeCutFromController(t *testing.T) {
	r := newRig(t, plan{})
	controller := r.controller()
	victim := r.leaderThat(func(id int) bool { return id != controller })
	led := r.ledBy(victim)
	end := r.cut("a leader cut from the controller", func() func() { return r.net.Cut(victim, controller) })
	r.awaitNewLeader(victim, led...)
	r.awaitAcks(100)
	end()
	report := r.verdict(check.Rules{})
	r.atMost("stall of its partitions", stallOf(&report, led...), 8*time.Second)
}

// awaitNewLeader waits until a broker leads none of some partitions any more.
func (r *rig) awaitNewLeader(old int, partitions ...int32) {
	r.Helper()
	for _, p := range partitions {
		for began := time.Now(); r.leader(p) == old; {
			if time.Since(began) > 20*time.Second {
				r.Fatalf("broker %d still leads partition %d", old, p)
			}
			r.pause(50 * time.Millisecond)
		}
	}
}

// TestOutcomeCutFromFollowers: a leader that the controller hears and no follower
// does loses the lead to one of them. The controller is none of the three: one that
// is cut off from brokers takes them for dead, as in Kafka, until a majority of
// voters does not hear it either.
func TestOutcomeCutFromFollowers(t *testing.T) {
	r := newRig(t, plan{brokers: 5, partitions: 10})
	controller := r.controller()
	partition, leader, followers := r.partitionThat("without the controller", func(leader int, f []int) bool {
		return leader != controller && !slices.Contains(f, controller)
	})
	end := r.cut("a leader cut from its followers", func() func() { return r.net.Isolate(leader, followers...) })
	r.awaitAcksOn(100, partition)
	end()
	report := r.verdict(check.Rules{})
	r.atMost("stall", stallOf(&report, partition), 8*time.Second)
}

func without(ids []int, id int) []int {
	return slices.DeleteFunc(slices.Clone(ids), func(have int) bool { return have == id })
}

// TestOutcomeOneWay: data reaches a follower, its acknowledgements do not come
// back. It counts for nothing, and costs one stall.
func TestOutcomeOneWay(t *testing.T) {
	for _, name := range []string{"to the follower", "to the leader"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, plan{partitions: 1})
			leader := r.leader(0)
			victim := without(r.followers(0), r.controller())[0]
			from, to := victim, leader
			if name == "to the follower" {
				from, to = leader, victim
			}
			end := r.cut("the way "+name+" is cut", func() func() { return r.net.CutOneWay(from, to) })
			r.awaitAcks(100)
			end()
			report := r.verdict(check.Rules{})
			r.atMost("stall", report.Longest(), 4*time.Second)
		})
	}
}

// TestOutcomeReplicationPortDead: raft, clients and the controller work, only the
// way to a follower's peer port does not.
func TestOutcomeReplicationPortDead(t *testing.T) {
	r := newRig(t, plan{partitions: 1})
	leader := r.leader(0)
	victim := without(r.followers(0), r.controller())[0]
	end := r.cut("a follower's peer port", func() func() { return r.net.CutPort(leader, victim, host.PeerPort) })
	r.awaitAcks(100)
	end()
	report := r.verdict(check.Rules{})
	r.atMost("stall", report.Longest(), 4*time.Second)
}

// TestOutcomeZombieWithFollower: a deposed leader and a stale follower are on the
// wrong side of a partition together. They commit nothing.
func TestOutcomeZombieWithFollower(t *testing.T) {
	r := newRig(t, plan{brokers: 5, partitions: 3})
	leader := r.leader(0)
	led := r.ledBy(leader)
	minority := []int{leader, without(r.followers(0), r.controller())[0]}
	majority := slices.DeleteFunc(r.all(), func(id int) bool { return slices.Contains(minority, id) })
	end := r.cut("a leader and a follower against the rest", func() func() { return r.net.Partition(minority, majority) })
	r.awaitNewLeaderWithin(20*time.Second, led[0], minority)
	r.pause(3 * time.Second)
	end()
	r.verdict(check.Rules{})
}

// awaitNewLeaderWithin waits until a partition is led by none of some brokers.
// Whoever answers may be on their side, and then knows no better.
func (r *rig) awaitNewLeaderWithin(d time.Duration, partition int32, old []int) {
	r.Helper()
	for began := time.Now(); slices.Contains(old, r.leader(partition)); {
		if time.Since(began) > d {
			r.Logf("brokers %v say that they still lead partition %d", old, partition)
			return
		}
		r.pause(100 * time.Millisecond)
	}
}

// TestOutcomeLoss: a tenth of all packets of a broker are lost. It may be slow;
// it must not hang, nor make elections without end.
func TestOutcomeLoss(t *testing.T) {
	r := newRig(t, plan{})
	end := r.cut("a tenth of the packets lost", func() func() { return r.net.Lose(r.followers(0)[0], 0.1) })
	r.pause(5 * time.Second)
	r.awaitAcks(100)
	end()
	report := r.verdict(check.Rules{})
	r.atMost("stall", report.Longest(), 8*time.Second)
}

// TestOutcomeSlowNetwork: 20 ms each way, with jitter, are no reason to change
// anything.
func TestOutcomeSlowNetwork(t *testing.T) {
	r := newRig(t, plan{})
	leaders := map[int32]int32{}
	for _, p := range r.detail() {
		leaders[p.Partition] = p.LeaderEpoch
	}
	end := r.cut("20 ms each way", func() func() {
		var ends []func()
		for _, id := range r.all() {
			ends = append(ends, r.net.Delay(id, 20*time.Millisecond, 5*time.Millisecond))
		}
		return func() {
			for _, end := range ends {
				end()
			}
		}
	})
	r.pause(5 * time.Second)
	r.awaitAcks(100)
	for _, p := range r.detail() {
		if p.LeaderEpoch != leaders[p.Partition] {
			r.Errorf("partition %d: leader epoch %d, was %d", p.Partition, p.LeaderEpoch, leaders[p.Partition])
		}
		if len(p.ISR) != 3 {
			r.Errorf("partition %d: in sync %v", p.Partition, p.ISR)
		}
	}
	end()
	r.verdict(check.Rules{})
}
