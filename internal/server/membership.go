package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/controller"
	"github.com/chronik-project/chronik/internal/pause"
	"github.com/chronik-project/chronik/internal/replication"
)

// Times of a broker's membership.
const (
	heartbeatInterval = 500 * time.Millisecond
	registerRetry     = 50 * time.Millisecond
	callTimeout       = 2 * time.Second
	// silentAfter is how long another broker is not heard from before heartbeats
	// say so: two pings.
	silentAfter = time.Second
	// A broker that does not serve says why after firstExplanation, and then
	// every explainEvery.
	firstExplanation = 3 * time.Second
	explainEvery     = 10 * time.Second
	// yieldAfter is how long the disk hangs before this broker does not lead the
	// metadata log, if another can. From 3 s on partitions get other leaders and
	// in-sync sets, which a log on the same disk could not take.
	yieldAfter = 2 * time.Second
	// yieldWait is how long a heartbeat waits for that.
	yieldWait = 300 * time.Millisecond
	// hungDisk is the age of a sync of the write-ahead log from which this broker
	// asks to be fenced. While only a checkpoint hangs it can still serve reads.
	hungDisk = 10 * time.Second
	// duplicatePatience is how long a broker does not believe that another
	// process holds its id: a new controller takes everybody for alive at first.
	duplicatePatience = 3 * time.Second
	// corruptPatience is duplicatePatience for a broker that lost its log, and so
	// has a new directory id: the session of its own last process has to end.
	corruptPatience = 15 * time.Second
)

// membership keeps this broker registered with the controller. It owns the
// registration, the heartbeats and the way out.
type membership struct {
	b *broker
	// taken is set once a controller has taken a registration of this process.
	taken atomic.Bool
}

func newMembership(b *broker) *membership {
	return &membership{b: b}
}

// self is this incarnation's registration as applied here.
func (m *membership) self() (*cluster.Broker, bool) {
	self, ok := m.b.board.Image().Broker(m.b.c.NodeID)
	if !ok || self.Incarnation != m.b.incarnation {
		return nil, false
	}
	return self, true
}

// epoch is this incarnation's broker epoch, zero before it is registered.
func (m *membership) epoch() cluster.BrokerEpoch {
	if self, ok := m.self(); ok {
		return self.Epoch
	}
	return 0
}

// ready is nil when this broker serves, or says what it waits for.
func (m *membership) ready() error {
	if err := m.b.live(); err != nil {
		return err
	}
	switch self, ok := m.self(); {
	case !ok && m.taken.Load():
		return errors.New("registered, but no broker sends this one metadata: if that lasts, the cluster was founded without it; give every broker the same --peers from the start")
	case m.b.meta.Leader() == cluster.NoBroker:
		return errors.New("the metadata log has no leader: fewer than a majority of its voters reach each other")
	case !ok:
		return errors.New("not registered yet")
	case self.Fenced:
		return errors.New("registered, still fenced")
	case self.Draining:
		return errors.New("shutting down")
	default:
		return nil
	}
}

// awaitReady waits until this broker is registered and unfenced, and says from
// time to time what it waits for.
func (m *membership) awaitReady(ctx context.Context) error {
	explain := time.NewTimer(firstExplanation)
	defer explain.Stop()
	for {
		_, changed := m.b.board.Watch()
		if self, ok := m.self(); ok && !self.Fenced {
			return nil
		}
		select {
		case <-changed:
		case <-explain.C:
			explain.Reset(explainEvery)
			if why := m.ready(); why != nil {
				m.b.log.Warn("not serving yet", slog.Any("error", why))
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Run registers this incarnation, then keeps its session alive until ctx ends.
// A refusal that retrying cannot cure ends the broker.
func (m *membership) Run(ctx context.Context) error {
	if err := m.register(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	for {
		_, changed := m.b.board.Watch() // before the heartbeat, so that no image is missed
		if err := m.heartbeat(ctx); err != nil {
			return err
		}
		self, ok := m.self()
		settled := ok && !self.Fenced
		select {
		case <-ticker.C:
		case <-changed:
			if settled {
				// Only a broker that waits to be unfenced reports each image at once.
				select {
				case <-ticker.C:
				case <-ctx.Done():
					return nil
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// register announces this incarnation until the controller has taken it. It
// waits until this is known to be the process that the others mean by the id.
func (m *membership) register(ctx context.Context) error {
	b := m.b
	select {
	case <-b.meta.Admitted():
	case <-ctx.Done():
		return ctx.Err()
	}
	cmd, err := b.registration()
	if err != nil {
		return err
	}
	patience := duplicatePatience
	if b.storage.report.Corrupt {
		patience = corruptPatience
	}
	var said string
	var refused time.Time // since when the id is said to be taken
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := b.client.Propose(call, cmd)
		cancel()
		switch {
		case err == nil:
			m.taken.Store(true)
			return nil
		case !errors.Is(err, cluster.ErrDuplicateBroker):
			refused = time.Time{}
		case refused.IsZero():
			refused = time.Now()
		case time.Since(refused) > patience:
			return &StartError{
				fmt.Errorf("node %d is already running with another data directory: %w", b.c.NodeID, err),
				"give this broker its own --node-id, or stop the other one",
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if text := err.Error(); text != said {
			said = text
			b.log.Info("waiting for the controller", slog.Any("error", err))
		}
		if !pause.For(ctx, registerRetry) {
			return ctx.Err()
		}
	}
}

// heartbeat renews the session. It fails only if this incarnation was replaced.
func (m *membership) heartbeat(ctx context.Context) error {
	b := m.b
	beat := m.health()
	if beat.OldestFsyncAge > yieldAfter {
		m.yield(ctx)
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := b.client.Heartbeat(call, beat)
	switch {
	case err == nil:
		b.table.ControllerHeard()
		return nil
	case errors.Is(err, cluster.ErrStaleBrokerEpoch), errors.Is(err, cluster.ErrUnknownBroker):
		return m.register(ctx)
	default:
		return nil // the lease, and the controller's own clock, take it from here
	}
}

// yield has another broker lead the metadata log, if this one does.
func (m *membership) yield(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, yieldWait)
	defer cancel()
	if err := m.b.meta.Resign(ctx); err != nil {
		m.b.log.Warn("this broker's disk hangs, and it may still lead the metadata log", slog.Any("error", err))
	}
}

// health is what a heartbeat says.
func (m *membership) health() controller.Heartbeat {
	b := m.b
	fsyncAge := b.storage.wal.SyncInFlight()
	failed, failedIn := b.table.Failed()
	beat := controller.Heartbeat{
		Broker: b.c.NodeID, Epoch: m.epoch(), AppliedIndex: b.board.Image().Index(),
		WantFence: fsyncAge > hungDisk, OldestFsyncAge: b.table.DiskHangs(), FailedReplicas: failed, FailedIn: failedIn, LowSpace: b.table.LowSpace(),
	}
	leaders, followers := b.links.Silent(time.Now(), silentAfter)
	beat.NoLeaderStream, beat.NoFollowerStream = silences(leaders), silences(followers)
	return beat
}

// silences are those of replication, as a heartbeat carries them.
func silences(of []replication.Silence) []controller.Silence {
	var all []controller.Silence
	for _, s := range of {
		all = append(all, controller.Silence(s))
	}
	return all
}
