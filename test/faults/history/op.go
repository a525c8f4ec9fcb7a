package history

import (
	"math"
	"time"
)

// Kind is what an operation is.
type Kind uint8

// The kinds.
const (
	Send  Kind = iota // a producer sent one record
	Poll              // a consumer was handed records of one partition
	State             // a broker said how a partition stands
	Fault             // something was done to the cluster, for time lines
)

// Outcome is what is known of an operation's effect.
type Outcome uint8

// The outcomes.
const (
	// Info says that nobody knows: the operation may have taken effect, may yet
	// do so, or never will. It is the zero value because it is the safe one.
	Info Outcome = iota
	OK           // it took effect
	Fail         // it had no effect and never will
)

// Guarantee is what a producer was promised about its records. It belongs to a
// producer and is repeated in each of its operations.
type Guarantee uint8

// The guarantees.
const (
	// Unordered producers have several requests in flight and no sequence
	// numbers: a retry may write a record twice, and later than its successors.
	Unordered Guarantee = iota
	// Ordered producers have one request in flight: what is acknowledged stands
	// in the order of the values. A retry may still write a record twice.
	Ordered
	// Idempotent producers number their records: each is written at most once,
	// all in the order of the values.
	Idempotent
)

// Unknown is the offset, epoch, node or high watermark that nobody told.
const Unknown = -1

// Garbled is the value of a record that no client can have written like that:
// its bytes are not what a producer made of any value.
const Garbled uint64 = math.MaxUint64

// sequenceBits is how many bits of a value count the records of its client.
const sequenceBits = 40

// ValueOf returns the value of a client's record. Values are unique in a
// history; those of a client and partition ascend in the order of sending.
func ValueOf(client int32, sequence uint64) uint64 {
	return uint64(client)<<sequenceBits | sequence
}

// ClientOf returns the client that wrote a value.
func ClientOf(value uint64) int32 { return int32(value >> sequenceBits) }

// Op is one operation. Times are since the start of the history, on the
// monotonic clock. Fields that a kind does not mention mean nothing for it.
type Op struct {
	// ID is the operation's place in the history. Add sets it.
	ID int64
	// Client is the session that did it. A producer or a consumer that was made
	// anew is another client: nothing is promised across sessions.
	Client  int32
	Kind    Kind
	Outcome Outcome
	// Start is before the operation could take effect, End after its outcome
	// was known.
	Start, End time.Duration
	Topic      string
	Partition  int32

	// Value is what a Send wrote.
	Value uint64
	// Offset is where a Send was acknowledged, and where a Poll's first record
	// was expected. Unknown if nobody told.
	Offset int64
	// Guarantee is what a Send's producer was promised.
	Guarantee Guarantee
	// Attempts bounds how often a Send's record may have been sent. Zero is no
	// bound.
	Attempts int32

	// LeaderEpoch is the epoch that a State's broker named.
	LeaderEpoch int32
	// Node answered: the broker that acknowledged a Send, the broker asked for a
	// State, the broker that a Fault was done to. Unknown if nobody told.
	Node int32

	// Records are what a Poll was handed, in this order.
	Records []Record
	// HighWatermark is the one that came with a Poll's records, and the one that
	// a State's broker named. Unknown if nobody told.
	HighWatermark int64

	// State has the rest of a State; nil for other kinds.
	State *Sample

	// Error is the reason of an outcome other than OK, or what a Fault did.
	Error string
}

// Record is one record as read.
type Record struct {
	Offset      int64
	Value       uint64
	LeaderEpoch int32 // of its batch
}

// Sample is how one broker saw a partition.
type Sample struct {
	// Leader is the broker that leads in the operation's epoch. If it is the
	// operation's Node then the broker spoke of itself: it acted as the leader.
	Leader        int32
	Replicas, ISR []int32 // nil if the answer did not say
	LogStart      int64   // Unknown if the answer did not say
	// MinISR is min.insync.replicas as the leader applies it, 0 if the answer
	// did not say.
	MinISR int32
	// ISRVersion is the same in two answers of one leader in one epoch only if
	// the in-sync set did not change between them. Empty if the answer did not
	// say.
	ISRVersion string
}

// Replica is what one broker held of a partition in the end.
type Replica struct {
	Node                    int32
	Topic                   string
	Partition               int32
	LogStart, HighWatermark int64
	Records                 []Record
	Batches                 []Batch
}

// Batch is one batch of a replica as stored.
type Batch struct {
	Base, Last  int64 // offsets of its first and last record
	LeaderEpoch int32
	CRC         uint32
}
