package sim

import "testing"

// rule is a rule of the replication protocol that a world can be made to break.
type rule uint8

const (
	none rule = iota
	ruleR1
	ruleR2
	ruleR3
	ruleR4
	ruleR5Registered
	ruleR5Park
	ruleR5Preempt
	ruleR6
	ruleR7
	ruleMajority
	ruleGate
	rulePending
	ruleShrink
	ruleR10
	ruleCAS
	ruleBrokerEpoch
	ruleFirstReplica
	ruleWiped
	ruleR13
	ruleR14Fetch
	ruleR14Latest
	ruleR15
	ruleAckSync
	ruleOwnDisk
	ruleWindows
	ruleRenewed
)

func (w *world) is(broken rule) bool { return w.broken == broken }

// mutation says how a rule is broken, and within how many schedules that must
// be found: at least three times as many as in the worst of seven ranges of seeds
// that have nothing in common, which TestMeasure measures. The figures are in
// docs/simulation.md.
type mutation struct {
	name   string
	rule   rule
	how    string
	finds  finding
	budget int
}

// mutations has every rule of the protocol. Without most of them acknowledged
// records are lost; R14 is about what consumers see, and without the parts of R5
// a partition that could work again does not, or too late.
//
// Row i is that of rule i+1.
var mutations = []mutation{
	{"R1", ruleR1, "a restarted process leads on in its old epoch", loss, 500},
	{"R2", ruleR2, "a broker leads, or follows, an epoch below one it has met", loss, 15000},
	{"R3", ruleR3, "a change of role leaves the inbound session open", loss, 5000},
	{"R4", ruleR4, "acks of a session that is over count", loss, 25000},
	{"R5_registered", ruleR5Registered, "a follower answers before it knows its registration", stuck, 100},
	{"R5_park", ruleR5Park, "an Open before its metadata is refused, not parked", stuck, 100},
	{"R5_preempt", ruleR5Preempt, "a session that is there keeps others out", stuck, 100},
	{"R6", ruleR6, "a follower appends whatever arrives", loss, 100},
	{"R7", ruleR7, "a follower is cut to its high watermark, not by epochs", loss, 100},
	{"R8_majority", ruleMajority, "the fastest follower speaks for all", loss, 100},
	{"R8_gate", ruleGate, "who is about to join counts towards min.insync.replicas", loss, 2000},
	{"R9_join", rulePending, "a join without an answer counts as refused", loss, 8000},
	{"R9_leave", ruleShrink, "who is to leave is not waited for any more", loss, 100},
	{"R10", ruleR10, "a joiner need not reach the start of the epoch", loss, 25000},
	{"R11_partition_epoch", ruleCAS, "the controller ignores the partition epoch", loss, 30000},
	{"R11_broker_epoch", ruleBrokerEpoch, "the controller ignores the members' broker epochs", loss, 120000},
	{"R12_first_replica", ruleFirstReplica, "the first replica alive is elected", loss, 1000},
	{"R12_lost_disk", ruleWiped, "a lost disk or replica is registered as if it were whole", loss, 1000},
	{"R13", ruleR13, "a duplicate is acknowledged at once", loss, 100},
	{"R14_fetch", ruleR14Fetch, "consumers read beyond the high watermark", shown, 100},
	{"R14_latest", ruleR14Latest, "a new leader says at once what the latest offset is", shown, 100},
	{"R15", ruleR15, "a join that was proposed is waited for no longer than others", loss, 15000},
	{"D1_ack_before_sync", ruleAckSync, "a follower acks what it has not synced", loss, 2000},
	{"D1_own_disk", ruleOwnDisk, "the leader counts itself before it has synced", loss, 8000},
	{"I20_windows", ruleWindows, "producer windows survive a truncation", loss, 100},
	{"K39_epoch", ruleRenewed, "a lost replica starts anew in an epoch that it was part of", loss, 50000},
}

// TestMutationsAreInOrder keeps the table and the rules together.
func TestMutationsAreInOrder(t *testing.T) {
	for i, m := range mutations {
		if m.rule != rule(i+1) {
			t.Errorf("row %d, %s, is of rule %d", i, m.name, m.rule)
		}
	}
	if got := len(mutations); got != int(ruleRenewed) {
		t.Errorf("%d rows for %d rules", got, ruleRenewed)
	}
}
