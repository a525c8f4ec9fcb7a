package peer

import (
	"context"
	"net"
	"sync"
)

// Listener hands the connections of one kind to an owner that wants a
// net.Listener, as raft does. Close it to stop accepting; its connections live
// on until their owner or the Mux closes them.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

// Listener registers a listener for a kind; addr is what it reports as its
// address.
func (m *Mux) Listener(kind Kind, addr net.Addr) *Listener {
	l := &Listener{conns: make(chan net.Conn), closed: make(chan struct{}), addr: addr}
	m.Handle(kind, l.handle)
	return l
}

// handle keeps the Mux's goroutine, and so its count of connections, for as
// long as the connection is open.
func (l *Listener) handle(ctx context.Context, _ Hello, conn net.Conn) {
	owned := &ownedConn{Conn: conn, done: make(chan struct{})}
	select {
	case l.conns <- owned:
	case <-l.closed:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-owned.done:
	case <-ctx.Done():
	}
}

// Accept waits for the next connection of the kind.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept fail. Callers are turned away from then on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is the address that the listener was registered with.
func (l *Listener) Addr() net.Addr { return l.addr }

// ownedConn tells when its owner has closed it.
type ownedConn struct {
	net.Conn
	once sync.Once
	done chan struct{}
}

// Close closes the connection once.
func (c *ownedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.done) })
	return err
}
