package check

import (
	"fmt"
	"strings"
	"time"
)

// Class is a kind of anomaly.
type Class string

// The classes. C1 and on are the rules that they break.
const (
	// LostWrite (C1, C2): a record that was acknowledged or read is missing from
	// a replica, or every consumer passed over it.
	LostWrite Class = "lost-write"
	// Unseen (C11): a record was acknowledged and no consumer ever got it,
	// although they read on until nothing was left.
	Unseen Class = "unseen"
	// AbortedRead (C2, G1a): a record was read that was surely not written.
	AbortedRead Class = "aborted-read"
	// InconsistentOffsets (C3): one offset held two values.
	InconsistentOffsets Class = "inconsistent-offsets"
	// Phantom (C3): a record was read that nobody sent.
	Phantom Class = "phantom"
	// CorruptRecord (C3): the bytes of a record are not what any client wrote.
	CorruptRecord Class = "corrupt-record"
	// Duplicate (C4): one value stands at more offsets than its producer's
	// guarantee allows.
	Duplicate Class = "duplicate"
	// NonmonotonicSend (C5): a record stands before one that was sent, or
	// acknowledged, before it.
	NonmonotonicSend Class = "nonmonotonic-send"
	// NonmonotonicPoll (C6): a consumer was handed a record again, or an earlier
	// one.
	NonmonotonicPoll Class = "nonmonotonic-poll"
	// PollSkip (C6): a consumer passed over a record.
	PollSkip Class = "poll-skip"
	// IntNonmonotonicPoll and IntPollSkip (C6) are the same within one poll.
	IntNonmonotonicPoll Class = "int-nonmonotonic-poll"
	IntPollSkip         Class = "int-poll-skip"
	// DirtyRead (C6): a consumer was handed a record that was not committed.
	DirtyRead Class = "dirty-read"
	// RegressedHighWatermark and RegressedLogStart (C7): a leader named a lower
	// one than was named before, in its epoch or an earlier one.
	RegressedHighWatermark Class = "regressed-high-watermark"
	RegressedLogStart      Class = "regressed-log-start"
	// RegressedEpoch (C7): a broker named an older leader epoch than before.
	RegressedEpoch Class = "regressed-epoch"
	// SplitBrain (C7): one epoch of a partition had two leaders.
	SplitBrain Class = "split-brain"
	// ISROutsideReplicas (C7): a broker is in sync and no replica.
	ISROutsideReplicas Class = "isr-outside-replicas"
	// UnderMinISRAck (C7): a record was acknowledged although fewer replicas
	// than min.insync.replicas were in sync.
	UnderMinISRAck Class = "under-min-isr-ack"
	// NoRecovery (C11): after the last fault was over, a partition took too long
	// to acknowledge again.
	NoRecovery Class = "no-recovery"
	// ISRNotFull (C11): after the last fault was over, a partition took too long
	// to get all its replicas in sync.
	ISRNotFull Class = "isr-not-full"
	// DivergedReplicas (C12): replicas differ below the high watermark in a
	// value, a batch's boundaries, its epoch or its CRC.
	DivergedReplicas Class = "diverged-replicas"
	// LaggingReplica (C12): a replica's high watermark never reached that of
	// another.
	LaggingReplica Class = "lagging-replica"
)

// Rules say what a run had to keep. The zero value asks for what holds always.
type Rules struct {
	// MinISR is min.insync.replicas of the topics. Zero takes what the samples
	// say.
	MinISR int

	// Retention says that records may have been deleted from the start of the
	// logs. Without it a log start above zero excuses nothing.
	Retention bool

	// CaughtUp says that the consumers read on, after the load had ended, until
	// they had everything: what nobody was handed is then unseen.
	CaughtUp bool

	// Window is when the faults were. The default is from the start of the first
	// Fault of the history to the end of the last one.
	Window Window

	// Floor is how many acknowledgements a run needs in each phase for its
	// verdict to mean anything.
	Floor Floor

	// StallThreshold is how long a partition must go without an acknowledgement,
	// while records wait for one, for the gap to be listed.
	//
	// The default is 1 s.
	StallThreshold time.Duration

	// MaxRecovery bounds, for each partition, the time from the end of the
	// window to the next acknowledgement. Zero is no bound.
	MaxRecovery time.Duration

	// MaxFullISR bounds, for each partition, the time from the end of the window
	// until all replicas are in sync for the rest of the run. Zero is no bound.
	MaxFullISR time.Duration

	// Examples is how many anomalies of each class and partition are described;
	// all are counted.
	//
	// The default is 10.
	Examples int
}

