package controller

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/pause"
	"github.com/chronik-project/chronik/internal/peer"
)

// ErrOutcomeUnknown means that a request was sent and not answered before the
// deadline: it may have been carried out, or may yet be.
var ErrOutcomeUnknown = errors.New("no answer from the controller")

// ErrUnreachable means that no broker answered as the controller before the
// caller's time was up, and that the request was sent to none: nothing was
// changed, and nothing will be.
var ErrUnreachable = errors.New("no controller can be reached")

// ClientOptions configures a [Client].
type ClientOptions struct {
	Self    cluster.BrokerID
	Peers   []meta.Peer
	Network peer.Network
	Hello   func(kind peer.Kind, to cluster.BrokerID) peer.Hello
	// Leader is the broker that is believed to lead the metadata log. It must
	// not block.
	Leader func() cluster.BrokerID
	// Local answers when that is this broker.
	Local *Controller
	// AttemptTimeout bounds one attempt: a controller that does not answer may
	// have been replaced.
	//
	// The default is 3 s.
	AttemptTimeout time.Duration
	// MaxCalls bounds the calls under way; more wait for their turn.
	//
	// The default is 64.
	MaxCalls int
}

func (o ClientOptions) withDefaults() ClientOptions {
	o.AttemptTimeout = cmp.Or(o.AttemptTimeout, 3*time.Second)
	o.MaxCalls = cmp.Or(o.MaxCalls, 64)
	return o
}

// callTimeout bounds a call whose context has no deadline.
const callTimeout = 30 * time.Second

// Client carries requests to the controller. Every call is repeated until it
// has an answer or its context ends; requests are made so that a repeat finds
// the effect of an earlier attempt.
type Client struct {
	o     ClientOptions
	calls chan struct{} // one for each call under way
	// beat is held by the heartbeat under way: heartbeats have a connection of
	// their own, whose end tells the controller that this process is gone.
	beat  chan struct{}
	pool  pool
	alone pool // of heartbeats
}

// NewClient returns a client without connections.
func NewClient(o ClientOptions) *Client {
	o = o.withDefaults()
	return &Client{
		o: o, calls: make(chan struct{}, o.MaxCalls), beat: make(chan struct{}, 1),
		pool: pool{keep: maxIdleConns}, alone: pool{keep: 1},
	}
}

// Propose has a command applied and returns its outcome. The error is
// [ErrUnreachable], [ErrOutcomeUnknown], or what the controller refused the command with, which is
// then also Result.Err.
func (c *Client) Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	data, err := cluster.Encode(cmd)
	if err != nil {
		return cluster.Result{}, err
	}
	res, repeated, err := c.one(ctx, request{Command: data})
	if del, ok := cmd.(cluster.DeleteTopic); ok && repeated && errors.Is(err, cluster.ErrUnknownTopic) {
		return cluster.Result{TopicID: del.ID}, nil // an earlier attempt deleted it
	}
	return res, err
}

// CreateTopic creates a topic; errors are as for [Client.Propose].
func (c *Client) CreateTopic(ctx context.Context, spec TopicSpec) (cluster.Result, error) {
	id, err := cluster.NewUUID(rand.Reader)
	if err != nil {
		return cluster.Result{}, err
	}
	res, _, err := c.one(ctx, request{Create: &createRequest{ID: id, Spec: spec}})
	return res, err
}

// Heartbeat renews this broker's session. It fails with cluster.ErrUnknownBroker
// or cluster.ErrStaleBrokerEpoch if the broker must register (again).
func (c *Client) Heartbeat(ctx context.Context, h Heartbeat) error {
	select {
	case c.beat <- struct{}{}:
		defer func() { <-c.beat }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
	_, _, err := c.call(ctx, request{Heartbeat: &h}, &c.alone)
	return err
}

// Members asks what the controller has heard of the brokers.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	select {
	case c.calls <- struct{}{}:
		defer func() { <-c.calls }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: too many calls: %w", ErrUnreachable, ctx.Err())
	}
	resp, _, err := c.answered(ctx, request{Members: true}, &c.pool)
	return resp.Members, err
}

// Close closes the connections. Calls that are under way fail.
func (c *Client) Close() {
	c.pool.close()
	c.alone.close()
}

// one makes a call when it is its turn.
func (c *Client) one(ctx context.Context, req request) (res cluster.Result, repeated bool, err error) {
	select {
	case c.calls <- struct{}{}:
		defer func() { <-c.calls }()
	case <-ctx.Done():
		return cluster.Result{}, false, fmt.Errorf("%w: too many calls: %w", ErrUnreachable, ctx.Err())
	}
	return c.call(ctx, req, &c.pool)
}

