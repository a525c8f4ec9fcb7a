package controller

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// A request or an answer on a controller connection:
//
//	 0            4
//	+------------+-------- ... ------+
//	| Length     | JSON of an object |
//	+------------+-------- ... ------+
//
// The length is big-endian and counts the JSON only. A request is answered
// before the next is read. Fields are only ever added.

// maxMessageBytes bounds a message; the largest are assignments of big topics.
const maxMessageBytes = 16 << 20

// request is one call. Exactly one field besides TimeoutMillis is set.
type request struct {
	// TimeoutMillis is how long the caller waits.
	TimeoutMillis int64           `json:"timeout_ms"`
	Command       json.RawMessage `json:"command,omitempty"` // cluster.Encode
	Heartbeat     *Heartbeat      `json:"heartbeat,omitempty"`
	Create        *createRequest  `json:"create,omitempty"`
	Members       bool            `json:"members,omitempty"` // asks for them
	// NewerThan asks any broker, controller or not, for its image if that has a
	// larger index.
	NewerThan *uint64 `json:"newer_than,omitempty"`
}

// createRequest asks for a topic under an id that the caller chose.
type createRequest struct {
	ID   cluster.UUID `json:"id"`
	Spec TopicSpec    `json:"spec"`
}

// Heartbeat is what a broker reports of itself, twice a second.
type Heartbeat struct {
	Broker cluster.BrokerID `json:"broker"`
	// Epoch is the broker's registration, zero while it does not see it yet.
	Epoch cluster.BrokerEpoch `json:"epoch"`
	// AppliedIndex is the newest image that its replicas act on.
	AppliedIndex uint64 `json:"applied_index"`
	// WantFence asks to be fenced: the broker cannot serve, but lives.
	WantFence bool `json:"want_fence,omitempty"`
	// OldestFsyncAge is how long a sync of its disk has been under way that appends
	// wait for: the write-ahead log's, or that of a checkpoint, for room.
	OldestFsyncAge time.Duration `json:"oldest_fsync_age_ns,omitempty"`
	// FailedReplicas do not serve: their log is damaged.
	FailedReplicas []cluster.TopicPartition `json:"failed_replicas,omitempty"`
	// FailedIn are the newest leader epochs that each of them was part of: it
	// starts anew in a later one.
	FailedIn []cluster.Epoch `json:"failed_in,omitempty"`
	// LowSpace says that its disk is down to its reserve: it appends nothing.
	LowSpace bool `json:"low_space,omitempty"`
	// NoLeaderStream lists the brokers that lead what this one follows and of
	// which nothing arrives, NoFollowerStream those that follow what it leads and
	// do not answer. By broker, not by partition: ten thousand of these share the
	// one connection that is silent.
	NoLeaderStream   []Silence `json:"no_leader_stream,omitempty"`
	NoFollowerStream []Silence `json:"no_follower_stream,omitempty"`
}

// Silence says for how long a broker was not heard from.
type Silence struct {
	Broker cluster.BrokerID `json:"broker"`
	For    time.Duration    `json:"for_ns"`
}

// response answers a request.
type response struct {
	// NotController says that the broker does not act as the controller, and
	// Leader who might.
	NotController bool             `json:"not_controller,omitempty"`
	Leader        cluster.BrokerID `json:"leader,omitempty"`
	// Again is why the same request should be sent again, a little later, and
	// Uncertain that it may have been carried out nevertheless.
	Again     string     `json:"again,omitempty"`
	Uncertain bool       `json:"uncertain,omitempty"`
	Err       *wireError `json:"err,omitempty"`
	Result    wireResult `json:"result"`
	// Members answers who was heard of.
	Members []Member `json:"members,omitempty"`
	// Image is the newer one, cluster.(*Image).Encode; none if there is none.
	Image json.RawMessage `json:"image,omitempty"`
}

// Member is what the controller heard of a broker as a member of the metadata log.
type Member struct {
	Broker cluster.BrokerID `json:"broker"`
	// AppliedIndex is how far it acts on the log; it has at least so much of it.
	AppliedIndex uint64 `json:"applied_index"`
	// HeardAgo is the age of its last heartbeat, and CaughtUpAgo of the last one
	// with which it acted on all of the log; negative if none did.
	HeardAgo    time.Duration `json:"heard_ago_ns"`
	CaughtUpAgo time.Duration `json:"caught_up_ago_ns"`
}

