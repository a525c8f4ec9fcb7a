package bench

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Arm is one acks setting under test.
type Arm string

// The arms.
const (
	// AcksAll waits for every in-sync replica.
	AcksAll Arm = "all"
	// AcksLeader waits for the leader alone.
	AcksLeader Arm = "1"
	// AcksNone waits for nothing: its latency is that of a send.
	AcksNone Arm = "0"
	// AcksAllIdempotent is AcksAll with the idempotent producer, which is what
	// most applications run. It is an arm of its own because idempotence
	// changes more than acks: sequence numbers, retries, pipelining.
	AcksAllIdempotent Arm = "all+idempotent"
)

// Arms lists every arm.
func Arms() []Arm { return []Arm{AcksAll, AcksLeader, AcksNone, AcksAllIdempotent} }

// ParseArms reads a comma-separated list such as "all,1,0".
func ParseArms(s string) ([]Arm, error) {
	var arms []Arm
	seen := map[Arm]bool{}
	for text := range strings.SplitSeq(s, ",") {
		arm, err := parseArm(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		if seen[arm] {
			return nil, fmt.Errorf("%w: acks %q is listed twice", ErrConfig, arm)
		}
		seen[arm] = true
		arms = append(arms, arm)
	}
	return arms, nil
}

func parseArm(s string) (Arm, error) {
	if s == "-1" {
		return AcksAll, nil // the number that acks=all has on the wire
	}
	for _, arm := range Arms() {
		if string(arm) == s {
			return arm, nil
		}
	}
	return "", fmt.Errorf("%w: unknown acks %q: want any of all, 1, 0, all+idempotent", ErrConfig, s)
}

// Acknowledged reports whether the cluster answers the records of this arm.
func (a Arm) Acknowledged() bool { return a != AcksNone }

// idempotent reports whether the producer numbers its batches.
func (a Arm) idempotent() bool { return a == AcksAllIdempotent }

// latencyOf says what the end of this arm's response time is.
func (a Arm) latencyOf() string {
	if a.Acknowledged() {
		return LatencyOfAck
	}
	return LatencyOfSend
}

// options returns what this arm asks of the client. Every arm has the same
// pipelining: without idempotence the client would drop to one request in
// flight, and the comparison with the idempotent default would be unfair.
func (a Arm) options() []kgo.Opt {
	if a.idempotent() {
		return []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks())}
	}
	acks := kgo.AllISRAcks()
	switch a {
	case AcksLeader:
		acks = kgo.LeaderAck()
	case AcksNone:
		acks = kgo.NoAck()
	case AcksAll, AcksAllIdempotent:
	}
	return []kgo.Opt{
		kgo.RequiredAcks(acks),
		kgo.DisableIdempotentWrite(),
		kgo.MaxProduceRequestsInflightPerBroker(maxInflight),
		// One attempt a record: every failure is counted under its own name,
		// and a duplicate can never be excused by a retry.
		kgo.RecordRetries(0),
	}
}
