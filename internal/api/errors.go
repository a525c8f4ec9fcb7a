package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
)

// ErrNoController says that no broker acts as the controller right now, or that
// it cannot be reached. Nothing was changed and nothing will be; retry. When the
// outcome is not known, the error is that of the context instead.
var ErrNoController = errors.New("no controller can be reached")

// Causes that arise in this package.
var (
	errUnknownTopicID        = errors.New("unknown topic id")
	errNoLeader              = errors.New("the partition has no leader")
	errRequiredAcks          = errors.New("acks must be -1, 0 or 1")
	errTransactions          = errors.New("transactions are not served")
	errCompressionType       = errors.New("compression type needs a newer version of the request")
	errUnsupportedVersion    = errors.New("version of the request is not served")
	errReplicaFetch          = errors.New("brokers do not replicate by fetching: replication is pushed")
	errSessionNotFound       = errors.New("unknown fetch session")
	errSessionEpoch          = errors.New("unexpected fetch session epoch")
	errSessionTopicIDs       = errors.New("fetch session was opened with topic names, or with ids")
	errLoading               = errors.New("no producer ids at hand yet")
	errEndpointType          = errors.New("this listener serves brokers, not controllers")
	errUnknownEndpointType   = errors.New("unknown endpoint type")
	errSuccessWithoutOffset  = errors.New("acknowledged without an offset")
	errInternalTopicReserved = errors.New("the name is reserved")
)

// causes maps every cause that a client may have to tell apart to a Kafka code.
// The first match counts, so a cause stands before a more general one that it
// wraps. Retriable codes are for what passes by itself: clients retry those
// until their own deadline and give up on the others at once.
func causes() []struct {
	cause error
	code  code
} {
	return []struct {
		cause error
		code  code
	}{
		// Where the partition is.
		{partition.ErrNotLeader, codeNotLeaderOrFollower},
		{partition.ErrNotReady, codeNotLeaderOrFollower},
		{partition.ErrRemoved, codeUnknownTopicOrPartition},
		{partition.ErrFencedEpoch, codeFencedLeaderEpoch},
		{partition.ErrUnknownEpoch, codeUnknownLeaderEpoch},
		{errNoLeader, codeLeaderNotAvailable},
		{errUnknownTopicID, codeUnknownTopicID},
		{cluster.ErrUnknownTopic, codeUnknownTopicOrPartition},

		// Writing.
		{partition.ErrNotEnoughReplicas, codeNotEnoughReplicas},
		{partition.ErrNotEnoughReplicasAfterAppend, codeNotEnoughReplicasAfterAppend},
		{partition.ErrTimedOut, codeRequestTimedOut},
		{partition.ErrBusy, codeRequestTimedOut},
		{partition.ErrStorage, codeStorageError},
		{producer.ErrOutOfOrderSequence, codeOutOfOrderSequenceNumber},
		{producer.ErrInvalidProducerEpoch, codeInvalidProducerEpoch},
		{record.ErrTooLarge, codeMessageTooLarge},
		{record.ErrUnsupportedMagic, codeUnsupportedForMessageFormat},
		{record.ErrCorrupt, codeCorruptMessage},
		{record.ErrInvalid, codeInvalidRecord},
		{errRequiredAcks, codeInvalidRequiredAcks},
		{errCompressionType, codeUnsupportedCompressionType},
		// A transactional producer cannot get this far by the protocol: it needs a
		// coordinator, and FindCoordinator is not advertised. The code is one that
		// no client retries and that does not send anyone looking for ACLs.
		{errTransactions, codeInvalidTxnState},
		{producer.ErrTransactional, codeInvalidTxnState},

		// Reading.
		{partition.ErrOffsetOutOfRange, codeOffsetOutOfRange},
		{partition.ErrOffsetNotAvailable, codeOffsetNotAvailable},
		{errSessionNotFound, codeFetchSessionIDNotFound},
		{errSessionEpoch, codeInvalidFetchSessionEpoch},
		{errSessionTopicIDs, codeFetchSessionTopicIDError},
		{errReplicaFetch, codeInvalidRequest},

		// Administration.
		{ErrNoController, codeNotController},
		{errLoading, codeCoordinatorLoadInProgress},
		{cluster.ErrTopicExists, codeTopicAlreadyExists},
		{cluster.ErrInvalidTopic, codeInvalidTopic},
		{errInternalTopicReserved, codeInvalidTopic},
		{cluster.ErrInvalidPartitions, codeInvalidPartitions},
		{cluster.ErrInvalidReplicationFactor, codeInvalidReplicationFactor},
		{cluster.ErrInvalidReplicaAssignment, codeInvalidReplicaAssignment},
		{cluster.ErrInvalidConfig, codeInvalidConfig},
		{cluster.ErrInvalidRequest, codeInvalidRequest},
		{cluster.ErrStaleBrokerEpoch, codeStaleBrokerEpoch},
		{errUnsupportedVersion, codeUnsupportedVersion},
		{errEndpointType, codeMismatchedEndpointType},
		{errUnknownEndpointType, codeUnsupportedEndpointType},

		// A deadline that nobody above explained. The outcome is not known.
		{context.DeadlineExceeded, codeRequestTimedOut},
		{context.Canceled, codeRequestTimedOut}, // the connection is about to close
	}
}

// codeOf is the Kafka code of a cause: success only for no error at all, and
// UNKNOWN_SERVER_ERROR for what the mapping does not list.
func codeOf(err error) code {
	if err == nil {
		return codeNone
	}
	for _, c := range causes() {
		if errors.Is(err, c.cause) {
			return c.code
		}
	}
	return codeUnknownServerError
}

// message is the text that goes with a code, where the protocol has room for
// it.
func message(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	return &text
}

// topicError says which partition of which topic a cause concerns.
func topicError(name string, index int32, cause error) error {
	return fmt.Errorf("%s-%d: %w", name, index, cause)
}