// Window is a stretch of a history. The zero Window is none.
type Window struct{ From, To time.Duration }

// Floor is the least number of acknowledgements, over all partitions, before,
// during and after the faults.
//
// The default of each is 1; -1 asks for none.
type Floor struct{ Before, During, After int }

func (r Rules) withDefaults() Rules {
	if r.StallThreshold == 0 {
		r.StallThreshold = time.Second
	}
	if r.Examples == 0 {
		r.Examples = 10
	}
	for _, least := range []*int{&r.Floor.Before, &r.Floor.During, &r.Floor.After} {
		switch {
		case *least == 0:
			*least = 1
		case *least < 0:
			*least = 0
		}
	}
	return r
}

// Anomaly is one broken promise.
type Anomaly struct {
	Class     Class
	Topic     string
	Partition int32
	Offset    int64    // -1 if it is about no offset
	Values    []uint64 // client<<40 | sequence
	Detail    string
}

// String is one line.
func (a Anomaly) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s-%d", a.Class, a.Topic, a.Partition)
	if a.Offset >= 0 {
		fmt.Fprintf(&b, " offset %d", a.Offset)
	}
	for _, v := range a.Values {
		fmt.Fprintf(&b, " value %s", valueText(v))
	}
	fmt.Fprintf(&b, ": %s", a.Detail)
	return b.String()
}

// Stall is how long acknowledgements of a partition stayed away.
type Stall struct {
	Topic     string
	Partition int32
	Acked     int
	// Longest is the longest time without an acknowledgement while a record
	// waited for one.
	Longest time.Duration
	// Gaps are all those above the threshold, in order.
	Gaps []Window
	// Recovered is the time from the end of the faults to the next
	// acknowledgement, FullISR to when all replicas were in sync for good. They
	// are -1 if that never happened or was not looked for.
	Recovered, FullISR time.Duration
}

// Report is the verdict on a history.
type Report struct {
	// Anomalies are examples of each class and partition, sorted.
	Anomalies []Anomaly
	// Counts are all anomalies, by class.
	Counts map[Class]int
	// Stalls are sorted by topic and partition.
	Stalls []Stall
	// Void says why the run proves nothing, and is empty if it does prove
	// something. A void run may still have anomalies, which are as real.
	Void string

	// Window is the one that was used.
	Window Window
	// Acked, Failed and Unknown count sends by outcome, Before, During and After
	// those acknowledged by phase.
	Acked, Failed, Unknown int
	Before, During, After  int
	// Polled counts records handed to consumers, Sampled the states.
	Polled, Sampled int
	// UnseenValues counts acknowledged records that no consumer got, whether or
	// not they had to.
	UnseenValues int
}

// OK says that the run proves something and that nothing is wrong.
func (r *Report) OK() bool { return r.Void == "" && len(r.Counts) == 0 }

// Longest is the longest stall of any partition.
func (r *Report) Longest() time.Duration {
	var longest time.Duration
	for _, s := range r.Stalls {
		longest = max(longest, s.Longest)
	}
	return longest
}

// String is the verdict in a few lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d acked (%d before, %d during, %d after the faults), %d failed, %d unknown, %d polled, %d states, longest stall %s\n",
		r.Acked, r.Before, r.During, r.After, r.Failed, r.Unknown, r.Polled, r.Sampled, r.Longest().Round(time.Millisecond))
	if r.Void != "" {
		fmt.Fprintf(&b, "void: %s\n", r.Void)
	}
	for _, a := range r.Anomalies {
		fmt.Fprintf(&b, "%s\n", a)
	}
	for class, n := range r.Counts {
		fmt.Fprintf(&b, "%d %s\n", n, class)
	}
	return b.String()
}
