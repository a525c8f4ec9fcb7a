package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/api"
	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/controller"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/peer"
)

// assembleControl makes what talks to, and may be, the controller.
func (b *broker) assembleControl(peers []meta.Peer) {
	b.control = controller.New(controller.Options{Self: b.c.NodeID, Store: b.meta, Network: b.c.Network, Logger: b.log})
	b.mux.Handle(peer.KindController, func(ctx context.Context, remote peer.Hello, conn net.Conn) {
		b.links.PeerHello(remote.From) // it is up: links to it need not wait to dial again
		b.control.HandleConn(ctx, remote, conn)
	})
	b.client = controller.NewClient(controller.ClientOptions{
		Self: b.c.NodeID, Peers: peers, Network: b.c.Network, Hello: b.mux.Hello, Leader: b.meta.Leader, Local: b.control,
	})
	b.member = newMembership(b)
	b.relay = newRelay(b)
	b.proposer = newProposer(b)
}

// registration is the command that announces this incarnation.
func (b *broker) registration() (cluster.RegisterBroker, error) {
	client, err := cluster.ParseEndpoint(advertised(b.c.Advertise, b.ports.client))
	if err != nil {
		return cluster.RegisterBroker{}, err
	}
	peerAddr, err := cluster.ParseEndpoint(b.peerAddr())
	if err != nil {
		return cluster.RegisterBroker{}, err
	}
	reg := cluster.RegisterBroker{
		Broker: cluster.Broker{
			ID: b.c.NodeID, Incarnation: b.incarnation, Directory: b.dir.directory(),
			Client: client, Peer: peerAddr, Rack: b.c.Rack, Version: b.c.Version,
		},
		FailedReplicas: b.storage.report.Failed,
		Unclean:        b.storage.unclean,
	}
	if b.ports.http != nil {
		reg.Broker.HTTP = b.ports.http.Addr().String()
	}
	return reg, nil
}

// peerAddr is where the other brokers reach this one: what --peers says of it.
func (b *broker) peerAddr() string {
	for _, p := range b.c.Peers {
		if p.ID == b.c.NodeID {
			return p.Addr
		}
	}
	return advertised(b.c.PeerListen, b.ports.peer)
}

// proposer carries in-sync proposals to the controller, one batch at a time
// (K21). No partition waits for it.
type proposer struct {
	b     *broker
	queue chan []partition.Proposal
}

// maxProposalBatches bounds the batches that wait; what finds no room is
// proposed again by its partition.
const maxProposalBatches = 16

func newProposer(b *broker) *proposer {
	return &proposer{b: b, queue: make(chan []partition.Proposal, maxProposalBatches)}
}

// offer takes a batch, or drops it when too many wait.
func (p *proposer) offer(batch []partition.Proposal) {
	select {
	case p.queue <- batch:
	default:
	}
}