// call asks for something to be done. It reports whether an earlier attempt may
// have been carried out.
func (c *Client) call(ctx context.Context, req request, from *pool) (res cluster.Result, repeated bool, err error) {
	resp, repeated, err := c.answered(ctx, req, from)
	if err != nil {
		return cluster.Result{}, repeated, err
	}
	res = resp.Result.decode()
	res.Err = resp.Err.decode()
	return res, repeated, res.Err
}

// answered asks whoever leads until somebody answers.
func (c *Client) answered(ctx context.Context, req request, from *pool) (resp response, repeated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	last := errors.New("the metadata log has no leader")
	hint := cluster.NoBroker
	for attempt := 0; ; attempt++ {
		to := c.o.Leader()
		switch {
		case hint != cluster.NoBroker:
			to, hint = hint, cluster.NoBroker
		case to == cluster.NoBroker:
			to = c.anyPeer(attempt)
		}
		if to != cluster.NoBroker {
			resp, sent, err := c.ask(ctx, to, req, from)
			switch {
			case err != nil:
				last, repeated = err, repeated || sent
			case resp.NotController:
				last, hint = fmt.Errorf("broker %d does not act as the controller", to), resp.Leader
			case resp.Again != "":
				last, repeated = errors.New(resp.Again), repeated || resp.Uncertain
			default:
				return resp, repeated, nil
			}
		}
		if !pause.For(ctx, retryPause) {
			cause := ErrUnreachable
			if repeated {
				cause = ErrOutcomeUnknown
			}
			return response{}, repeated, fmt.Errorf("%w: %w: %w", cause, last, ctx.Err())
		}
	}
}

// anyPeer is whom to ask for the leader while the metadata log does not tell: a
// broker that the others do not let in, since its id is in use, has to hear so.
func (c *Client) anyPeer(attempt int) cluster.BrokerID {
	var others []cluster.BrokerID
	for _, p := range c.o.Peers {
		if p.ID != c.o.Self {
			others = append(others, p.ID)
		}
	}
	if len(others) == 0 {
		return cluster.NoBroker
	}
	return others[attempt%len(others)]
}

// ask makes one attempt. sent says whether the request may have left this broker.
func (c *Client) ask(ctx context.Context, to cluster.BrokerID, req request, from *pool) (resp response, sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.AttemptTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	req.TimeoutMillis = max(1, time.Until(deadline).Milliseconds())
	if to == c.o.Self && c.o.Local != nil {
		hello := c.o.Hello(peer.KindController, to)
		return c.o.Local.answer(ctx, caller{broker: c.o.Self, incarnation: hello.Incarnation, conn: localConn}, req), true, nil
	}
	conn, err := c.connect(ctx, to, from)
	if err != nil {
		return response{}, false, err
	}
	resp, err = c.exchange(ctx, conn, req, deadline)
	from.give(conn, err == nil)
	return resp, true, err
}

// exchange sends a request and awaits the answer, but only for as long as the
// asked broker is believed to lead: one that was cut off may never answer.
func (c *Client) exchange(ctx context.Context, conn *pooled, req request, deadline time.Time) (response, error) {
	done := make(chan struct{})
	outdated := make(chan bool, 1)
	go func() {
		over := c.outdated(ctx, conn.to, done)
		if over {
			_ = conn.Close() // wakes the exchange
		}
		outdated <- over
	}()
	var resp response
	err := writeMessage(conn, req, deadline)
	if err == nil {
		err = readMessage(conn, &resp, deadline)
	}
	close(done)
	if <-outdated && err == nil {
		err = net.ErrClosed // the answer just came, and the connection is gone
	}
	if err != nil {
		return response{}, fmt.Errorf("ask controller %d: %w", conn.to, err)
	}
	return resp, nil
}

// outdated waits until there is no point in waiting for the broker's answer any
// more, and reports false if it came first.
func (c *Client) outdated(ctx context.Context, to cluster.BrokerID, done <-chan struct{}) bool {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return false
		case <-ctx.Done():
			return true
		case <-ticker.C:
			if now := c.o.Leader(); now != to && now != cluster.NoBroker {
				return true
			}
		}
	}
}

// connect takes a kept connection to the broker or dials one.
func (c *Client) connect(ctx context.Context, to cluster.BrokerID, from *pool) (*pooled, error) {
	if conn := from.take(to); conn != nil {
		return conn, nil
	}
	for _, p := range c.o.Peers {
		if p.ID != to {
			continue
		}
		conn, _, err := peer.Dial(ctx, peer.DialOptions{
			Network: c.o.Network, Addr: p.Addr, Hello: c.o.Hello(peer.KindController, to), Timeout: time.Second,
		})
		if err != nil {
			return nil, err
		}
		return &pooled{Conn: conn, to: to}, nil
	}
	return nil, fmt.Errorf("controller %d is not among the peers", to)
}
