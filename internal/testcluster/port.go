package testcluster

import (
	"context"
	"net"
	"sync"

	"github.com/chronik-project/chronik/internal/peer"
)

// port is the network as one process sees it. It outlives the process by
// nothing: once it is unplugged, whatever still runs reaches nobody and is
// reached by nobody.
type port struct {
	network peer.Network
	ctx     context.Context //nolint:containedctx // ends with the process: its dials end too
	gone    context.CancelFunc

	mu    sync.Mutex
	conns map[*portConn]bool // guarded by mu; nil once unplugged
}

func newPort(network peer.Network) *port {
	p := &port{network: network, conns: map[*portConn]bool{}}
	p.ctx, p.gone = context.WithCancel(context.Background())
	return p
}

// unplug closes every connection and refuses new ones.
func (p *port) unplug() {
	p.gone()
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

// keep remembers a connection, or closes one that was made too late.
func (p *port) keep(conn net.Conn) (net.Conn, error) {
	c := &portConn{Conn: conn, port: p}
	p.mu.Lock()
	late := p.conns == nil
	if !late {
		p.conns[c] = true
	}
	p.mu.Unlock()
	if late {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return c, nil
}

// Listen implements [peer.Network].
func (p *port) Listen(addr string) (net.Listener, error) {
	if p.ctx.Err() != nil {
		return nil, net.ErrClosed
	}
	l, err := p.network.Listen(addr)
	if err != nil {
		return nil, err
	}
	return portListener{l, p}, nil
}

// DialContext implements [peer.Network].
func (p *port) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)() //nolint:contextcheck // a dial ends with the caller and with the host
	conn, err := p.network.DialContext(ctx, addr)
	if err != nil {
		return nil, err
	}
	return p.keep(conn)
}

type portListener struct {
	net.Listener
	port *port
}

// Accept waits for the next caller.
func (l portListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.port.keep(conn)
}

type portConn struct {
	net.Conn
	port *port
}

// Close closes the connection.
func (c *portConn) Close() error {
	c.port.mu.Lock()
	delete(c.port.conns, c)
	c.port.mu.Unlock()
	return c.Conn.Close()
}
