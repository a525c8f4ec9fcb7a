// Package api answers Kafka requests: one file per API key, named by the key. It
// reads the metadata image and the local partitions, and nothing in it waits
// for consensus on a connection's reader. What has to wait (an acknowledgement,
// a long poll, a topic that is being created) waits in the reply.
//
// Causes become Kafka's error codes in errors.go and nowhere else. The mapping
// is total and fails closed: a cause that it does not know is an
// UNKNOWN_SERVER_ERROR, never success.
package api

import (
	"cmp"
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/chronik-project/chronik/internal/budget"
	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/status"
	"github.com/chronik-project/chronik/internal/trace"
)

// Metadata is the metadata that this broker acts on. It must not run ahead of
// what the partitions have applied by more than the time that takes.
type Metadata interface {
	// Image is the newest image.
	Image() *cluster.Image
	// Watch returns the newest image and a channel that is closed when there is
	// a newer one.
	Watch() (*cluster.Image, <-chan struct{})
}

// Admin changes metadata through the controller. Its calls wait for consensus,
// so only replies make them. An error is one of package cluster's refusals,
// [ErrNoController], or the error of ctx when the outcome is not known.
type Admin interface {
	// CreateTopic returns once the topic is in the metadata log.
	CreateTopic(ctx context.Context, spec TopicSpec) (cluster.Result, error)
	// DeleteTopic deletes by id; a zero id means by name.
	DeleteTopic(ctx context.Context, id cluster.UUID, name string) (cluster.Result, error)
	// AllocateProducerIDs reserves count producer ids for this broker and
	// returns the first.
	AllocateProducerIDs(ctx context.Context, count int32) (first int64, err error)
}

// TopicSpec is a topic to be created.
type TopicSpec struct {
	Name string
	// Partitions and ReplicationFactor are set, and Assignment is nil, when the
	// controller is to place the replicas.
	Partitions        int
	ReplicationFactor int
	// Assignment holds each partition's replicas, preferred leader first.
	Assignment [][]cluster.BrokerID
	Configs    map[string]string
}

// Quorum is the state of the metadata log, as one of its members sees it.
// Indexes are -1 where it does not know.
type Quorum struct {
	Leader      cluster.BrokerID // NoBroker while there is none
	Term        int64
	CommitIndex int64
	Voters      []QuorumMember
	Observers   []QuorumMember
}

// QuorumMember is a replica of the metadata log.
type QuorumMember struct {
	ID        cluster.BrokerID
	LastIndex int64
	// LastContact is when the leader last heard from it; zero is unknown.
	LastContact time.Time
	// LastCaughtUp is when it last had everything; zero is unknown.
	LastCaughtUp time.Time
}

// LogDir is the directory that holds this broker's partitions.
type LogDir struct {
	Path        string
	TotalBytes  int64 // -1: unknown
	UsableBytes int64 // -1: unknown
	Failed      bool
}

// BrokerConfig is one setting of this broker, for DescribeConfigs.
type BrokerConfig struct {
	Name, Value string
	Default     bool // the value was not set
	Doc         string
}

