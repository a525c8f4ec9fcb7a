package partition

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// Options configures a [Table]. Zero values mean the defaults named here.
type Options struct {
	// Self is this broker.
	Self cluster.BrokerID
	// Incarnation identifies this run of the process: metadata that was granted
	// to an earlier run is never acted on (R1).
	Incarnation cluster.UUID
	// FS holds the data directory.
	FS vfs.FS
	// Dir is the data directory; replicas live in Dir/topics.
	Dir string
	// WAL is the broker's write-ahead log.
	WAL *wal.Log
	// ISR holds the in-sync policy's times.
	ISR isr.Options
	// Wake nudges the replication links after an append, a high-watermark move or
	// a change of role. It must not block. The default does nothing.
	Wake func(cluster.TopicPartition)
	// Propose hands in-sync changes to whoever talks to the controller. It must
	// not block; a proposal that is dropped is made again. The default drops.
	Propose func([]Proposal)
	// Lease is how long a leader without word from the controller, or from every
	// in-sync replica, keeps serving (replication.md §3.7).
	//
	// The default is 4 s.
	Lease time.Duration
	// TailBytes bounds the recent batches kept in memory over all partitions.
	// Beyond it they are written to segments; appends wait for that once there
	// is half as much again, but at least 8 MiB.
	//
	// The default is 64 MiB.
	TailBytes int64
	// CheckpointBytes is the amount of write-ahead log after which a checkpoint
	// is made, so that log files can be reused; at most a quarter of the log's
	// MaxReplayBytes.
	//
	// The default is 128 MiB.
	CheckpointBytes int64
	// CheckpointInterval is the longest time between checkpoints of a log that
	// is written to.
	//
	// The default is 30 s.
	CheckpointInterval time.Duration
	// CheckpointSyncs is how many replicas a checkpoint syncs at a time. More
	// end it no sooner than a few, and fill the disk's queue in front of the
	// write-ahead log.
	//
	// The default is 4.
	CheckpointSyncs int
	// ReserveBytes is the free disk space below which nothing is appended.
	//
	// The default is twice TailBytes.
	ReserveBytes int64
	// ScrubRate is how many bytes per second of segment files are checked in the
	// background at most; negative turns that off.
	//
	// The default is 16 MiB.
	ScrubRate int64
	// Now is the clock.
	//
	// The default is time.Now.
	Now func() time.Time
	// Logger receives state changes; nil discards them.
	Logger *slog.Logger
}

// DefaultLease is the default of Options.Lease.
const DefaultLease = 4 * time.Second

func (o Options) withDefaults() Options {
	if o.Wake == nil {
		o.Wake = func(cluster.TopicPartition) {}
	}
	if o.Propose == nil {
		o.Propose = func([]Proposal) {}
	}
	o.Lease = cmp.Or(o.Lease, DefaultLease)
	o.TailBytes = cmp.Or(o.TailBytes, 64<<20)
	o.ReserveBytes = cmp.Or(o.ReserveBytes, 2*o.TailBytes)
	o.CheckpointBytes = cmp.Or(o.CheckpointBytes, 128<<20)
	o.CheckpointInterval = cmp.Or(o.CheckpointInterval, 30*time.Second)
	o.CheckpointSyncs = cmp.Or(o.CheckpointSyncs, 4)
	o.ScrubRate = cmp.Or(o.ScrubRate, 16<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Proposal is an in-sync change that a leader on this broker asks for.
type Proposal struct {
	TP cluster.TopicPartition
	isr.Proposal
}

// Table holds every replica on this broker. Lookups are safe from any
// goroutine; images are applied by one (the broker's reconcile loop).
type Table struct {
	o Options

	mu       sync.RWMutex
	replicas map[cluster.TopicPartition]*Replica // guarded by mu
	applied  appliedImage                        // guarded by mu

	// controllerAt and peerAt carry the lease (see lease.go); nanoseconds since
	// started, so that reading them on the produce path costs one load.
	started      time.Time
	controllerAt atomic.Int64
	peerAt       sync.Map // cluster.BrokerID → *atomic.Int64

	checkpoint checkpointer // owned by RunStorage
	// reported are the replicas that Recover found failed, until the cluster
	// knows. Owned by Recover, then by RunStorage.
	reported []cluster.TopicPartition
	asides   asides      // owned as reported is
	lowSpace atomic.Bool // set by RunStorage: the disk is down to its reserve
	tails    tails

	// applying is held while roles change by metadata: by Apply, and while a
	// replica is replaced by an empty one.
	applying turn
	chores   chores
	scrubbed scrubber
}

// appliedImage is the newest metadata this table has acted on.
type appliedImage struct {
	img        *cluster.Image
	registered bool          // img holds this incarnation's registration (R5)
	next       chan struct{} // closed when the next image has been applied
}

// NewTable returns an empty table. Call [Table.Recover] before anything else.
func NewTable(o Options) *Table {
	o = o.withDefaults()
	return &Table{
		o:        o,
		replicas: map[cluster.TopicPartition]*Replica{},
		applied:  appliedImage{img: cluster.NewImage(), next: make(chan struct{})},
		started:  o.Now(),
		asides:   asides{},
		tails:    newTails(o.TailBytes),
		applying: newTurn(),
	}
}

// Get returns the local replica of a partition.
func (t *Table) Get(tp cluster.TopicPartition) (*Replica, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r, ok := t.replicas[tp]
	return r, ok
}

// unordered returns all local replicas.
func (t *Table) unordered() []*Replica {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*Replica, 0, len(t.replicas))
	for _, r := range t.replicas {
		all = append(all, r)
	}
	return all
}

// Replicas returns all local replicas, ordered by topic id and partition.
func (t *Table) Replicas() []*Replica {
	all := t.unordered()
	slices.SortFunc(all, func(a, b *Replica) int {
		return cmp.Or(slices.Compare(a.tp.TopicID[:], b.tp.TopicID[:]), cmp.Compare(a.tp.Partition, b.tp.Partition))
	})
	return all
}

// Applied returns the index of the newest image that this table has acted on,
// and a channel that is closed once a newer one has been.
func (t *Table) Applied() (index uint64, changed <-chan struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.applied.img.Index(), t.applied.next
}

// image returns the applied image and whether it knows this incarnation.
func (t *Table) image() (*cluster.Image, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.applied.img, t.applied.registered
}
