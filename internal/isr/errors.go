package isr

import (
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
)

var (
	// ErrStaleSession refuses an ack of a session that is not the follower's
	// current one (R4). It counts nothing.
	ErrStaleSession = errors.New("stale session")
	// ErrImpossibleAck refuses an ack that no correct follower sends: below an
	// earlier one of its session, or beyond the leader's log. The session is
	// over: only a new handshake can say where the follower is.
	ErrImpossibleAck = errors.New("impossible ack")
)

// Error says of which follower, in which epoch, something was refused.
type Error struct {
	Epoch    cluster.Epoch
	Follower cluster.BrokerID
	Session  uint64
	Detail   string
	Err      error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("epoch %d: broker %d session %d: %s: %v", e.Epoch, e.Follower, e.Session, e.Detail, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