// Options configure a [Table]. Self, Partitions, Metadata and Admin are
// required.
type Options struct {
	// Self is this broker.
	Self cluster.BrokerID
	// Partitions are the replicas on this broker.
	Partitions *partition.Table
	// Metadata is what this broker knows of the cluster.
	Metadata Metadata
	// Admin reaches the controller.
	Admin Admin
	// Controller says which broker takes administrative requests; clients are
	// told so. Any broker would do, since all of them pass the requests on.
	//
	// The default is this broker.
	Controller func() cluster.BrokerID
	// Quorum describes the metadata log. It may ask another broker.
	//
	// The default says that nothing is known.
	Quorum func(ctx context.Context) (Quorum, error)
	// Links are the replication links that leave this broker.
	//
	// The default is none.
	Links func() []status.Link
	// Traces keeps what became of produced batches. Nil keeps nothing.
	Traces *trace.Ring
	// HTTP is the address of this broker's HTTP listener, as it is configured.
	//
	// The default is none: the listener is off.
	HTTP string
	// LogDir describes the data directory.
	//
	// The default is one of unknown size, "chronik-data".
	LogDir func() LogDir
	// BrokerConfigs are this broker's settings.
	//
	// The default is none.
	BrokerConfigs func() []BrokerConfig

	// AutoCreateTopics lets clients create topics by asking for them.
	AutoCreateTopics bool
	// DefaultPartitions is used where a client leaves the number to the broker.
	//
	// The default is 1.
	DefaultPartitions int
	// DefaultReplicationFactor is used where a client leaves it to the broker.
	//
	// The default is 3, or the number of live brokers if there are fewer.
	DefaultReplicationFactor int
	// MaxTimeout bounds every timeout that a client asks for.
	//
	// The default is 60 s.
	MaxTimeout time.Duration
	// MaxFetchBytes bounds the records of one fetch response, whatever the
	// client asks for. The first batch is returned even if it is larger.
	//
	// The default is 55 MiB.
	MaxFetchBytes int
	// FetchBytes bounds the records of all fetch responses together, from the
	// moment they are read until the client has taken them. A response gets a
	// part of what is left, so that slow consumers leave room for others; one
	// that finds nothing left waits for a while, and then holds no records.
	//
	// The default is 64 MiB.
	FetchBytes int
	// MaxFetchSessions bounds the fetch sessions (KIP-227). A consumer that gets
	// none works the same way, with larger requests.
	//
	// The default is 1000.
	MaxFetchSessions int
	// MaxFetchSessionPartitions bounds the partitions of all sessions together.
	//
	// The default is 200000.
	MaxFetchSessionPartitions int
	// FetchSessionIdle is how long a session must have been unused before a new
	// one may take its place.
	//
	// The default is 2 min.
	FetchSessionIdle time.Duration
	// Logger receives state changes; nil discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Controller == nil {
		o.Controller = func() cluster.BrokerID { return o.Self }
	}
	if o.Quorum == nil {
		o.Quorum = func(context.Context) (Quorum, error) { return Quorum{Leader: cluster.NoBroker, CommitIndex: -1}, nil }
	}
	if o.Links == nil {
		o.Links = func() []status.Link { return nil }
	}
	if o.LogDir == nil {
		o.LogDir = func() LogDir { return LogDir{Path: "chronik-data", TotalBytes: -1, UsableBytes: -1} }
	}
	if o.BrokerConfigs == nil {
		o.BrokerConfigs = func() []BrokerConfig { return nil }
	}
	o.DefaultPartitions = cmp.Or(o.DefaultPartitions, 1)
	o.MaxTimeout = cmp.Or(o.MaxTimeout, time.Minute)
	o.MaxFetchBytes = cmp.Or(o.MaxFetchBytes, 55<<20)
	o.FetchBytes = cmp.Or(o.FetchBytes, 64<<20)
	o.MaxFetchSessions = cmp.Or(o.MaxFetchSessions, 1000)
	o.MaxFetchSessionPartitions = cmp.Or(o.MaxFetchSessionPartitions, 200_000)
	o.FetchSessionIdle = cmp.Or(o.FetchSessionIdle, 2*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Table answers the requests of the API keys that it lists. It implements
// wire.Handler.
type Table struct {
	o               Options
	born            time.Time
	apis            []api
	sessions        *fetchSessions
	room            *budget.Budget // for the records of fetch responses
	ids             *producerIDs
	maxMessageBytes int // of topics that do not say
}

// New returns a table. [Table.Run] has to run while it is used.
func New(o Options) *Table {
	o = o.withDefaults()
	return &Table{
		o:               o,
		born:            time.Now(),
		apis:            apis(),
		sessions:        newFetchSessions(o),
		room:            budget.New(o.FetchBytes),
		ids:             newProducerIDs(o.Admin, o.Logger),
		maxMessageBytes: int((&cluster.Topic{}).Config().MaxMessageBytes),
	}
}

// Run fetches producer ids ahead of need, until ctx ends.
func (t *Table) Run(ctx context.Context) error { return t.ids.run(ctx) }

// messageLimit is the largest batch that a topic takes. It looks at the one
// configuration it needs, since it runs for every batch.
func (t *Table) messageLimit(topic *cluster.Topic) int {
	if text, set := topic.Configs[cluster.ConfigMaxMessageBytes]; set {
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	}
	return t.maxMessageBytes
}

// timeout is a client's timeout, within bounds. Clients that send none, or
// nonsense, get what the Java client would send.
func (t *Table) timeout(millis int32) time.Duration {
	d := time.Duration(millis) * time.Millisecond
	if d <= 0 {
		d = 30 * time.Second
	}
	return min(d, t.o.MaxTimeout)
}
