package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/chronik-project/chronik/internal/api"
	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/controller"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/peer"
	"github.com/chronik-project/chronik/internal/replication"
	"github.com/chronik-project/chronik/internal/trace"
	"github.com/chronik-project/chronik/internal/wal"
	"github.com/chronik-project/chronik/internal/wire"
)

// Run runs a broker until ctx ends, then stops it gracefully: leaderships move
// away, clients get their due answers, everything is flushed. It returns early
// when a part fails for good. Configuration errors are a [ConfigError], and
// failures to start with a known way out a [StartError]; neither leaves
// anything half-created.
func Run(ctx context.Context, c Config) error {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return err
	}
	if err := c.checkSpace(); err != nil {
		return err
	}
	ports, err := c.bind()
	if err != nil {
		return err
	}
	b, err := open(c, ports)
	if err != nil {
		return errors.Join(err, ports.close())
	}
	return b.run(ctx)
}

// broker is a broker's parts. They are made by open, wired by hand, and set to
// work by run.
type broker struct {
	c           Config
	log         *slog.Logger
	incarnation cluster.UUID
	ports       listeners
	dir         *dataDir
	storage     storage
	table       *partition.Table
	mux         *peer.Mux
	meta        *meta.Raft
	control     *controller.Controller
	client      *controller.Client
	links       *replication.Manager
	api         *api.Table
	board       *board
	member      *membership
	relay       *relay
	proposer    *proposer
	traces      *trace.Ring
	stuck       chan error // the metadata log cannot go on
}

// storage is what recovery found.
type storage struct {
	wal     *wal.Log
	report  partition.RecoveryReport
	unclean bool // the last process did not end cleanly
}

// open takes the data directory and recovers what is in it.
func open(c Config, ports listeners) (_ *broker, err error) {
	b := &broker{c: c, log: c.Logger, ports: ports, board: newBoard(), traces: trace.NewRing(trace.RingBatches), stuck: make(chan error, 1)}
	if b.incarnation, err = cluster.NewUUID(rand.Reader); err != nil {
		return nil, err
	}
	if b.dir, b.storage.unclean, err = openDataDir(c.FS, c.DataDir, c.NodeID); err != nil {
		return nil, err
	}
	if err := b.assemble(); err != nil {
		// Nothing was written: the directory is as clean as it was.
		return nil, errors.Join(err, b.dir.close(!b.storage.unclean))
	}
	return b, nil
}

// assemble makes the parts, from the disk upwards.
func (b *broker) assemble() error {
	c := b.c
	if err := b.openStorage(); err != nil {
		return err
	}
	peers := b.metaPeers()
	b.mux = peer.NewMux(peer.Options{
		Self: c.NodeID, Incarnation: b.incarnation, Logger: b.log, Brokers: brokersOf(peers),
		ClusterID:   b.clusterID,
		BrokerEpoch: func() cluster.BrokerEpoch { return b.member.epoch() },
	})
	var err error
	b.meta, err = meta.NewRaft(meta.Options{
		Self: c.NodeID, Peers: peers, Dir: c.MetadataDir, Mux: b.mux, Network: c.Network,
		OnStuck: func(err error) { b.stuck <- err }, Logger: b.log,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("metadata log: %w", err), b.storage.wal.Close())
	}
	b.links = replication.New(replication.Options{
		Self: c.NodeID, Table: b.table, Network: c.Network, Hello: b.mux.Hello, Logger: b.log,
		LastFsync: b.storage.wal.LastSync,
	})
	b.storage.wal.AfterRound(b.links.FlushAcks)
	b.mux.Handle(peer.KindLive, b.links.ServeLive)
	b.mux.Handle(peer.KindBulk, b.links.ServeBulk)
	b.assembleControl(peers)
	b.api = api.New(b.apiOptions())
	return nil
}

// clusterID is the cluster's id as far as this broker knows, also before its
// metadata log is replayed; empty in a new cluster.
func (b *broker) clusterID() string {
	if id := b.meta.ClusterID(); id != "" {
		return id
	}
	return b.dir.clusterID()
}

// openStorage opens and replays the write-ahead log.
func (b *broker) openStorage() error {
	c := b.c
	log, err := wal.Open(wal.Options{
		FS: c.FS, Dir: filepath.Join(c.DataDir, "wal"), FileBytes: c.WALFileBytes,
		MaxBufferedBytes: int(c.MemoryBytes / 8), Logger: b.log,
	})
	if err != nil {
		return fmt.Errorf("write-ahead log: %w", err)
	}
	b.storage.wal = log
	b.table = partition.NewTable(partition.Options{
		Self: c.NodeID, Incarnation: b.incarnation, FS: c.FS, Dir: c.DataDir, WAL: log,
		Wake:      func(tp cluster.TopicPartition) { b.links.Wake(tp) },
		Propose:   func(p []partition.Proposal) { b.proposer.offer(p) },
		TailBytes: c.MemoryBytes / 4, CheckpointBytes: 4 * c.WALFileBytes, ScrubRate: c.ScrubBytesPerSecond, Logger: b.log,
	})
	if b.storage.report, err = b.table.Recover(); err != nil {
		return errors.Join(err, log.Close())
	}
	r := b.storage.report
	b.log.Info("recovered", slog.Int("replicas", r.Replicas), slog.Int64("replayed_bytes", r.Replayed),
		slog.Int64("torn_bytes", r.TornBytes), slog.Int("failed_replicas", len(r.Failed)), slog.Bool("corrupt", r.Corrupt))
	if r.Corrupt {
		// Recovery cannot name the replicas of which all records came after the damage.
		if err := b.dir.renew(); err != nil {
			return errors.Join(err, log.Close())
		}
	}
	return nil
}

