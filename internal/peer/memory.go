package peer

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/chronik-project/chronik/internal/pause"
)

// MemNetwork is a network in memory for tests: hosts that listen and dial by
// name, and directed links between them that can be cut, healed and slowed. It
// works on net.Pipe, so that it can run in a testing/synctest bubble.
//
// A cut link holds bytes back as TCP does, rather than lose some: they arrive
// after it is healed. Connecting over a cut link waits, as for a lost SYN;
// connecting to a host that does not listen is refused.
type MemNetwork struct {
	mu        sync.Mutex
	listeners map[string]*memListener // guarded by mu; by address
	owners    map[string]string       // guarded by mu; address to host, kept after a close
	links     map[[2]string]*memLink  // guarded by mu; by from and to
	conns     map[*memPair]bool       // guarded by mu
	pumps     sync.WaitGroup
}

// NewMemNetwork returns a network without hosts whose links are all up and
// without latency. Close it to end its goroutines.
func NewMemNetwork() *MemNetwork {
	return &MemNetwork{
		listeners: map[string]*memListener{},
		owners:    map[string]string{},
		links:     map[[2]string]*memLink{},
		conns:     map[*memPair]bool{},
	}
}

// Host is the network as seen from the host of that name.
func (n *MemNetwork) Host(name string) Network { return memHost{n: n, name: name} }

// Cut stops the bytes that flow from one host to another; the other direction
// is a link of its own.
func (n *MemNetwork) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.linkLocked(from, to); l.up() {
		l.open = make(chan struct{})
	}
}

// Heal undoes Cut: what was held back arrives.
func (n *MemNetwork) Heal(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.linkLocked(from, to); !l.up() {
		close(l.open)
	}
}

// SetLatency delays what is sent from now on from one host to another.
func (n *MemNetwork) SetLatency(from, to string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).latency = d
}

// Crash closes every listener and connection of a host at once, as the end of
// its process does.
func (n *MemNetwork) Crash(host string) {
	n.mu.Lock()
	var victims []*memPair
	for pair := range n.conns {
		if pair.from == host || pair.to == host {
			victims = append(victims, pair)
		}
	}
	for addr, l := range n.listeners {
		if n.owners[addr] == host {
			l.closeLocked()
			delete(n.listeners, addr)
		}
	}
	n.mu.Unlock()
	for _, pair := range victims {
		pair.kill()
	}
}

// Close ends all connections and waits for the goroutines that carried them.
func (n *MemNetwork) Close() {
	n.mu.Lock()
	hosts := map[string]bool{}
	for _, host := range n.owners {
		hosts[host] = true
	}
	n.mu.Unlock()
	for host := range hosts {
		n.Crash(host)
	}
	n.pumps.Wait()
}

// memLink is one direction between two hosts.
type memLink struct {
	latency time.Duration // guarded by MemNetwork.mu
	open    chan struct{} // guarded by MemNetwork.mu; closed while the link is up
}

func (l *memLink) up() bool {
	select {
	case <-l.open:
		return true
	default:
		return false
	}
}

func (n *MemNetwork) linkLocked(from, to string) *memLink {
	l, ok := n.links[[2]string{from, to}]
	if !ok {
		l = &memLink{open: make(chan struct{})}
		close(l.open)
		n.links[[2]string{from, to}] = l
	}
	return l
}

// state is a link's latency and the channel that is closed once it is up.
func (n *MemNetwork) state(from, to string) (time.Duration, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.linkLocked(from, to)
	return l.latency, l.open
}

// memHost is a Network for one host.
type memHost struct {
	n    *MemNetwork
	name string
}

// Listen binds an address to the host.
func (h memHost) Listen(addr string) (net.Listener, error) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if _, taken := h.n.listeners[addr]; taken {
		return nil, memError("listen", addr, syscall.EADDRINUSE)
	}
	l := &memListener{n: h.n, addr: memAddr(addr), conns: make(chan net.Conn), closed: make(chan struct{})}
	h.n.listeners[addr], h.n.owners[addr] = l, h.name
	return l, nil
}

// DialContext connects to an address: one trip there and one back.
func (h memHost) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	h.n.mu.Lock()
	owner := h.n.owners[addr]
	h.n.mu.Unlock()
	for _, trip := range [][2]string{{h.name, owner}, {owner, h.name}} {
		if err := h.n.cross(ctx, trip[0], trip[1]); err != nil {
			return nil, memError("dial", addr, err)
		}
	}
	h.n.mu.Lock()
	l, ok := h.n.listeners[addr]
	h.n.mu.Unlock()
	if !ok {
		return nil, memError("dial", addr, syscall.ECONNREFUSED)
	}
	return l.connect(ctx, h.name, owner)
}

// cross waits until one segment has passed the link.
func (n *MemNetwork) cross(ctx context.Context, from, to string) error {
	latency, open := n.state(from, to)
	if latency > 0 {
		if !pause.For(ctx, latency) {
			return ctx.Err()
		}
	}
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type memAddr string

func (memAddr) Network() string  { return "memory" }
func (a memAddr) String() string { return string(a) }

func memError(op, addr string, err error) error {
	if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // a bare errno is what the callers pass
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: "memory", Addr: memAddr(addr), Err: err}
}

// memListener is a bound address.
type memListener struct {
	n      *MemNetwork
	addr   memAddr
	conns  chan net.Conn
	closed chan struct{}
	shut   bool // guarded by n.mu
}

// Accept waits for the next caller.
func (l *memListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "memory", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close unbinds the address.
func (l *memListener) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.n.listeners[string(l.addr)] == l {
		delete(l.n.listeners, string(l.addr))
	}
	l.closeLocked()
	return nil
}

// closeLocked REQUIRES: n.mu is held.
func (l *memListener) closeLocked() {
	if !l.shut {
		l.shut = true
		close(l.closed)
	}
}

// Addr is the bound address.
func (l *memListener) Addr() net.Addr { return l.addr }

// connect makes a connection and hands its far end to Accept.
func (l *memListener) connect(ctx context.Context, from, to string) (net.Conn, error) {
	pair := newMemPair(l.n, from, to)
	near, far := pair.ends(memAddr(from), l.addr)
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		pair.kill()
		return nil, memError("dial", string(l.addr), syscall.ECONNREFUSED)
	case <-ctx.Done():
		pair.kill()
		return nil, memError("dial", string(l.addr), fmt.Errorf("not accepted: %w", ctx.Err()))
	}
}
