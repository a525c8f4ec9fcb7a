package load

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/history"
)

// refusals are the answers that say that the request appended nothing. All
// others leave it open: a timeout, a connection that broke, an in-sync set that
// shrank after the append, a leadership that was lost while the append waited,
// a replica that was removed meanwhile (UNKNOWN_TOPIC_OR_PARTITION), a disk
// that failed after the followers had the record.
var refusals = []error{
	kerr.CorruptMessage,
	kerr.InvalidRecord,
	kerr.InvalidRequiredAcks,
	kerr.InvalidTopicException,
	kerr.MessageTooLarge,
	kerr.NotEnoughReplicas,
	kerr.PolicyViolation,
	kerr.RecordListTooLarge,
	kerr.ClusterAuthorizationFailed,
	kerr.SaslAuthenticationFailed,
	kerr.TopicAuthorizationFailed,
	kerr.UnsupportedCompressionType,
	kerr.UnsupportedForMessageFormat,
	kerr.UnsupportedVersion,
}

// givenUp are errors of the client library that wrap the last of several.
var givenUp = []error{kgo.ErrRecordTimeout, kgo.ErrRecordRetries}

// classify says what an answer means for a record. A refusal is one for certain
// only of a record that was sent once: an earlier attempt whose answer was lost
// may have appended it.
func classify(err error, sentOnce bool) history.Outcome {
	switch {
	case err == nil:
		return history.OK
	case errors.Is(err, kgo.ErrMaxBuffered):
		return history.Fail // it never left the client
	case isAny(err, givenUp):
		return history.Info // whatever was answered last, there was more than one attempt
	case sentOnce && isAny(err, refusals):
		return history.Fail
	default:
		return history.Info
	}
}

// fatal are the answers after which an idempotent producer cannot go on: the
// broker does not know its sequence, or knows a newer one. The client library
// could carry on under another sequence, and would write records twice.
var fatal = []error{
	kerr.OutOfOrderSequenceNumber,
	kerr.UnknownProducerID,
	kerr.InvalidProducerEpoch,
	kerr.InvalidProducerIDMapping,
	kerr.ProducerFenced,
}

func isFatal(err error) bool { return isAny(err, fatal) }

func isAny(err error, causes []error) bool {
	for _, cause := range causes {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}
