// Package status is the shape in which a broker reports its replicas and links:
// JSON carried in tagged fields of DescribeQuorum responses, so that one Kafka
// request answers "who holds acks back, and why" without a second port. Stock
// clients skip the tags. Fields are only ever added.
package status

// Tags of the DescribeQuorum response that carry these shapes. They lie far
// above the tags that Kafka itself assigns.
const (
	// TagFollower on a ReplicaState holds a Follower.
	TagFollower uint32 = 10_000
	// TagPartition on a partition holds a Partition.
	TagPartition uint32 = 10_001
	// TagLinks on the response holds []Link: every link that leaves the broker.
	TagLinks uint32 = 10_002
	// TagBroker on the response holds a Broker: the one that answers.
	TagBroker uint32 = 10_003
)

// States a follower is in, seen from the leader. Every follower is always in
// exactly one.
const (
	StateConnecting = "connecting" // no session in this epoch yet, or lost
	StateParked     = "parked"     // the follower waits for its metadata
	StateTruncating = "truncating" // cutting what diverges from the leader
	StateCatchingUp = "catching_up"
	StateJoining    = "joining" // caught up, in-sync proposal under way
	StateInSync     = "in_sync"
	StateStalled    = "stalled"   // in sync, but no progress while data is due
	StateFailed     = "failed"    // the replica's own disk or log refused
	StateDiskFull   = "disk_full" // the replica's disk is down to its reserve
)

// Partition is the leader's view of its own log.
type Partition struct {
	LogStartOffset    int64  `json:"log_start_offset"`
	DurableEndOffset  int64  `json:"durable_end_offset"`
	MinInsyncReplicas int    `json:"min_insync_replicas"`
	Flush             string `json:"flush"`
	PendingAcks       int    `json:"pending_acks"`
	LastISRChange     string `json:"last_isr_change,omitempty"`
}

// Follower is the leader's view of one follower. Pointers are nil when the
// leader does not know: unknown is never reported as zero or "in sync".
type Follower struct {
	State            string   `json:"state"`
	Reason           string   `json:"reason,omitempty"`
	DurableEndOffset *int64   `json:"durable_end_offset"`
	LagRecords       *int64   `json:"lag_records"`
	LagBytes         *int64   `json:"lag_bytes"`
	LagMillis        *int64   `json:"lag_ms"`
	LastCaughtUpMS   *int64   `json:"last_caught_up_ms"` // milliseconds ago
	AckWaitShare     *float64 `json:"ack_wait_share"`    // 0..1 of recent acks it was last for
	Flaps            int      `json:"flaps"`
}

// Broker is what a broker says of itself.
type Broker struct {
	// HTTP is HOST:PORT of its HTTP listener as its configuration names it, empty
	// when that is off. An unspecified host means every address of the broker; a
	// loopback one can be reached from the broker's own machine only.
	HTTP string `json:"http,omitempty"`
}

// Link is one directed broker pair as its sending side sees it.
type Link struct {
	From           int32    `json:"from"`
	To             int32    `json:"to"`
	State          string   `json:"state"` // ok, connecting, catching_up, stalled
	Partitions     int      `json:"partitions"`
	InSync         int      `json:"in_sync"`
	LagRecords     *int64   `json:"lag_records"`
	LagBytes       *int64   `json:"lag_bytes"`
	LagMillis      *int64   `json:"lag_ms"`
	BytesPerSecond float64  `json:"bytes_per_second"`
	RTTP50Micros   *int64   `json:"rtt_p50_us"`
	RTTP99Micros   *int64   `json:"rtt_p99_us"`
	FsyncP99Micros *int64   `json:"fsync_p99_us"`
	AckWaitP99     *int64   `json:"ack_wait_p99_us"`
	SlowestShare   *float64 `json:"slowest_share"`
	LastError      string   `json:"last_error,omitempty"`
	Reconnects     int64    `json:"reconnects"`
}
