package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/peer"
)

const (
	// idleTimeout closes a connection over which nothing was asked. Sessions
	// are asked twice a second.
	idleTimeout = time.Minute
	// answerTimeout bounds the sending of an answer.
	answerTimeout = 5 * time.Second
	// maxWait bounds the time that a caller may ask the controller to take.
	maxWait = 30 * time.Second
)

// caller is who asks: a broker and the connection it asks over.
type caller struct {
	broker      cluster.BrokerID
	incarnation cluster.UUID
	conn        connID
}

// HandleConn serves a broker's requests, one after the other, until the
// connection ends. The end of one that carried heartbeats makes the broker a
// suspect.
func (c *Controller) HandleConn(ctx context.Context, remote peer.Hello, conn net.Conn) {
	who := caller{broker: remote.From, incarnation: remote.Incarnation, conn: connID(c.conns.Add(1))}
	for {
		var req request
		if err := readMessage(conn, &req, time.Now().Add(idleTimeout)); err != nil {
			break
		}
		if err := writeMessage(conn, c.answer(ctx, who, req), time.Now().Add(answerTimeout)); err != nil {
			break
		}
	}
	if t := c.term.Load(); t != nil && ctx.Err() == nil {
		t.connEnded(who.broker, who.conn)
	}
}

// answer answers one request within the time that the caller gives it.
func (c *Controller) answer(ctx context.Context, who caller, req request) response {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		return response{Again: "the controller has too many requests"}
	}
	if req.NewerThan != nil {
		return c.newerImage(*req.NewerThan)
	}
	wait := min(time.Duration(req.TimeoutMillis)*time.Millisecond, maxWait)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	t := c.term.Load()
	if t == nil {
		return c.notController()
	}
	if req.Members {
		return response{Members: t.members()}
	}
	res, err := t.handle(ctx, who, req)
	switch {
	case errors.Is(err, meta.ErrNotLeader):
		return c.notController()
	case errors.Is(err, meta.ErrBusy):
		return response{Again: err.Error()}
	case errors.Is(err, meta.ErrUnknownOutcome), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// Every request may be repeated: a second time it finds its own effect.
		return response{Again: err.Error(), Uncertain: true}
	}
	return response{Result: encodeResult(res), Err: encodeError(cmp.Or(err, res.Err))}
}

func (c *Controller) notController() response {
	lead, _ := c.o.Store.Leadership()
	hint := lead.Leader
	if lead.Self {
		hint = cluster.NoBroker // not in office yet
	}
	return response{NotController: true, Leader: hint}
}

// handle does what is asked, if the caller may ask it.
func (t *term) handle(ctx context.Context, who caller, req request) (cluster.Result, error) {
	switch {
	case req.Heartbeat != nil:
		if err := who.mayActFor(req.Heartbeat.Broker); err != nil {
			return cluster.Result{}, err
		}
		if b, ok := t.o.Store.Image().Broker(req.Heartbeat.Broker); ok && b.Incarnation != who.incarnation {
			// Another process registered under the id meanwhile.
			return cluster.Result{}, fmt.Errorf("broker %d is another process: %w", b.ID, cluster.ErrStaleBrokerEpoch)
		}
		return cluster.Result{}, t.heartbeat(who.conn, *req.Heartbeat)
	case req.Create != nil:
		return t.createTopic(ctx, *req.Create)
	case req.Command != nil:
		cmd, err := cluster.Decode(req.Command)
		if err != nil {
			return cluster.Result{}, err
		}
		return t.command(ctx, who, cmd)
	default:
		return cluster.Result{}, fmt.Errorf("empty request: %w", cluster.ErrInvalidRequest)
	}
}

// command proposes what brokers may propose. Fences are the controller's own.
func (t *term) command(ctx context.Context, who caller, cmd cluster.Command) (cluster.Result, error) {
	var err error
	switch c := cmd.(type) {
	case cluster.RegisterBroker:
		if c.Broker.Incarnation != who.incarnation {
			return cluster.Result{}, fmt.Errorf("incarnation %s registers %s: %w", who.incarnation, c.Broker.Incarnation, cluster.ErrInvalidRequest)
		}
		if err = who.mayActFor(c.Broker.ID); err == nil {
			return t.register(ctx, c)
		}
	case cluster.DrainBroker:
		if err = who.mayActFor(c.ID); err == nil {
			return t.drain(ctx, c)
		}
	case cluster.FailReplicas:
		err = who.mayActFor(c.ID)
	case cluster.AlterISR:
		err = who.mayActFor(c.Broker)
	case cluster.AllocateProducerIDs:
		err = who.mayActFor(c.Broker)
	case cluster.DeleteTopic, cluster.SetTopicConfigs, cluster.ElectLeaders:
	default:
		err = fmt.Errorf("%T is not a broker's to propose: %w", cmd, cluster.ErrInvalidRequest)
	}
	if err != nil {
		return cluster.Result{}, err
	}
	return t.o.Store.Propose(ctx, cmd)
}

// mayActFor refuses requests in another broker's name: the connection's
// preamble said who is calling.
func (who caller) mayActFor(id cluster.BrokerID) error {
	if who.broker == id {
		return nil
	}
	return fmt.Errorf("broker %d asks in the name of broker %d: %w", who.broker, id, cluster.ErrInvalidRequest)
}
