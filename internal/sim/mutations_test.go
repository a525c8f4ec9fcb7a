package sim

// rule is a rule of the replication protocol that a world can be made to break.
type rule uint8

const (
	none rule = iota
	ruleR1
	ruleR2
	ruleR3
	ruleR4
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
	ruleAckSync
	ruleOwnDisk
	ruleWindows
)

func (w *world) is(broken rule) bool { return w.broken == broken }

// mutation says how a rule is broken, and within how many schedules that must
// be found.
type mutation struct {
	name   string
	rule   rule
	how    string
	budget int
}

// mutations has every rule without which replication.md says that the model
// loses acknowledged records.
var mutations = []mutation{
	{"R1", ruleR1, "a restarted process leads on in its old epoch", 2000},
	{"R2", ruleR2, "a broker leads, or follows, an epoch below one it has met", 10000},
	{"R3", ruleR3, "a change of role leaves the inbound session open", 10000},
	{"R4", ruleR4, "acks of any session count", 100000},
	{"R6", ruleR6, "a follower appends whatever arrives", 2000},
	{"R7", ruleR7, "a follower is cut to its high watermark, not by epochs", 2000},
	{"R8_majority", ruleMajority, "the fastest follower speaks for all", 2000},
	{"R8_gate", ruleGate, "who is about to join counts towards min.insync.replicas", 10000},
	{"R9_join", rulePending, "a join without an answer counts as refused", 10000},
	{"R9_leave", ruleShrink, "who is to leave is not waited for any more", 2000},
	{"R10", ruleR10, "a joiner need not reach the start of the epoch", 20000},
	{"R11_partition_epoch", ruleCAS, "the controller ignores the partition epoch", 20000},
	{"R11_broker_epoch", ruleBrokerEpoch, "the controller ignores the members' broker epochs", 100000},
	{"R12_first_replica", ruleFirstReplica, "the first replica alive is elected", 2000},
	{"R12_lost_disk", ruleWiped, "a lost disk or replica is registered as if it were whole", 5000},
	{"R13", ruleR13, "a duplicate is acknowledged at once", 2000},
	{"D1_ack_before_sync", ruleAckSync, "a follower acks what it has not synced", 2000},
	{"D1_own_disk", ruleOwnDisk, "the leader counts itself before it has synced", 2000},
	{"I20_windows", ruleWindows, "producer windows survive a truncation", 2000},
}
