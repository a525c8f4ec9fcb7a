package cluster

import "errors"

// Causes for which a command is refused. [Apply] wraps them with the place and
// the values; package api turns them into Kafka's error codes.
var (
	// ErrTopicExists refuses a second topic of the same name.
	ErrTopicExists = errors.New("topic already exists")
	// ErrUnknownTopic means that no such topic or partition exists.
	ErrUnknownTopic = errors.New("unknown topic or partition")
	// ErrInvalidTopic refuses a name that no topic may have.
	ErrInvalidTopic = errors.New("invalid topic name")
	// ErrUnknownBroker means that the broker never registered.
	ErrUnknownBroker = errors.New("unknown broker")
	// ErrStaleBrokerEpoch fences a broker that has registered anew since.
	ErrStaleBrokerEpoch = errors.New("stale broker epoch")
	// ErrDuplicateBroker refuses a registration while another process with
	// another data directory is alive under the same broker id.
	ErrDuplicateBroker = errors.New("broker id is in use by another data directory")
	// ErrFencedLeaderEpoch fences a leader that another one has followed.
	ErrFencedLeaderEpoch = errors.New("fenced leader epoch")
	// ErrUnknownLeaderEpoch answers a leader epoch that was never granted.
	ErrUnknownLeaderEpoch = errors.New("unknown leader epoch")
	// ErrInvalidUpdateVersion means that the partition changed since the
	// requester looked: the compare-and-swap on the partition epoch failed.
	ErrInvalidUpdateVersion = errors.New("partition epoch has moved on")
	// ErrIneligibleReplica refuses a member that is fenced, shutting down,
	// unknown or registered anew. It is definite: nothing was changed.
	ErrIneligibleReplica = errors.New("replica is not eligible for the in-sync set")
	// ErrNotLeader refuses a change that only the partition's leader may ask for.
	ErrNotLeader = errors.New("not the leader of the partition")
	// ErrInvalidConfig refuses a topic configuration.
	ErrInvalidConfig = errors.New("invalid topic configuration")
	// ErrInvalidRequest refuses a command that no correct sender builds.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrInvalidReplicaAssignment refuses an assignment of partitions to brokers.
	ErrInvalidReplicaAssignment = errors.New("invalid replica assignment")
	// ErrInvalidReplicationFactor refuses a factor that the live brokers cannot hold.
	ErrInvalidReplicationFactor = errors.New("invalid replication factor")
	// ErrInvalidPartitions refuses a number of partitions.
	ErrInvalidPartitions = errors.New("invalid number of partitions")
	// ErrClusterInitialized refuses a second, different cluster id.
	ErrClusterInitialized = errors.New("cluster already has another id")
)
