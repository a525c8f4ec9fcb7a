package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/peer"
)

// ErrUnreachable means that no broker acted as the controller before the
// caller's time was up. A command may or may not have been applied.
var ErrUnreachable = errors.New("no controller can be reached")

// Heartbeat is what a broker reports of itself.
type Heartbeat struct {
	Broker cluster.BrokerID    `json:"broker"`
	Epoch  cluster.BrokerEpoch `json:"epoch"`
	// AppliedIndex is the newest image that its replicas act on.
	AppliedIndex uint64 `json:"applied_index"`
	// OldestFsyncAge is how long a sync of its disk has been under way.
	OldestFsyncAge time.Duration `json:"oldest_fsync_age_ns,omitempty"`
	// FailedReplicas do not serve: their disk or log refused.
	FailedReplicas []cluster.TopicPartition `json:"failed_replicas,omitempty"`
}

// TopicSpec asks for a topic. Without Assignment the controller places the
// replicas.
type TopicSpec struct {
	Name              string               `json:"name"`
	Partitions        int                  `json:"partitions,omitempty"`
	ReplicationFactor int                  `json:"replication_factor,omitempty"`
	Assignment        [][]cluster.BrokerID `json:"assignment,omitempty"`
	Configs           map[string]string    `json:"configs,omitempty"`
}

// ClientOptions configures a [Client].
type ClientOptions struct {
	Self    cluster.BrokerID
	Peers   []meta.Peer
	Network peer.Network
	Hello   func(kind peer.Kind, to cluster.BrokerID) peer.Hello
	// Leader is the broker that is believed to lead the metadata log.
	Leader func() cluster.BrokerID
	// Local answers when that is this broker.
	Local *Controller
}

// maxIdleConns bounds the connections that wait for the next call.
const maxIdleConns = 8

// retryPause is how long a call waits before it looks for the controller again.
const retryPause = 20 * time.Millisecond

// Client carries requests to the controller. Every call retries until it has
// an answer or its context ends.
type Client struct {
	o ClientOptions
	// beat serialises heartbeats: they have a connection of their own, whose end
	// tells the controller that this process is gone.
	beat chan struct{}

	mu      sync.Mutex
	idle    []*clientConn // guarded by mu; all to the same broker
	session *clientConn   // owned by the holder of beat
}

type clientConn struct {
	net.Conn
	to cluster.BrokerID
}

// NewClient returns a client without connections.
func NewClient(o ClientOptions) *Client {
	return &Client{o: o, beat: make(chan struct{}, 1)}
}

// Propose has a command applied and returns its outcome. Result.Err is also
// returned as the error.
func (c *Client) Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	data, err := cluster.Encode(cmd)
	if err != nil {
		return cluster.Result{}, err
	}
	return c.call(ctx, request{Command: json.RawMessage(data)}, false)
}

// CreateTopic creates a topic.
func (c *Client) CreateTopic(ctx context.Context, spec TopicSpec) (cluster.Result, error) {
	return c.call(ctx, request{Create: &spec}, false)
}

// Heartbeat renews this broker's session.
func (c *Client) Heartbeat(ctx context.Context, h Heartbeat) error {
	select {
	case c.beat <- struct{}{}:
		defer func() { <-c.beat }()
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := c.call(ctx, request{Heartbeat: &h}, true)
	return err
}

// Close closes the connections.
func (c *Client) Close() {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, conn := range idle {
		_ = conn.Close()
	}
	c.beat <- struct{}{}
	if c.session != nil {
		_ = c.session.Close()
		c.session = nil
	}
	<-c.beat
}

// call asks whoever leads until somebody answers.
func (c *Client) call(ctx context.Context, req request, session bool) (cluster.Result, error) {
	last := errors.New("the metadata log has no leader")
	for {
		to := c.o.Leader()
		if to != cluster.NoBroker {
			resp, err := c.ask(ctx, to, req, session)
			switch {
			case err != nil:
				last = err
			case !resp.NotController:
				res := resp.Result.decode()
				res.Err = resp.Err.decode()
				return res, res.Err
			default:
				last = fmt.Errorf("broker %d does not lead the metadata log", to)
			}
		}
		timer := time.NewTimer(retryPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return cluster.Result{}, fmt.Errorf("%w: %w: %w", ErrUnreachable, last, ctx.Err())
		}
	}
}

func (c *Client) ask(ctx context.Context, to cluster.BrokerID, req request, session bool) (response, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(30 * time.Second)
	}
	req.TimeoutMillis = max(1, time.Until(deadline).Milliseconds())
	if to == c.o.Self && c.o.Local != nil {
		return c.o.Local.handle(ctx, req), nil
	}
	conn, err := c.conn(ctx, to, session)
	if err != nil {
		return response{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var resp response
	if err = writeMessage(conn, req, deadline); err == nil {
		err = readMessage(conn, &resp, deadline)
	}
	c.release(conn, session, err == nil && stop())
	return resp, err
}

// conn takes an idle connection to the broker or dials one.
func (c *Client) conn(ctx context.Context, to cluster.BrokerID, session bool) (*clientConn, error) {
	if conn := c.take(to, session); conn != nil {
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
		return &clientConn{conn, to}, nil
	}
	return nil, fmt.Errorf("controller %d is not among the peers", to)
}

// take returns a kept connection to the broker, and closes those to others.
func (c *Client) take(to cluster.BrokerID, session bool) *clientConn {
	if session {
		conn := c.session
		c.session = nil
		if conn == nil || conn.to == to {
			return conn
		}
		_ = conn.Close()
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.idle) > 0 {
		conn := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if conn.to == to {
			return conn
		}
		_ = conn.Close()
	}
	return nil
}

func (c *Client) release(conn *clientConn, session, sound bool) {
	if !sound {
		_ = conn.Close()
		return
	}
	if session {
		c.session = conn
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) >= maxIdleConns {
		_ = conn.Close()
		return
	}
	c.idle = append(c.idle, conn)
}
