package meta

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// stream carries raft's messages over the peer port. Raft leaves its
// connections open when it ends, so stream remembers and closes them; those
// that it serves have a goroutine each, which Run waits for.
type stream struct {
	net.Listener
	dial   func(ctx context.Context, id cluster.BrokerID, addr string) (net.Conn, error)
	peers  []Peer
	ctx    context.Context //nolint:containedctx // ends the dials that raft gives only a timeout
	cancel context.CancelFunc
	served sync.WaitGroup // raft's goroutines that serve callers, by their connections
	mu     sync.Mutex
	conns  map[*streamConn]bool // guarded by mu; nil once closed
	muted  bool                 // guarded by mu; this member sends nothing
}

var (
	_ raft.StreamLayer           = (*stream)(nil)
	_ raft.ServerAddressProvider = (*stream)(nil)
)

func newStream(ctx context.Context, o Options, callers net.Listener) *stream {
	ctx, cancel := context.WithCancel(ctx)
	return &stream{
		Listener: callers,
		dial: func(ctx context.Context, id cluster.BrokerID, addr string) (net.Conn, error) {
			hello := o.Mux.Hello(peer.KindRaft, id)
			conn, _, err := peer.Dial(ctx, peer.DialOptions{Network: o.Network, Addr: addr, Hello: hello})
			return conn, err
		},
		peers:  o.Peers,
		ctx:    ctx,
		cancel: cancel,
		conns:  map[*streamConn]bool{},
	}
}

type peerAddr string

func (peerAddr) Network() string  { return "peer" }
func (a peerAddr) String() string { return string(a) }

// ServerAddr prefers the address that this broker was started with over the
// one that the metadata log was started with: brokers move.
func (s *stream) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	for _, p := range s.peers {
		if serverID(p.ID) == id {
			return raft.ServerAddress(p.Addr), nil
		}
	}
	return "", fmt.Errorf("broker %s is not among --peers", id)
}

// mute stops this member from sending anything of its own, or lets it again.
func (s *stream) mute(on bool) {
	s.mu.Lock()
	s.muted = on
	var conns []*streamConn
	for c := range s.conns {
		if on && !c.inbound {
			conns = append(conns, c)
		}
	}
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.Conn.Close() // raft then calls Close itself
	}
}

// errMuted refuses to dial for a member that is muted.
var errMuted = errors.New("this broker's metadata disk does not answer")

// Dial connects to a peer. Every failure to do so is an [unreachableError].
func (s *stream) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	to := cluster.NoBroker
	for _, p := range s.peers {
		if p.Addr == string(addr) {
			to = p.ID
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	conn, err := s.dial(ctx, to, string(addr))
	if err != nil {
		return nil, unreachableError{err}
	}
	return s.track(conn, false)
}

// reach is nil if a member can be dialed.
func (s *stream) reach(id raft.ServerID) error {
	addr, err := s.ServerAddr(id)
	if err != nil {
		return err
	}
	conn, err := s.Dial(addr, rpcTimeout)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Accept waits for a caller.
func (s *stream) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return s.track(conn, true)
}

// track remembers a connection until raft closes it.
func (s *stream) track(conn net.Conn, inbound bool) (net.Conn, error) {
	c := &streamConn{Conn: conn, stream: s, inbound: inbound}
	s.mu.Lock()
	var err error
	switch {
	case s.conns == nil:
		err = net.ErrClosed
	case s.muted && !inbound:
		err = unreachableError{errMuted}
	default:
		s.conns[c] = true
		if inbound {
			s.served.Add(1)
		}
	}
	s.mu.Unlock()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// Close ends dials, accepts and connections, so that raft's goroutines return.
func (s *stream) Close() error {
	s.cancel()
	err := s.Listener.Close()
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close() // whoever in raft reads from it then calls Close itself
	}
	return err
}

// streamConn tells the stream when raft has closed it.
type streamConn struct {
	net.Conn
	stream  *stream
	inbound bool
	once    sync.Once
}

// Close closes the connection.
func (c *streamConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.stream.mu.Lock()
		delete(c.stream.conns, c)
		c.stream.mu.Unlock()
		if c.inbound {
			c.stream.served.Done()
		}
	})
	return err
}
