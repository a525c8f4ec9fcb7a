package devcluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// links carry what brokers send each other: every broker is reached through a port
// that is not its own, so that one can be cut off, or be slow, without the
// privileges that a firewall takes. Whose connection it is, the first bytes say.
// As with a cable that is pulled, what is sent meanwhile is not refused, and
// arrives when the cable is back; unlike there, a new connection is accepted, and
// then silent.
type links struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	layout  []Broker
	to      []string // addresses, by the broker that they lead to

	mu        sync.Mutex
	listeners []net.Listener        // guarded by mu
	conns     map[net.Conn]struct{} // guarded by mu
	closed    bool                  // guarded by mu
	cut       []bool                // guarded by mu; by broker
	delay     []time.Duration       // guarded by mu; by broker
	changed   chan struct{}         // guarded by mu; closed when a broker's state changes
}

// openLinks listens for every broker.
func openLinks(ctx context.Context, layout []Broker) (*links, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &links{
		cancel: cancel, layout: layout, conns: map[net.Conn]struct{}{}, changed: make(chan struct{}),
		cut: make([]bool, len(layout)), delay: make([]time.Duration, len(layout)),
	}
	for i, b := range layout {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("link to broker %d: %w", b.ID, err), l.close())
		}
		l.to = append(l.to, listener.Addr().String())
		l.listeners = append(l.listeners, listener) // nobody else has l yet
		l.running.Go(func() { l.accept(ctx, listener, i) })
	}
	return l, nil
}

// link is the way from one broker to another, by index. From is -1 for whoever
// does not say who it is.
type link struct{ from, to int }

// close ends all connections, and waits for whoever serves them.
func (l *links) close() error {
	l.mu.Lock()
	l.closed = true
	var errs []error
	for _, listener := range l.listeners {
		errs = append(errs, listener.Close())
	}
	for conn := range l.conns {
		_ = conn.Close() // whatever it carried is of no use any more
	}
	l.listeners = nil
	l.mu.Unlock()
	l.cancel()
	l.running.Wait()
	return errors.Join(errs...)
}

// set changes the state of one broker.
func (l *links) set(broker int, cut bool, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut[broker], l.delay[broker] = cut, delay
	close(l.changed)
	l.changed = make(chan struct{})
}

// pass waits until the link is whole, and returns how long it takes. It reports
// false when ctx ends before that.
func (l *links) pass(ctx context.Context, way link) (time.Duration, bool) {
	for {
		l.mu.Lock()
		cut, delay, changed := l.cut[way.to], l.delay[way.to], l.changed
		switch {
		case way.from == way.to: // a broker looks for itself
			cut, delay = false, 0
		case way.from >= 0:
			cut, delay = cut || l.cut[way.from], max(delay, l.delay[way.from])
		}
		l.mu.Unlock()
		if !cut {
			return delay, ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, false
		}
	}
}

// accept serves the links to one broker until its listener is closed.
func (l *links) accept(ctx context.Context, listener net.Listener, to int) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.serve(ctx, conn, to) })
	}
}

// preamble is how much of what a broker says first has its id, at preambleFrom:
// see internal/peer, whose wire format this is.
const (
	preamble     = 16
	preambleFrom = 8
)

// serve joins a connection to the broker that it is for.
func (l *links) serve(ctx context.Context, near net.Conn, to int) {
	if !l.own(near) {
		return
	}
	defer l.disown(near)
	first := make([]byte, preamble)
	if _, err := io.ReadFull(near, first); err != nil {
		return
	}
	id := binary.BigEndian.Uint32(first[preambleFrom:])
	way := link{to: to, from: slices.IndexFunc(l.layout, func(b Broker) bool { return b.ID == int(id) })}
	if _, ok := l.pass(ctx, way); !ok {
		return
	}
	far, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", l.layout[to].Peer)
	if err != nil || !l.own(far) {
		return // as a refusal: the connection ends at once
	}
	defer l.disown(far)
	if _, err := far.Write(first); err != nil {
		return
	}
	var both sync.WaitGroup
	for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
		pipe := make(chan chunk, linkChunks)
		both.Go(func() { l.read(ctx, ends[0], pipe, way) })
		both.Go(func() {
			l.write(ctx, ends[1], pipe, way)
			_ = errors.Join(near.Close(), far.Close()) // one end is gone: so is the connection
			for range pipe {                           // let the reader see it
				continue
			}
		})
	}
	both.Wait()
}

// own remembers a connection, to close it with the rest; it closes one that comes
// too late, and reports false.
func (l *links) own(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = conn.Close() // nobody is there any more
		return false
	}
	l.conns[conn] = struct{}{}
	return true
}

func (l *links) disown(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
	_ = conn.Close() // for the second time, mostly
}

// linkChunks and linkChunk bound what is under way on one connection, in one
// direction.
const (
	linkChunks = 64
	linkChunk  = 32 << 10
)

// chunk is what was read at once, and when it is to arrive.
type chunk struct {
	data []byte
	due  time.Time
}

func (l *links) read(ctx context.Context, from net.Conn, pipe chan<- chunk, way link) {
	defer close(pipe)
	for {
		data := make([]byte, linkChunk)
		n, err := from.Read(data)
		if n > 0 {
			delay, ok := l.pass(ctx, way)
			if !ok {
				return
			}
			pipe <- chunk{data: data[:n], due: time.Now().Add(delay)}
		}
		if err != nil {
			return
		}
	}
}

func (l *links) write(ctx context.Context, to net.Conn, pipe <-chan chunk, way link) {
	for c := range pipe {
		timer := time.NewTimer(time.Until(c.due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if _, ok := l.pass(ctx, way); !ok {
			return
		}
		if _, err := to.Write(c.data); err != nil {
			return
		}
	}
}
