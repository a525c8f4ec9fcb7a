package bench

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Names of failures that no broker has a name for.
const (
	// FailureShed is a record that found the client's buffer full: the cluster
	// has fallen too far behind the schedule.
	FailureShed = "CLIENT_SHED"
	// FailureTimeout is a record that waited too long for its turn or answer.
	FailureTimeout = "CLIENT_TIMEOUT"
	// FailureDisconnected is a record whose one attempt ended without an answer: the
	// connection broke or could not be made. It may be in the log or not.
	FailureDisconnected = "CLIENT_DISCONNECTED"
	// FailureAbandoned is a record that was unanswered when the run ended.
	FailureAbandoned = "CLIENT_ABANDONED"
	// FailureNotConsumed is a record that was acked, and that no consumer had got
	// when the run ended.
	FailureNotConsumed = "CLIENT_NOT_CONSUMED"
	// FailureOther is any other error of the client.
	FailureOther = "CLIENT_ERROR"
)

// failureName returns the name under which an error is counted: the Kafka
// error's own, or one of the above.
func failureName(err error) string {
	if kafka, ok := errors.AsType[*kerr.Error](err); ok {
		return kafka.Message
	}
	switch {
	case errors.Is(err, kgo.ErrMaxBuffered):
		return FailureShed
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, context.DeadlineExceeded):
		return FailureTimeout
	case errors.Is(err, kgo.ErrRecordRetries):
		return FailureDisconnected
	case errors.Is(err, kgo.ErrAborting), errors.Is(err, kgo.ErrClientClosed), errors.Is(err, context.Canceled):
		return FailureAbandoned
	default:
		return FailureOther
	}
}