// metaPeers are the brokers of the metadata log.
func (b *broker) metaPeers() []meta.Peer {
	if len(b.c.Peers) == 0 {
		return []meta.Peer{{ID: b.c.NodeID, Addr: advertised(b.c.PeerListen, b.ports.peer)}}
	}
	var peers []meta.Peer
	for _, p := range b.c.Peers {
		peers = append(peers, meta.Peer{ID: p.ID, Addr: p.Addr})
	}
	return peers
}

func brokersOf(peers []meta.Peer) []cluster.BrokerID {
	ids := make([]cluster.BrokerID, 0, len(peers))
	for _, p := range peers {
		ids = append(ids, p.ID)
	}
	return ids
}

// runMeta runs the metadata log, and says what to do about an id that is in use.
func (b *broker) runMeta(ctx context.Context) error {
	err := b.meta.Run(ctx)
	if errors.Is(err, meta.ErrNotAtAddress) {
		return &StartError{
			fmt.Errorf("node %d: %w", b.c.NodeID, err),
			"give every broker its own --node-id, and check this one's address in --peers",
		}
	}
	return err
}

// run starts the parts bottom up, waits, and stops them top down.
func (b *broker) run(ctx context.Context) error {
	limitMemory(b.c.MemoryBytes)
	// The write-ahead log and the metadata log outlive everything that writes
	// to them.
	s := newStack()
	s.start(ctx, "write-ahead log", b.storage.wal.Run)
	s.start(ctx, "segments", b.table.RunStorage)
	s.start(ctx, "peer port", func(ctx context.Context) error { return b.mux.Serve(ctx, b.ports.peer) })
	s.start(ctx, "metadata log", b.runMeta)
	s.start(ctx, "partitions", b.table.Run)
	s.start(ctx, "links", b.links.Run)
	s.start(ctx, "controller", b.control.Run)
	s.start(ctx, "metadata", b.reconcile)
	s.start(ctx, "in-sync proposals", b.proposer.Run)
	s.start(ctx, "membership", b.member.Run)
	s.start(ctx, "scrub", b.table.RunScrub)
	s.start(ctx, "metadata relay", b.relay.Run)
	s.start(ctx, "producer ids", b.api.Run)
	s.start(ctx, "clients", func(ctx context.Context) error {
		return wire.New(wire.Options{
			Listener: b.ports.client, Handler: b.api, RequestBytes: int(b.c.MemoryBytes / 4), Logger: b.log,
		}).Serve(ctx)
	})
	if b.ports.http != nil {
		h := health{live: b.live, ready: b.member.ready}
		m := &metrics{table: b.table, wal: b.storage.wal, links: b.links.Links, ready: b.member.ready}
		s.start(ctx, "HTTP", func(ctx context.Context) error { return serveHTTP(ctx, b.ports.http, h, m, b.serveTraces, b.log) })
	}
	s.start(ctx, "readiness", b.announce)

	var failure error
	select {
	case <-ctx.Done():
		b.log.Info("stopping")
		b.member.drain(ctx, b.c.DrainTimeout)
	case failure = <-s.failed:
	case failure = <-b.stuck:
		return b.abandon(failure, s)
	}
	err := errors.Join(failure, s.stop())
	return errors.Join(err, b.dir.close(err == nil))
}

// abandonAfter is how long a stop may take when the metadata log is stuck.
const abandonAfter = 3 * time.Second

// abandon stops what can be stopped when the metadata log's disk does not answer.
// Whatever waits for that disk does not end; the process has to, and its ports
// have to be closed by then, or others would take it for alive.
func (b *broker) abandon(failure error, s *stack) error {
	b.log.Error("cannot go on", slog.Any("error", failure))
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	timer := time.NewTimer(abandonAfter)
	defer timer.Stop()
	select {
	case err := <-stopped:
		return errors.Join(failure, err, b.dir.close(false))
	case <-timer.C:
		return errors.Join(failure, errAbandoned, b.ports.close())
	}
}

// errAbandoned says that parts of the broker still wait for the disk.
var errAbandoned = errors.New("stopped without waiting for the disk any longer")

// live is nil unless the broker cannot go on.
func (b *broker) live() error { return b.storage.wal.Err() }

// announce prints the readiness line once the broker serves.
func (b *broker) announce(ctx context.Context) error {
	if err := b.member.awaitReady(ctx); err != nil {
		return err // stopped before
	}
	httpAddr := HTTPOff
	if b.ports.http != nil {
		httpAddr = b.ports.http.Addr().String()
	}
	_, err := fmt.Fprintf(b.c.Ready, "chronik ready: node %d, clients %s, peers %s, http %s, cluster %s\n",
		b.c.NodeID, b.ports.client.Addr(), b.ports.peer.Addr(), httpAddr, b.dir.clusterID())
	if err != nil {
		b.log.Warn("cannot print the readiness line", slog.Any("error", err))
	}
	<-ctx.Done()
	return nil
}

// reconcile applies every image to the replicas, then to the links, then shows
// it to requests: from this process's registration on, as older ones are those
// that the metadata log is replayed through after a restart.
func (b *broker) reconcile(ctx context.Context) error {
	registered := false
	for {
		img, changed, relayed := b.relay.watch()
		if id := img.ClusterID(); id != "" {
			if err := b.dir.adopt(id); err != nil {
				return err
			}
		}
		b.table.Apply(img)
		b.links.Apply(img)
		if self, ok := img.Broker(b.c.NodeID); registered || ok && self.Incarnation == b.incarnation {
			registered = true
			b.board.publish(img)
		}
		select {
		case <-changed:
		case <-relayed:
		case <-ctx.Done():
			return nil
		}
	}
}
