package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// memChunk and memChunks bound what a direction of a connection holds in
	// flight: 2 MiB. A writer that is further ahead waits.
	memChunk  = 32 << 10
	memChunks = 64
)

// memPair is one connection: two net.Pipes, one at each host, and a lane for
// each direction that carries bytes from one pipe to the other.
//
//	near app <-pipe-> nearWire ==lane==> farWire <-pipe-> far app
//	                           <==lane==
type memPair struct {
	n              *MemNetwork
	from, to       string
	near, nearWire net.Conn
	far, farWire   net.Conn
	once           sync.Once
	dead           chan struct{} // closed when the connection was cut off at once
	lanesLeft      sync.WaitGroup
}

func newMemPair(n *MemNetwork, from, to string) *memPair {
	p := &memPair{n: n, from: from, to: to, dead: make(chan struct{})}
	p.near, p.nearWire = net.Pipe()
	p.far, p.farWire = net.Pipe()
	n.mu.Lock()
	n.conns[p] = true
	n.mu.Unlock()
	p.carry(from, to, p.nearWire, p.farWire)
	p.carry(to, from, p.farWire, p.nearWire)
	n.pumps.Go(func() {
		p.lanesLeft.Wait()
		n.mu.Lock()
		delete(n.conns, p)
		n.mu.Unlock()
	})
	return p
}

// ends wraps the two applications' ends with addresses.
func (p *memPair) ends(local, remote memAddr) (near, far net.Conn) {
	return &memConn{Conn: p.near, local: local, remote: remote}, &memConn{Conn: p.far, local: remote, remote: local}
}

// kill drops what is in flight and fails both ends.
func (p *memPair) kill() {
	p.once.Do(func() { close(p.dead) })
	for _, c := range []net.Conn{p.near, p.nearWire, p.far, p.farWire} {
		_ = c.Close()
	}
}

type memPacket struct {
	data []byte
	due  time.Time
}

// carry starts the lane of one direction.
func (p *memPair) carry(from, to string, src, dst net.Conn) {
	packets := make(chan memPacket, memChunks)
	delivered := make(chan struct{}) // closed when nobody takes packets any more
	p.lanesLeft.Add(1)
	p.n.pumps.Go(func() { // collect
		defer close(packets)
		buf := make([]byte, memChunk)
		for {
			size, err := src.Read(buf)
			if size > 0 {
				latency, _ := p.n.state(from, to)
				select {
				case packets <- memPacket{data: bytes.Clone(buf[:size]), due: time.Now().Add(latency)}:
				case <-delivered:
					return
				}
			}
			if err != nil {
				return // this side closed: what it sent still arrives
			}
		}
	})
	p.n.pumps.Go(func() { // deliver
		defer p.lanesLeft.Done()
		defer close(delivered)
		defer func() { _ = dst.Close() }()
		for packet := range packets {
			if !p.arrive(from, to, packet.due) {
				return
			}
			if _, err := dst.Write(packet.data); err != nil {
				return
			}
		}
		latency, _ := p.n.state(from, to)
		p.arrive(from, to, time.Now().Add(latency)) // the end of the stream crosses the link too
	})
}

// arrive waits until a packet may arrive. It reports false if the connection
// died first.
func (p *memPair) arrive(from, to string, due time.Time) bool {
	if d := time.Until(due); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.dead:
			return false
		}
	}
	_, open := p.n.state(from, to)
	select {
	case <-open:
		return true
	case <-p.dead:
		return false
	}
}

// memConn is an application's end. Its errors are those of TCP, which clients
// know how to take.
type memConn struct {
	net.Conn
	local, remote memAddr
	closed        atomic.Bool
}

// Read reads what has arrived.
func (c *memConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.tcpError("read", err)
}

// Write sends.
func (c *memConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.tcpError("write", err)
}

func (c *memConn) tcpError(op string, err error) error {
	switch {
	case !errors.Is(err, io.ErrClosedPipe):
		return err
	case c.closed.Load():
		return &net.OpError{Op: op, Net: "memory", Addr: c.remote, Err: net.ErrClosed}
	default:
		return memError(op, string(c.remote), syscall.ECONNRESET)
	}
}

// Close closes this end; what was sent still arrives.
func (c *memConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// LocalAddr is the dialing host's name or the listener's address.
func (c *memConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other end's LocalAddr.
func (c *memConn) RemoteAddr() net.Addr { return c.remote }
