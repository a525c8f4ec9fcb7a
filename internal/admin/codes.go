package admin

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// CodeInfo explains one Kafka error code.
type CodeInfo struct {
	Code        int16  `json:"code"`
	Name        string `json:"name"`
	Retriable   bool   `json:"retriable"`
	Description string `json:"description"`
	// Next says what to do about it; empty where it depends.
	Next string `json:"next,omitempty"`
}

// highestCode bounds the search for codes that the protocol library knows.
const highestCode = 255

// Codes lists every known code, in order.
func Codes() []CodeInfo {
	all := []CodeInfo{describeCode(kerr.UnknownServerError)}
	for code := int16(1); code <= highestCode; code++ {
		if err := kerr.TypedErrorForCode(code); err != nil && err.Code == code {
			all = append(all, describeCode(err))
		}
	}
	slices.SortFunc(all, func(a, b CodeInfo) int { return cmp.Compare(a.Code, b.Code) })
	return all
}

// LookupCode finds a code by number or by name, in any spelling: 3,
// UNKNOWN_TOPIC_OR_PARTITION, UnknownTopicOrPartition.
func LookupCode(text string) (CodeInfo, bool) {
	number, err := strconv.ParseInt(text, 10, 16)
	for _, info := range Codes() {
		if (err == nil && info.Code == int16(number)) || (err != nil && fold(info.Name) == fold(text)) {
			return info, true
		}
	}
	return CodeInfo{}, false
}

// fold makes spellings of one name equal.
func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
}

func describeCode(err *kerr.Error) CodeInfo {
	return CodeInfo{
		Code:        err.Code,
		Name:        err.Message,
		Retriable:   err.Retriable,
		Description: err.Description,
		Next:        nextSteps[err.Code],
	}
}

// nextSteps is what an operator does about a code, where that is clear. It is
// written for people at a prompt: the command comes first.
var nextSteps = map[int16]string{
	-1: "look at the broker's own log at the time of the request",
	1:  "the reader asked for an offset that retention has deleted, or that was never written; reset it, or check retention.ms",
	2:  "a batch did not match its checksum; if it repeats, suspect the network path or the client's memory",
	3:  "chronik topic list shows what there is; just after creation, or a leader change, try again",
	5:  "an election is under way; if it lasts: chronik isr show --only offline",
	6:  "the leader has just moved; clients refresh their metadata and try again by themselves",
	7:  "the replicas did not answer in time: chronik replication status shows which one is slow",
	9:  "the broker holds no ready replica of it: chronik isr show",
	10: "raise max.message.bytes of the topic, or send smaller batches",
	17: "topic names have letters, digits, '.', '_' and '-', at most 249 of them",
	19: "fewer than min.insync.replicas are in sync, so acks=all is refused: chronik isr show --only under-min-isr",
	20: "written to the leader, but the in-sync set shrank before it was acked; the producer tries again: chronik isr show",
	29: "the user may not do this with the topic: ask for an ACL",
	31: "the user may not do this with the cluster: ask for an ACL",
	35: "the broker does not speak this version of the request; upgrade it, or use another client",
	36: "use --if-not-exists where an existing topic is fine",
	37: "ask for at least one partition (-p)",
	38: "the replication factor must be from 1 to the number of live brokers (-r)",
	39: "the replica assignment names a broker that does not exist, or one twice",
	40: "chronik topic create --help lists the settings (-c key=value)",
	41: "the broker is not the controller; the client finds the right one by itself",
	44: "a policy of the cluster refuses it; its message says which",
	58: "check --user, --password (CHRONIK_PASSWORD) and --sasl-mechanism",
	74: "the client's knowledge of the leader is old; it refreshes and tries again by itself",
	75: "the client knows a newer leader than this broker; the broker catches up in a moment",
}
