package meta

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
)

const (
	// keepSnapshots is how many snapshots stay on disk.
	keepSnapshots = 2
	// rpcTimeout bounds one message to another member.
	rpcTimeout = 3 * time.Second
	// handoverTimeout bounds how long a leader that ends tries to hand over.
	handoverTimeout = time.Second
)

// Run opens the directory, takes part in the metadata log until ctx ends and
// leaves it in good order: a leader hands over first. It can be called once.
func (r *Raft) Run(ctx context.Context) (err error) {
	logs, err := r.openLog()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.Close()) }()
	hlog := newRaftLog(r.o.Logger)
	snapshots, err := r.openSnapshots()
	if err != nil {
		return err
	}
	// The streams outlive ctx, so that a leader can hand over.
	stream := newStream(context.WithoutCancel(ctx), r.o, r.callers)
	defer stream.served.Wait()
	g := newGate(raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		ServerAddressProvider: stream,
		Stream:                stream,
		MaxPool:               3,
		Timeout:               rpcTimeout,
		Logger:                hlog,
	}))
	defer func() { _ = g.Close() }() // closes the stream
	g.leads, g.reach, g.stored = r.leadsIn, stream.reach, newStored()
	guarded := &guardedStore{
		store: logs, after: r.o.StuckAfter, fail: r.stuck,
		yieldAfter: r.o.YieldAfter, yield: func(hangs bool) { r.hang(stream, hangs) },
		stored: g.stored,
	}
	if wrap := r.o.storeForTesting; wrap != nil {
		guarded.store = wrap(logs)
	}
	return r.runRaft(ctx, guarded, snapshots, g)
}

// runRaft is Run with the stores and the transport at hand.
func (r *Raft) runRaft(ctx context.Context, logs *guardedStore, snapshots raft.SnapshotStore, g *gate) error {
	notify := make(chan bool, 8)
	config := r.config(newRaftLog(r.o.Logger), notify)
	if err := dropCovered(logs, snapshots); err != nil {
		return err
	}
	if err := r.checkWhole(logs, snapshots); err != nil {
		return err
	}
	joining, err := r.prepare(logs, snapshots, g, config)
	if err != nil {
		return err
	}
	g.open.Store(!joining)
	g.pump.Go(g.run)
	defer g.shut()
	m, err := raft.NewRaft(config, &fsm{board: r.board, fail: r.stuck}, logs, logs, snapshots, g)
	if err != nil {
		return fmt.Errorf("start metadata log: %w", err)
	}
	r.setMember(m)
	work, cancel := context.WithCancel(ctx)
	joined := make(chan error, 1)
	go func() {
		defer close(joined)
		if joining {
			joined <- r.join(work, m, logs, g)
		}
	}()
	kept := make(chan error, 1)
	go func() {
		defer close(kept)
		kept <- r.keep(work, logs)
	}()
	err = r.serve(work, m, joined, kept, notify)
	cancel()
	r.handOver(m)
	r.setMember(nil)
	down := m.Shutdown()
	_ = g.Close() // wakes what waits for other members
	err = errors.Join(err, down.Error())
	r.waiting.Wait()
	for range joined { // closed when join has ended
	}
	for range kept { // as is this
	}
	r.board.setLeadership(Leadership{Leader: cluster.NoBroker})
	return err
}

func (r *Raft) config(hlog raftLog, notify chan<- bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = serverID(r.o.Self)
	// Until there is a leader for the first time nobody can be disturbed by an
	// early election: a cluster that starts need not wait as long.
	c.HeartbeatTimeout = r.o.LeaseTimeout
	c.ElectionTimeout = r.o.LeaseTimeout
	c.LeaderLeaseTimeout = r.o.LeaseTimeout
	c.CommitTimeout = r.o.CommitTimeout
	c.MaxAppendEntries = 512
	c.BatchApplyCh = true
	c.SnapshotThreshold = r.o.SnapshotEntries
	c.TrailingLogs = r.o.SnapshotEntries
	c.SnapshotInterval = r.o.SnapshotInterval
	c.NotifyCh = notify
	c.Logger = hlog
	return c
}

// lookInterval is how often who leads is looked at, and the witness written.
const lookInterval = 500 * time.Millisecond

// serve follows leadership until ctx ends, or joining or keeping fails. It touches
// no disk: a member whose disk hangs has to see that it leads no more, or its own
// broker would go on asking it.
func (r *Raft) serve(ctx context.Context, m *raft.Raft, joined, kept <-chan error, notify <-chan bool) error {
	seen := make(chan raft.Observation, 16)
	observer := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	m.RegisterObserver(observer)
	defer m.DeregisterObserver(observer)
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err, ok := <-joined:
			if err != nil {
				return err
			}
			if !ok {
				joined = nil
			}
		case err := <-kept:
			return err
		case <-notify:
		case <-r.look:
		case <-seen:
		case <-ticker.C: // observations may be dropped
		}
		if err := r.observe(m); err != nil {
			return err
		}
	}
}

// keep writes down the cluster's id and how far the log has come, until ctx ends.
func (r *Raft) keep(ctx context.Context, logs *guardedStore) error {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		img, changed := r.board.watch()
		if err := r.saveClusterID(img.ClusterID(), logs.watched); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-ticker.C:
			if err := logs.note(); err != nil {
				return err
			}
		}
	}
}

// observe puts up who leads and, once somebody does, ends the hurry of the
// start.
func (r *Raft) observe(m *raft.Raft) error {
	_, id := m.LeaderWithID()
	lead := Leadership{Leader: brokerID(id), Self: m.State() == raft.Leader, Term: m.CurrentTerm()}
	switch lead.Self = lead.Self && !r.hangs(); {
	case lead.Self:
		lead.Leader = r.o.Self
	case lead.Leader == r.o.Self: // raft still has to wait for its disk before it knows better
		lead.Leader = cluster.NoBroker
	}
	if r.board.setLeadership(lead) {
		r.o.Logger.Info("metadata leadership changed",
			slog.Int("leader", int(lead.Leader)), slog.Bool("self", lead.Self), slog.Uint64("term", lead.Term))
	}
	if lead.Leader == cluster.NoBroker {
		return nil
	}
	return r.endHurry(m)
}

// endHurry makes this member as patient with leaders as it is for good.
func (r *Raft) endHurry(m *raft.Raft) error {
	c := m.ReloadableConfig()
	if c.ElectionTimeout == r.o.ElectionTimeout {
		return nil
	}
	c.HeartbeatTimeout, c.ElectionTimeout = r.o.ElectionTimeout, r.o.ElectionTimeout
	if err := m.ReloadConfig(c); err != nil {
		return fmt.Errorf("configure metadata log: %w", err)
	}
	return nil
}

// handOver gives another member the lead, so that it need not wait for this
// one's silence.
func (r *Raft) handOver(m *raft.Raft) {
	if m.State() != raft.Leader || len(Voters(r.o.Peers)) < 2 {
		return
	}
	done := make(chan struct{})
	if !r.start(func(m *raft.Raft) {
		defer close(done)
		_ = m.LeadershipTransfer().Error() // without it the others elect one of them a little later
	}) {
		return
	}
	timer := time.NewTimer(handoverTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// isVoter reports whether this broker votes when the log is new.
func (r *Raft) isVoter() bool { return slices.Contains(Voters(r.o.Peers), r.o.Self) }
