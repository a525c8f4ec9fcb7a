package cluster

// Command is a change of the cluster's metadata. It is decided by [Apply] when
// its turn in the metadata log comes, never by the sender.
type Command interface{ commandType() commandType }

// commandType is the name of a command in the metadata log. The values are
// part of the log's format and must not be changed.
type commandType string

const (
	typeInitCluster         commandType = "init_cluster"
	typeRegisterBroker      commandType = "register_broker"
	typeFenceBroker         commandType = "fence_broker"
	typeUnfenceBroker       commandType = "unfence_broker"
	typeDrainBroker         commandType = "drain_broker"
	typeFailReplicas        commandType = "fail_replicas"
	typeCreateTopic         commandType = "create_topic"
	typeDeleteTopic         commandType = "delete_topic"
	typeSetTopicConfigs     commandType = "set_topic_configs"
	typeAlterISR            commandType = "alter_isr"
	typeElectLeaders        commandType = "elect_leaders"
	typeAllocateProducerIDs commandType = "allocate_producer_ids"
)

// InitCluster gives the cluster its id. The first one wins; the same id again
// is a success.
type InitCluster struct {
	ClusterID string `json:"cluster_id"`
}

// RegisterBroker starts a new incarnation of a broker: it fences the old one,
// grants a new broker epoch, the command's index, and leaves the broker fenced
// (R1, R12, K33). A repeat by the same incarnation changes only its addresses
// and answers with the epoch it has.
type RegisterBroker struct {
	// Broker names the incarnation; Epoch, Fenced and Draining are ignored.
	Broker Broker `json:"broker"`
	// FailedReplicas lists partitions whose log this broker found damaged: it
	// leaves their ISR and ELR.
	FailedReplicas []TopicPartition `json:"failed_replicas,omitempty"`
	// Unclean says that the last incarnation did not flush before it ended: the
	// broker leaves ISR and ELR of every topic with chronik.flush=async (K31).
	Unclean bool `json:"unclean,omitempty"`
}

// FenceBroker takes a broker out of all in-sync sets and leaderships (K36).
type FenceBroker struct {
	ID     BrokerID    `json:"id"`
	Epoch  BrokerEpoch `json:"epoch"`
	Reason string      `json:"reason,omitempty"`
}

// UnfenceBroker makes a broker eligible and elects it where nobody leads and
// it is an eligible leader replica.
type UnfenceBroker struct {
	ID    BrokerID    `json:"id"`
	Epoch BrokerEpoch `json:"epoch"`
}

// DrainBroker announces a broker's shutdown: its leaderships move to other
// in-sync members, and it leaves every in-sync set that it is not alone in
// (K38).
type DrainBroker struct {
	ID    BrokerID    `json:"id"`
	Epoch BrokerEpoch `json:"epoch"`
}

// FailReplicas takes a broker out of ISR and ELR of partitions whose log it
// found damaged while it runs (K39), and begins a new leader epoch of each.
type FailReplicas struct {
	ID         BrokerID         `json:"id"`
	Epoch      BrokerEpoch      `json:"epoch"`
	Partitions []TopicPartition `json:"partitions"`
}

// CreateTopic creates a topic; Assignment holds each partition's replicas,
// preferred leader first. The same id and name again is a success, also when the
// topic was deleted meanwhile: then it changes nothing.
type CreateTopic struct {
	ID         UUID              `json:"id"`
	Name       string            `json:"name"`
	Assignment [][]BrokerID      `json:"assignment"`
	Configs    map[string]string `json:"configs,omitempty"`
}

// DeleteTopic deletes a topic by id, or by name if the id is zero. When both
// are given they must belong together.
type DeleteTopic struct {
	ID   UUID   `json:"id"`
	Name string `json:"name,omitempty"`
}

// SetTopicConfigs sets and removes configurations of a topic, all or none.
type SetTopicConfigs struct {
	Name   string            `json:"name"`
	Set    map[string]string `json:"set,omitempty"`
	Delete []string          `json:"delete,omitempty"`
}

// AlterISR is a leader's batch of in-sync changes. Each one is judged by itself.
type AlterISR struct {
	Broker      BrokerID    `json:"broker"`
	BrokerEpoch BrokerEpoch `json:"broker_epoch"`
	Changes     []ISRChange `json:"changes"`
}

// ISRChange replaces one in-sync set, compared and swapped on both epochs
// (R11, K17).
type ISRChange struct {
	TP             TopicPartition `json:"tp"`
	LeaderEpoch    Epoch          `json:"leader_epoch"`
	PartitionEpoch PartitionEpoch `json:"partition_epoch"`
	ISR            []ISRMember    `json:"isr"`
	Reason         string         `json:"reason,omitempty"`
}

// ISRMember is a proposed in-sync member, under the broker epoch that the
// leader knows it by.
type ISRMember struct {
	ID    BrokerID    `json:"id"`
	Epoch BrokerEpoch `json:"epoch"`
}

// ElectLeaders moves leaderships to other in-sync members, or to eligible leader
// replicas in place of a leader that is dropped. Each change is judged by itself.
type ElectLeaders struct {
	Changes []LeaderChange `json:"changes"`
	Reason  string         `json:"reason,omitempty"`
}

// LeaderChange moves one leadership, compared and swapped on the partition epoch.
type LeaderChange struct {
	TP             TopicPartition `json:"tp"`
	PartitionEpoch PartitionEpoch `json:"partition_epoch"`
	Leader         BrokerID       `json:"leader"`
	// Drop takes the leader that is replaced out of the in-sync set, as fencing
	// it would: nobody waits for what is known not to work. When it is alone in
	// the set, an eligible leader replica may follow it.
	Drop bool `json:"drop,omitempty"`
}

// AllocateProducerIDs gives a broker a block of producer ids for its own use.
type AllocateProducerIDs struct {
	Broker      BrokerID    `json:"broker"`
	BrokerEpoch BrokerEpoch `json:"broker_epoch"`
	Count       int32       `json:"count"`
}

func (InitCluster) commandType() commandType         { return typeInitCluster }
func (RegisterBroker) commandType() commandType      { return typeRegisterBroker }
func (FenceBroker) commandType() commandType         { return typeFenceBroker }
func (UnfenceBroker) commandType() commandType       { return typeUnfenceBroker }
func (DrainBroker) commandType() commandType         { return typeDrainBroker }
func (FailReplicas) commandType() commandType        { return typeFailReplicas }
func (CreateTopic) commandType() commandType         { return typeCreateTopic }
func (DeleteTopic) commandType() commandType         { return typeDeleteTopic }
func (SetTopicConfigs) commandType() commandType     { return typeSetTopicConfigs }
func (AlterISR) commandType() commandType            { return typeAlterISR }
func (ElectLeaders) commandType() commandType        { return typeElectLeaders }
func (AllocateProducerIDs) commandType() commandType { return typeAllocateProducerIDs }
