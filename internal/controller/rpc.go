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

// A request or a response on a controller connection:
//
//	 0            4
//	+------------+------- ... ------+
//	| Length u32 | JSON of an object |
//	+------------+------- ... ------+
//
// One request is answered before the next is read.

// maxMessageBytes bounds a message; the largest are assignments of big topics.
const maxMessageBytes = 16 << 20

// request is one call. Exactly one field besides Timeout is set.
type request struct {
	// TimeoutMillis is how long the caller waits.
	TimeoutMillis int64           `json:"timeout_ms"`
	Command       json.RawMessage `json:"command,omitempty"` // cluster.Encode
	Heartbeat     *Heartbeat      `json:"heartbeat,omitempty"`
	Create        *TopicSpec      `json:"create,omitempty"`
}

// response answers a request.
type response struct {
	NotController bool             `json:"not_controller,omitempty"`
	Leader        cluster.BrokerID `json:"leader,omitempty"` // with NotController, or NoBroker
	Err           *wireError       `json:"err,omitempty"`
	Result        wireResult       `json:"result"`
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

// causes are the refusals that keep their identity on the wire. The texts are
// part of the protocol.
var causes = []struct {
	name string
	err  error
}{
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

// remoteError is an error that the controller answered with.
type remoteError struct {
	text  string
	cause error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.cause }

func encodeError(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	for _, c := range causes {
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
	for _, c := range causes {
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
		return err
	}
	if len(body) > maxMessageBytes {
		return fmt.Errorf("message of %d bytes, limit %d", len(body), maxMessageBytes)
	}
	if err := conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = conn.Write(append(frame, body...))
	return err
}

// readMessage receives one message by deadline.
func readMessage(conn net.Conn, v any, deadline time.Time) error {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxMessageBytes {
		return fmt.Errorf("message of %d bytes, limit %d", n, maxMessageBytes)
	}
	body, err := io.ReadAll(io.LimitReader(conn, int64(n)))
	if err != nil {
		return err
	}
	if len(body) < int(n) {
		return io.ErrUnexpectedEOF
	}
	return json.Unmarshal(body, v)
}
