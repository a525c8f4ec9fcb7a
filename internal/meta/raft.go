package meta

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

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

// Raft is a broker's member of the replicated metadata log.
type Raft struct {
	o     Options
	board *board
	slots chan struct{} // bounds proposals; a slot is held until raft has answered
	// callers is registered from the start: a member that asks whether there is
	// a cluster is answered while this one still opens its log.
	callers net.Listener

	mu       sync.Mutex
	raft     *raft.Raft // guarded by mu; nil while Run is not up
	id       string     // guarded by mu; the persisted cluster id
	waiting  sync.WaitGroup
	stuckOne sync.Once
}

// NewRaft returns a member that does nothing yet: [Raft.Run] opens its
// directory and joins the others.
func NewRaft(o Options) (*Raft, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &Raft{o: o, board: newBoard(), slots: make(chan struct{}, o.MaxProposals)}
	if err := r.loadClusterID(); err != nil {
		return nil, err
	}
	r.callers = o.Mux.Listener(peer.KindRaft, peerAddr(o.selfAddr()))
	return r, nil
}

// Image is the latest applied image.
func (r *Raft) Image() *cluster.Image { return r.board.image() }

// Watch returns the latest image and a channel that is closed when it is not
// the latest any more.
func (r *Raft) Watch() (*cluster.Image, <-chan struct{}) { return r.board.watch() }

// AppliedIndex is the index of the latest image.
func (r *Raft) AppliedIndex() uint64 { return r.board.image().Index() }

// Leadership returns who leads and a channel that is closed when that changes.
func (r *Raft) Leadership() (Leadership, <-chan struct{}) { return r.board.leadership() }

// Leader is the broker that leads, NoBroker if none is known.
func (r *Raft) Leader() cluster.BrokerID {
	lead, _ := r.board.leadership()
	return lead.Leader
}

// ClusterID is the id that this broker knows its cluster by, also before it has
// caught up after a restart; empty if it never knew one.
func (r *Raft) ClusterID() string {
	if id := r.board.image().ClusterID(); id != "" {
		return id
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// member returns raft, or nil before Run and after.
func (r *Raft) member() *raft.Raft {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.raft
}

func (r *Raft) setMember(m *raft.Raft) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raft = m
}

// stuck passes the first fatal error on.
func (r *Raft) stuck(err error) {
	r.stuckOne.Do(func() { r.o.OnStuck(err) })
}

// Propose puts a command into the log and waits until it is applied here. It
// succeeds on the leader only: the error is [ErrNotLeader] or [ErrBusy] if the
// command was certainly not proposed, and [ErrUnknownOutcome] if it may be
// applied yet. Never call it while holding a lock.
func (r *Raft) Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	data, err := cluster.Encode(cmd)
	if err != nil {
		return cluster.Result{}, err
	}
	var res cluster.Result
	err = r.await(ctx, func(m *raft.Raft) error {
		future := m.Apply(data, r.o.ProposeTimeout)
		if err := future.Error(); err != nil {
			return err
		}
		var ok bool
		if res, ok = future.Response().(cluster.Result); !ok {
			return fmt.Errorf("state machine answered %T: %w", future.Response(), ErrStuck)
		}
		return nil
	})
	if err != nil {
		return cluster.Result{}, fmt.Errorf("propose %T: %w", cmd, err)
	}
	return res, nil
}

// Barrier waits until everything that was committed before is applied here. It
// succeeds on the leader only.
func (r *Raft) Barrier(ctx context.Context) error {
	err := r.await(ctx, func(m *raft.Raft) error { return m.Barrier(r.o.ProposeTimeout).Error() })
	if err != nil {
		return fmt.Errorf("metadata barrier: %w", err)
	}
	return nil
}

// await runs ask, which may block for as long as there is no majority, in a
// goroutine of its own and returns when it has or when time is up. Run waits
// for the goroutine: raft answers everything when it shuts down.
func (r *Raft) await(ctx context.Context, ask func(*raft.Raft) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.ProposeTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case r.slots <- struct{}{}:
	default:
		return ErrBusy
	}
	answer := make(chan error, 1)
	if !r.start(func(m *raft.Raft) {
		defer func() { <-r.slots }()
		answer <- ask(m)
	}) {
		<-r.slots
		return ErrNotLeader
	}
	select {
	case err := <-answer:
		return translate(err)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	}
}

// start runs fn in a goroutine that Run waits for. It reports false if Run is
// not up.
func (r *Raft) start(fn func(*raft.Raft)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.raft
	if m == nil {
		return false
	}
	r.waiting.Go(func() { fn(m) })
	return true
}

// translate says what raft's errors mean for the command.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	default:
		// Deposed, shut down or anything else while it was under way: another
		// member may hold the entry and commit it yet.
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
}