// Run sends batches until ctx ends.
func (p *proposer) Run(ctx context.Context) error {
	for {
		select {
		case batch := <-p.queue:
			p.send(ctx, batch)
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *proposer) send(ctx context.Context, batch []partition.Proposal) {
	cmd := cluster.AlterISR{Broker: p.b.c.NodeID, BrokerEpoch: p.b.member.epoch()}
	for _, one := range batch {
		cmd.Changes = append(cmd.Changes, cluster.ISRChange{
			TP: one.TP, LeaderEpoch: one.Epoch, PartitionEpoch: one.PartitionEpoch, ISR: one.ISR, Reason: one.Reason,
		})
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := p.b.client.Propose(call, cmd)
	for i, one := range batch {
		var each error
		if i < len(res.Errs) {
			each = res.Errs[i]
		}
		outcome := outcomeOf(err, each)
		p.b.log.Info("in-sync change", slog.String("partition", one.TP.String()), slog.String("why", one.Reason),
			slog.String("outcome", outcome.String()), slog.Any("error", errors.Join(err, each)))
		p.b.table.ProposalResolved(one, outcome)
	}
}

// outcomeOf says what an answer means for one proposal (K20).
func outcomeOf(call, change error) isr.Outcome {
	switch {
	case call != nil:
		return isr.OutcomeUnknown
	case change == nil:
		return isr.OutcomeAccepted
	case errors.Is(change, cluster.ErrIneligibleReplica):
		return isr.OutcomeRejected
	default:
		return isr.OutcomeStale
	}
}

// drain asks the controller to move this broker's leaderships and waits until
// it leads nothing that another broker could, at most for d, also when ctx has
// ended: that is what stops the broker.
func (m *membership) drain(ctx context.Context, d time.Duration) {
	b := m.b
	epoch := m.epoch()
	if epoch == 0 || len(b.c.Peers) <= 1 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	defer cancel()
	if _, err := b.client.Propose(ctx, cluster.DrainBroker{ID: b.c.NodeID, Epoch: epoch}); err != nil {
		b.log.Warn("stopping without a drain", slog.Any("error", err))
		return
	}
	for {
		img, changed := b.board.Watch()
		if leads(img, b.c.NodeID) == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			b.log.Warn("stopping while leading: no other replica is in sync", slog.Int("partitions", leads(img, b.c.NodeID)))
			return
		}
	}
}

// leads counts the partitions that a broker leads and another could: when all
// brokers stop at once there is nobody to wait for.
func leads(img *cluster.Image, id cluster.BrokerID) int {
	n := 0
	for _, t := range img.Topics() {
		for _, p := range t.Partitions {
			if p.Leader == id && slices.ContainsFunc(p.ISR, func(other cluster.BrokerID) bool {
				b, ok := img.Broker(other)
				return other != id && ok && b.Eligible()
			}) {
				n++
			}
		}
	}
	return n
}

// apiOptions wires the Kafka API to the parts it stands on.
func (b *broker) apiOptions() api.Options {
	return api.Options{
		Self: b.c.NodeID, Partitions: b.table, Metadata: b.board, Admin: admin{b},
		Controller: b.meta.Leader, Quorum: b.quorum, Links: b.links.Links, LogDir: b.logDir,
		AutoCreateTopics: *b.c.AutoCreateTopics, FetchBytes: int(b.c.MemoryBytes / 4), Logger: b.log,
		Traces: b.traces, HTTP: b.ports.httpAddr(b.c.HTTPListen),
	}
}

// membersTimeout bounds the question to the controller who is how far.
const membersTimeout = time.Second

// quorum describes the metadata log as this member sees it, and the others as the
// controller does; without a controller they are unknown.
func (b *broker) quorum(ctx context.Context) (api.Quorum, error) {
	s := b.meta.Status()
	q := api.Quorum{Leader: s.Leader, Term: int64(s.Term), CommitIndex: int64(s.CommitIndex)}
	ctx, cancel := context.WithTimeout(ctx, membersTimeout)
	defer cancel()
	heard, err := b.client.Members(ctx)
	if err != nil {
		b.log.Debug("cannot ask how far the members of the metadata log are", slog.Any("error", err))
	}
	now := time.Now()
	member := func(id cluster.BrokerID) api.QuorumMember {
		m := api.QuorumMember{ID: id, LastIndex: -1}
		if id == b.c.NodeID {
			m.LastIndex, m.LastContact = int64(s.LastIndex), now
			if s.LastIndex == s.CommitIndex {
				m.LastCaughtUp = now
			}
			return m
		}
		at := slices.IndexFunc(heard, func(h controller.Member) bool { return h.Broker == id })
		if at < 0 {
			return m
		}
		m.LastIndex, m.LastContact = int64(heard[at].AppliedIndex), now.Add(-heard[at].HeardAgo)
		if ago := heard[at].CaughtUpAgo; ago >= 0 {
			m.LastCaughtUp = now.Add(-ago)
		}
		return m
	}
	for _, id := range s.Voters {
		q.Voters = append(q.Voters, member(id))
	}
	for _, id := range s.Observers {
		q.Observers = append(q.Observers, member(id))
	}
	return q, nil
}

func (b *broker) logDir() api.LogDir {
	dir := api.LogDir{Path: b.c.DataDir, TotalBytes: -1, UsableBytes: -1, Failed: b.live() != nil}
	if free, err := b.c.FS.Free(b.c.DataDir); err == nil {
		dir.UsableBytes = int64(free)
	}
	return dir
}

// admin carries a client's administrative requests to the controller.
type admin struct{ b *broker }

// CreateTopic implements api.Admin.
func (a admin) CreateTopic(ctx context.Context, spec api.TopicSpec) (cluster.Result, error) {
	return translated(a.b.client.CreateTopic(ctx, controller.TopicSpec(spec)))
}

// DeleteTopic implements api.Admin.
func (a admin) DeleteTopic(ctx context.Context, id cluster.UUID, name string) (cluster.Result, error) {
	return translated(a.b.client.Propose(ctx, cluster.DeleteTopic{ID: id, Name: name}))
}

// AllocateProducerIDs implements api.Admin.
func (a admin) AllocateProducerIDs(ctx context.Context, count int32) (int64, error) {
	res, err := translated(a.b.client.Propose(ctx, cluster.AllocateProducerIDs{
		Broker: a.b.c.NodeID, BrokerEpoch: a.b.member.epoch(), Count: count,
	}))
	return res.FirstProducerID, err
}

func translated(res cluster.Result, err error) (cluster.Result, error) {
	if errors.Is(err, controller.ErrUnreachable) {
		err = fmt.Errorf("%w: %w", api.ErrNoController, err)
	}
	return res, err
}
