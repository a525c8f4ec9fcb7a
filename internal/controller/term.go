package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

const (
	// decideInterval is how often the clocks of sessions and plans are looked at.
	decideInterval = 100 * time.Millisecond
	// probeTimeout bounds one dial of a broker whose connection ended.
	probeTimeout = time.Second
)

// term is one time in office. What it remembers begins and ends with it.
type term struct {
	o    Options
	wake chan struct{} // holds one: something was heard

	mu      sync.Mutex
	*Office               // guarded by mu
	heard   chan struct{} // guarded by mu; closed at the next heartbeat
}

func newTerm(o Options) *term {
	return &term{
		o:      o,
		wake:   make(chan struct{}, 1),
		Office: NewOffice(o, time.Now(), o.Store.Image()),
		heard:  make(chan struct{}),
	}
}

// run decides until ctx ends.
func (t *term) run(ctx context.Context) {
	var probes sync.WaitGroup
	defer probes.Wait()
	ticker := time.NewTicker(decideInterval)
	defer ticker.Stop()
	for {
		cmds, due := t.decide()
		for _, b := range due {
			probes.Go(func() { t.probe(ctx, b) })
		}
		for _, cmd := range cmds {
			t.propose(ctx, cmd)
		}
		select {
		case <-ticker.C:
		case <-t.wake:
		case <-ctx.Done():
			return
		}
	}
}

// decide returns what is to be done now.
func (t *term) decide() ([]cluster.Command, []*cluster.Broker) {
	img, now := t.o.Store.Image(), time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Decide(now, img), t.Probes(now, img)
}

// propose has a decision applied. If it fails, the next look at the image
// decides anew.
func (t *term) propose(ctx context.Context, cmd cluster.Command) {
	res, err := t.o.Store.Propose(ctx, cmd)
	attrs := describe(cmd)
	if err = cmp.Or(err, res.Err); err != nil {
		t.o.Logger.LogAttrs(ctx, slog.LevelWarn, "decision was not applied", append(attrs, slog.String("error", err.Error()))...)
		return
	}
	t.o.Logger.LogAttrs(ctx, slog.LevelInfo, "decided", attrs...)
}

// describe is what the log says of a decision.
func describe(cmd cluster.Command) []slog.Attr {
	broker := func(id cluster.BrokerID) slog.Attr { return slog.Int("broker", int(id)) }
	switch c := cmd.(type) {
	case cluster.FenceBroker:
		return []slog.Attr{slog.String("what", "fence"), broker(c.ID), slog.String("reason", c.Reason)}
	case cluster.UnfenceBroker:
		return []slog.Attr{slog.String("what", "unfence"), broker(c.ID)}
	case cluster.FailReplicas:
		return []slog.Attr{slog.String("what", "drop failed replicas"), broker(c.ID), slog.Int("partitions", len(c.Partitions))}
	case cluster.ElectLeaders:
		return []slog.Attr{slog.String("what", "move leaderships"), slog.String("reason", c.Reason), slog.Int("partitions", len(c.Changes))}
	default:
		return []slog.Attr{slog.String("what", fmt.Sprintf("%T", cmd))}
	}
}

// probe dials a broker whose connection ended and notes what came of it.
func (t *term) probe(ctx context.Context, b *cluster.Broker) {
	refused := t.dial(ctx, b.Peer.String())
	t.mu.Lock()
	t.Probed(time.Now(), b.ID, refused)
	t.mu.Unlock()
	t.kick()
}

// dial reports whether the machine is up and nobody listens there. A timeout or
// an unreachable network proves nothing.
func (t *term) dial(ctx context.Context, addr string) (refused bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := t.o.Network.DialContext(ctx, addr)
	if err == nil {
		_ = conn.Close() // it only had to be there
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// kick makes run look again soon.
func (t *term) kick() {
	select {
	case t.wake <- struct{}{}:
	default: // it will
	}
}

// heartbeat notes that a broker is alive.
func (t *term) heartbeat(conn connID, h Heartbeat) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.Heard(time.Now(), uint64(conn), h, t.o.Store.Image()); err != nil {
		return err
	}
	close(t.heard)
	t.heard = make(chan struct{})
	t.kick()
	return nil
}

// members describes the brokers that sent heartbeats in this term.
func (t *term) members() []Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Members(time.Now())
}

// connEnded makes a broker whose heartbeats came over the connection a suspect.
func (t *term) connEnded(id cluster.BrokerID, conn connID) {
	t.mu.Lock()
	t.Ended(time.Now(), id, uint64(conn))
	t.mu.Unlock()
	t.kick()
}

// register has a new incarnation accepted.
func (t *term) register(ctx context.Context, cmd cluster.RegisterBroker) (cluster.Result, error) {
	t.mu.Lock()
	err := t.MayRegister(time.Now(), cmd.Broker, t.o.Store.Image())
	t.mu.Unlock()
	if err != nil {
		return cluster.Result{}, err
	}
	was, _ := t.o.Store.Image().Broker(cmd.Broker.ID)
	res, err := t.o.Store.Propose(ctx, cmd)
	if err != nil || res.Err != nil || (was != nil && was.Epoch == res.BrokerEpoch) {
		return res, err // refused, or the same incarnation once more
	}
	t.mu.Lock()
	t.Registered(time.Now(), cmd.Broker.ID)
	t.mu.Unlock()
	return res, nil
}

// drain announces a broker's shutdown and waits until the other live brokers
// act on it, so that none still sends it what it must not get (K38). Time
// running out is no error: the change is made.
func (t *term) drain(ctx context.Context, cmd cluster.DrainBroker) (cluster.Result, error) {
	res, err := t.o.Store.Propose(ctx, cmd)
	if err != nil || res.Err != nil {
		return res, err
	}
	for {
		t.mu.Lock()
		reached, heard := t.sessions.reached(res.Index, cmd.ID, t.o.Store.Image()), t.heard
		t.mu.Unlock()
		if reached {
			return res, nil
		}
		select {
		case <-heard:
		case <-ctx.Done():
			return res, nil
		}
	}
}
