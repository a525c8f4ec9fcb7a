package peer

import (
	"context"
	"net"
	"time"
)

// Network is how connections are made: the operating system's in production,
// [MemNetwork] in tests. A network that adds TLS wraps another.
type Network interface {
	// Listen binds addr, a host:port.
	Listen(addr string) (net.Listener, error)
	// DialContext connects to addr until ctx ends.
	DialContext(ctx context.Context, addr string) (net.Conn, error)
}

// OSNetwork is TCP. Its zero value is ready for use.
type OSNetwork struct {
	dialer net.Dialer
	listen net.ListenConfig
}

// keepAlive finds a peer whose machine vanished while a connection is idle,
// within some ten seconds.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 5}
}

// NewOSNetwork returns TCP with keep-alives that notice a vanished machine.
func NewOSNetwork() *OSNetwork {
	return &OSNetwork{
		dialer: net.Dialer{KeepAliveConfig: keepAlive()},
		listen: net.ListenConfig{KeepAliveConfig: keepAlive()},
	}
}

// Listen binds a TCP address.
func (n *OSNetwork) Listen(addr string) (net.Listener, error) {
	return n.listen.Listen(context.Background(), "tcp", addr)
}

// DialContext connects to a TCP address.
func (n *OSNetwork) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	return n.dialer.DialContext(ctx, "tcp", addr)
}
