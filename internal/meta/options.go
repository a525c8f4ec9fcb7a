package meta

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
	"github.com/chronik-project/chronik/internal/vfs"
)

// Options configures a [Raft].
type Options struct {
	// Self is this broker; Peers lists all brokers, this one included, and is
	// the same list on every broker. See [Voters].
	Self  cluster.BrokerID
	Peers []Peer
	// Dir holds everything the log keeps on disk. It is created if missing.
	Dir string
	// Mux serves the peer port and Network dials it.
	Mux     *peer.Mux
	Network peer.Network
	// OnStuck is called at most once, with [ErrStuck], when this process cannot
	// go on: its disk hangs or failed, or the log holds what it does not
	// understand. It should end the process; others take over.
	//
	// The default only logs.
	OnStuck func(error)
	// ElectionTimeout is how long a follower waits for the leader before it
	// calls an election; it is randomised up to twice that. Before the first
	// leader it is LeaseTimeout.
	//
	// The default is 500 ms, or 25 ms if this broker is the only voter.
	ElectionTimeout time.Duration
	// LeaseTimeout is how long a leader stays in office without hearing from a
	// majority.
	//
	// The default is half of ElectionTimeout.
	LeaseTimeout time.Duration
	// CommitTimeout bounds how late followers learn what is committed.
	//
	// The default is 5 ms.
	CommitTimeout time.Duration
	// ProposeTimeout bounds Propose and Barrier beside their contexts.
	//
	// The default is 5 s.
	ProposeTimeout time.Duration
	// MaxProposals bounds the proposals under way; one more is refused with
	// [ErrBusy].
	//
	// The default is 256.
	MaxProposals int
	// StuckAfter is how long one write to the log may take.
	//
	// The default is 5 s.
	StuckAfter time.Duration
	// YieldAfter is how long one write may take before this member leaves the
	// lead to others.
	//
	// The default is 2 s.
	YieldAfter time.Duration
	// SnapshotEntries is the number of entries after which the image is written
	// to disk and the log is cut.
	//
	// The default is 8192.
	SnapshotEntries uint64
	// SnapshotInterval is how often the number of entries is looked at; it is
	// randomised up to twice that.
	//
	// The default is 30 s.
	SnapshotInterval time.Duration
	// SegmentBytes is the size of the log's files, which are preallocated. The
	// log is cut by whole files.
	//
	// The default is 16 MiB.
	SegmentBytes int
	// FS holds the two small files beside the log, which itself is on the
	// operating system's file system.
	//
	// The default is vfs.OS().
	FS vfs.FS
	// Logger receives changes of leadership, and raft's own messages.
	//
	// The default discards.
	Logger *slog.Logger

	// storeForTesting wraps the log's store.
	storeForTesting func(store) store
}

func (o Options) withDefaults() Options {
	if o.ElectionTimeout <= 0 {
		o.ElectionTimeout = 500 * time.Millisecond
		if voters := Voters(o.Peers); len(voters) == 1 && voters[0] == o.Self {
			o.ElectionTimeout = 25 * time.Millisecond
		}
	}
	if o.LeaseTimeout <= 0 {
		o.LeaseTimeout = o.ElectionTimeout / 2
	}
	if o.CommitTimeout <= 0 {
		o.CommitTimeout = 5 * time.Millisecond
	}
	if o.ProposeTimeout <= 0 {
		o.ProposeTimeout = 5 * time.Second
	}
	if o.MaxProposals <= 0 {
		o.MaxProposals = 256
	}
	if o.StuckAfter <= 0 {
		o.StuckAfter = 5 * time.Second
	}
	if o.YieldAfter <= 0 {
		o.YieldAfter = 2 * time.Second
	}
	if o.SnapshotEntries == 0 {
		o.SnapshotEntries = 8192
	}
	if o.SnapshotInterval <= 0 {
		o.SnapshotInterval = 30 * time.Second
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 16 << 20
	}
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnStuck == nil {
		logger := o.Logger
		o.OnStuck = func(err error) { logger.Error("metadata log is stuck", slog.String("error", err.Error())) }
	}
	return o
}

func (o Options) selfAddr() string {
	for _, p := range o.Peers {
		if p.ID == o.Self {
			return p.Addr
		}
	}
	return ""
}

func (o Options) validate() error {
	if o.selfAddr() == "" {
		return fmt.Errorf("metadata log of broker %d: the broker is not among its peers", o.Self)
	}
	seen := map[cluster.BrokerID]bool{}
	for _, p := range o.Peers {
		if p.ID < 0 || p.Addr == "" || seen[p.ID] {
			return fmt.Errorf("metadata log of broker %d: peer %d at %q: ids must be distinct and addresses given", o.Self, p.ID, p.Addr)
		}
		seen[p.ID] = true
	}
	if o.Mux == nil || o.Network == nil || o.Dir == "" {
		return fmt.Errorf("metadata log of broker %d: mux, network and directory must be given", o.Self)
	}
	return nil
}
