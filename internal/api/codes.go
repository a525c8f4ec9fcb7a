package api

// code is a Kafka error code.
type code int16

// The codes that this package answers with, by Kafka's names.
const (
	codeUnknownServerError           code = -1
	codeNone                         code = 0
	codeOffsetOutOfRange             code = 1
	codeCorruptMessage               code = 2
	codeUnknownTopicOrPartition      code = 3
	codeLeaderNotAvailable           code = 5
	codeNotLeaderOrFollower          code = 6
	codeRequestTimedOut              code = 7
	codeMessageTooLarge              code = 10
	codeCoordinatorLoadInProgress    code = 14
	codeInvalidTopic                 code = 17
	codeNotEnoughReplicas            code = 19
	codeNotEnoughReplicasAfterAppend code = 20
	codeInvalidRequiredAcks          code = 21
	codeUnsupportedVersion           code = 35
	codeTopicAlreadyExists           code = 36
	codeInvalidPartitions            code = 37
	codeInvalidReplicationFactor     code = 38
	codeInvalidReplicaAssignment     code = 39
	codeInvalidConfig                code = 40
	codeNotController                code = 41
	codeInvalidRequest               code = 42
	codeUnsupportedForMessageFormat  code = 43
	codeOutOfOrderSequenceNumber     code = 45
	codeInvalidProducerEpoch         code = 47
	codeInvalidTxnState              code = 48
	codeStorageError                 code = 56
	codeFetchSessionIDNotFound       code = 70
	codeInvalidFetchSessionEpoch     code = 71
	codeFencedLeaderEpoch            code = 74
	codeUnknownLeaderEpoch           code = 75
	codeUnsupportedCompressionType   code = 76
	codeStaleBrokerEpoch             code = 77
	codeOffsetNotAvailable           code = 78
	codeInvalidRecord                code = 87
	codeUnknownTopicID               code = 100
	codeFetchSessionTopicIDError     code = 106
	codeMismatchedEndpointType       code = 114
	codeUnsupportedEndpointType      code = 115
)