// wireResult is a cluster.Result.
type wireResult struct {
	Errs            []*wireError        `json:"errs,omitempty"`
	Index           uint64              `json:"index,omitempty"`
	BrokerEpoch     cluster.BrokerEpoch `json:"broker_epoch,omitempty"`
	FirstProducerID int64               `json:"first_producer_id,omitempty"`
	TopicID         cluster.UUID        `json:"topic_id"`
}

// wireError is an error whose cause the other side recognises.
type wireError struct {
	Cause string `json:"cause,omitempty"`
	Text  string `json:"text"`
}

// cause is a refusal that keeps its identity on the wire.
type cause struct {
	name string
	err  error
}

// causes lists them. The names are part of the protocol.
func causes() []cause {
	return []cause{
		{"topic_exists", cluster.ErrTopicExists},
		{"unknown_topic", cluster.ErrUnknownTopic},
		{"invalid_topic", cluster.ErrInvalidTopic},
		{"unknown_broker", cluster.ErrUnknownBroker},
		{"stale_broker_epoch", cluster.ErrStaleBrokerEpoch},
		{"duplicate_broker", cluster.ErrDuplicateBroker},
		{"fenced_leader_epoch", cluster.ErrFencedLeaderEpoch},
		{"unknown_leader_epoch", cluster.ErrUnknownLeaderEpoch},
		{"invalid_update_version", cluster.ErrInvalidUpdateVersion},
		{"ineligible_replica", cluster.ErrIneligibleReplica},
		{"not_leader", cluster.ErrNotLeader},
		{"invalid_config", cluster.ErrInvalidConfig},
		{"invalid_request", cluster.ErrInvalidRequest},
		{"invalid_replica_assignment", cluster.ErrInvalidReplicaAssignment},
		{"invalid_replication_factor", cluster.ErrInvalidReplicationFactor},
		{"invalid_partitions", cluster.ErrInvalidPartitions},
		{"cluster_initialized", cluster.ErrClusterInitialized},
	}
}

// remoteError is an error that the controller answered with.
type remoteError struct {
	text  string
	cause error
}

// Error is the text that the controller sent.
func (e *remoteError) Error() string { return e.text }

// Unwrap is the sentinel that the controller named, or nil.
func (e *remoteError) Unwrap() error { return e.cause }

func encodeError(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	for _, c := range causes() {
		if errors.Is(err, c.err) {
			w.Cause = c.name
			break
		}
	}
	return w
}

// decode returns nil for nil. An unknown cause is an error without identity:
// callers fail closed.
func (w *wireError) decode() error {
	if w == nil {
		return nil
	}
	for _, c := range causes() {
		if c.name == w.Cause {
			return &remoteError{w.Text, c.err}
		}
	}
	return &remoteError{text: w.Text}
}

func encodeResult(r cluster.Result) wireResult {
	w := wireResult{Index: r.Index, BrokerEpoch: r.BrokerEpoch, FirstProducerID: r.FirstProducerID, TopicID: r.TopicID}
	for _, err := range r.Errs {
		w.Errs = append(w.Errs, encodeError(err))
	}
	return w
}

func (w wireResult) decode() cluster.Result {
	r := cluster.Result{Index: w.Index, BrokerEpoch: w.BrokerEpoch, FirstProducerID: w.FirstProducerID, TopicID: w.TopicID}
	for _, err := range w.Errs {
		r.Errs = append(r.Errs, err.decode())
	}
	return r
}

// writeMessage sends one message by deadline.
func writeMessage(conn net.Conn, v any, deadline time.Time) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode controller message: %w", err)
	}
	if len(body) > maxMessageBytes {
		return fmt.Errorf("controller message of %d bytes, limit %d: %w", len(body), maxMessageBytes, cluster.ErrInvalidRequest)
	}
	if err := conn.SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("send controller message: %w", err)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if _, err := conn.Write(append(frame, body...)); err != nil {
		return fmt.Errorf("send controller message: %w", err)
	}
	return nil
}

// readMessage receives one message by deadline. What it allocates follows what
// has arrived, not what the length promises.
func readMessage(conn net.Conn, v any, deadline time.Time) error {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("read controller message: %w", err)
	}
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return fmt.Errorf("read controller message: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxMessageBytes {
		return fmt.Errorf("controller message of %d bytes, limit %d: %w", n, maxMessageBytes, cluster.ErrInvalidRequest)
	}
	body, err := io.ReadAll(io.LimitReader(conn, int64(n)))
	if err == nil && len(body) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read controller message: %w", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode controller message: %w", err)
	}
	return nil
}
