//go:build faults && linux

package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
)

const probePort = 7000

// arriveLimit bounds the way of a packet that nothing holds up, on a machine
// that has other things to do.
const arriveLimit = 5 * time.Second

// hop is a way that a packet takes.
type hop struct{ from, to int }

// probes sends datagrams between all hosts and says which arrive: one way, so
// that each direction shows for itself.
type probes struct {
	n       *Network
	sockets map[int]*net.UDPConn
	running sync.WaitGroup

	mu      sync.Mutex
	arrived map[string][]time.Time // guarded by mu; by text of the datagram
}

func newProbes(t *testing.T, n *Network) *probes {
	t.Helper()
	p := &probes{n: n, sockets: map[int]*net.UDPConn{}, arrived: map[string][]time.Time{}}
	t.Cleanup(func() {
		for _, s := range p.sockets {
			s.Close()
		}
		p.running.Wait()
	})
	for _, h := range n.all() {
		err := n.On(h, func() (err error) {
			p.sockets[h], err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(Address(h)), Port: probePort})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.sockets[h].SetReadBuffer(8 << 20); err != nil {
			t.Fatal(err)
		}
		socket := p.sockets[h]
		p.running.Go(func() { p.receive(socket) })
	}
	return p
}

func (p *probes) receive(socket *net.UDPConn) {
	buf := make([]byte, 2000)
	for {
		size, err := socket.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.arrived[string(buf[:size])] = append(p.arrived[string(buf[:size])], time.Now())
		p.mu.Unlock()
	}
}

func (p *probes) send(t *testing.T, way hop, text string) {
	t.Helper()
	to := &net.UDPAddr{IP: net.ParseIP(Address(way.to)), Port: probePort}
	if _, err := p.sockets[way.from].WriteToUDP([]byte(text), to); err != nil {
		t.Errorf("send from %d to %d: %v", way.from, way.to, err)
	}
}

func (p *probes) has(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.arrived[text]) > 0
}

// check fails the test unless packets arrive on all ways but those.
func (p *probes) check(t *testing.T, what string, lost ...hop) {
	t.Helper()
	closed := map[hop]bool{}
	for _, way := range lost {
		closed[way] = true
	}
	text := func(way hop) string { return fmt.Sprintf("%s %s %d %d", t.Name(), what, way.from, way.to) }
	var open []hop
	for _, a := range p.n.all() {
		for _, b := range p.n.all() {
			if a == b {
				continue
			}
			p.send(t, hop{a, b}, text(hop{a, b}))
			if !closed[hop{a, b}] {
				open = append(open, hop{a, b})
			}
		}
	}
	harness.Await(harness.Within(t, arriveLimit), t, what+": packets", func(context.Context) error {
		for _, way := range open {
			if !p.has(text(way)) {
				return fmt.Errorf("none from %d has arrived at %d", way.from, way.to)
			}
		}
		return nil
	})
	// They have all been sent by now; those of closed ways had the same time.
	harness.Pause(t, 20*time.Millisecond)
	for way := range closed {
		if p.has(text(way)) {
			t.Errorf("%s: a packet from %d has arrived at %d", what, way.from, way.to)
		}
	}
}

// both lists the ways between each pair of hosts.
func both(pairs ...[2]int) []hop {
	var ways []hop
	for _, pair := range pairs {
		ways = append(ways, hop{pair[0], pair[1]}, hop{pair[1], pair[0]})
	}
	return ways
}

// stream is a TCP connection between hosts.
type stream struct {
	near, far net.Conn
}

// connect connects a host with a port of another.
func connect(t *testing.T, n *Network, from, to, port int) *stream {
	t.Helper()
	address := fmt.Sprintf("%s:%d", Address(to), port)
	var listener net.Listener
	err := n.On(to, func() (err error) {
		listener, err = net.Listen("tcp4", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := new(stream)
	if s.near, err = n.Dialer(from)(harness.Within(t, arriveLimit), "tcp4", address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.near.Close() })
	if s.far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.far.Close() })
	return s
}

// passes sends a byte each way, and reports whether both arrive in time.
func (s *stream) passes(t *testing.T, limit time.Duration) bool {
	t.Helper()
	return carries(t, s.near, s.far, limit) && carries(t, s.far, s.near, limit)
}

func carries(t *testing.T, from, to net.Conn, limit time.Duration) bool {
	t.Helper()
	if _, err := from.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	return arrives(t, to, limit)
}

func arrives(t *testing.T, at net.Conn, limit time.Duration) bool {
	t.Helper()
	if err := at.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	_, err := at.Read(make([]byte, 1))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return err == nil
}
