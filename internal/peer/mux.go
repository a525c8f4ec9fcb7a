package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/pause"
)

// Options configures a [Mux].
type Options struct {
	// Self is this broker's id and Incarnation this process's.
	Self        cluster.BrokerID
	Incarnation cluster.UUID
	// ClusterID returns the cluster's id, empty while it is unknown. It is
	// called for every connection and must not block.
	//
	// The default is "unknown".
	ClusterID func() string
	// Brokers are the ids of all brokers as far as this one was told. They are
	// compared with those of others while the cluster id is unknown.
	//
	// The default compares nothing.
	Brokers []cluster.BrokerID
	// BrokerEpoch returns the epoch of this broker's registration, zero before.
	// It must not block.
	//
	// The default is zero.
	BrokerEpoch func() cluster.BrokerEpoch
	// HandshakeTimeout bounds how long a caller may take over its preamble.
	//
	// The default is 5 s.
	HandshakeTimeout time.Duration
	// MaxConns bounds the connections served at once, those that have not said
	// a word included. One more is refused with a reason.
	//
	// The default is 1024.
	MaxConns int
	// Logger receives refusals.
	//
	// The default discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.ClusterID == nil {
		o.ClusterID = func() string { return "" }
	}
	if o.BrokerEpoch == nil {
		o.BrokerEpoch = func() cluster.BrokerEpoch { return 0 }
	}
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = handshakeTimeout
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 1024
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Handler serves one connection of a kind. The connection is closed when it
// returns, and under it when ctx ends.
type Handler func(ctx context.Context, remote Hello, conn net.Conn)

// Mux serves the peer port: it checks every caller's preamble and hands the
// connection to the handler of its kind.
type Mux struct {
	o        Options
	brokers  string // Options.Brokers as a preamble has them
	mu       sync.Mutex
	handlers map[Kind]Handler     // guarded by mu
	conns    map[net.Conn]bool    // guarded by mu; being served
	refusals map[string]time.Time // guarded by mu; when each was logged
}

// NewMux returns a Mux without handlers.
func NewMux(o Options) *Mux {
	return &Mux{o: o.withDefaults(), brokers: listed(o.Brokers), handlers: map[Kind]Handler{}, conns: map[net.Conn]bool{}, refusals: map[string]time.Time{}}
}

// Handle registers the handler of a kind. Callers of a kind that has none are
// refused, so register before [Mux.Serve].
func (m *Mux) Handle(kind Kind, h Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handlers[kind] = h
}

// Hello is what this broker says of itself when it calls another.
func (m *Mux) Hello(kind Kind, to cluster.BrokerID) Hello {
	id, brokers := m.o.ClusterID(), ""
	if id == "" {
		brokers = m.brokers
	}
	return Hello{
		Kind:        kind,
		ClusterID:   id,
		Brokers:     brokers,
		From:        m.o.Self,
		To:          to,
		Incarnation: m.o.Incarnation,
		BrokerEpoch: m.o.BrokerEpoch(),
		Proto:       Proto,
	}
}

// Serve accepts connections on l until ctx ends, which returns nil, or until
// accepting fails for good. It closes l and every connection, and returns when
// all handlers have.
func (m *Mux) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	serving.Go(func() {
		<-ctx.Done()
		_ = l.Close() // wakes Accept
		m.closeAll()
	})
	err := m.accept(ctx, l, &serving)
	cancel()
	serving.Wait()
	return err
}

func (m *Mux) accept(ctx context.Context, l net.Listener, serving *sync.WaitGroup) error {
	var again time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept peers on %s: %w", l.Addr(), err)
		case err != nil:
			// Out of file descriptors, say: keep what is connected and try again.
			again = min(max(2*again, 5*time.Millisecond), time.Second)
			m.o.Logger.Warn("cannot accept a peer", slog.String("error", err.Error()), slog.Duration("pause", again))
			if !pause.For(ctx, again) {
				return nil
			}
			continue
		}
		again = 0
		serving.Go(func() { m.serveConn(ctx, conn) })
	}
}

func (m *Mux) serveConn(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	full, ok := m.track(ctx, conn)
	if !ok {
		return
	}
	defer m.untrack(conn)
	remote, handler, err := m.answer(ctx, conn, full)
	if err != nil {
		m.logRefusal(ctx, conn, err)
		return
	}
	handler(ctx, remote, conn)
}

// repeatRefusal is how long the same refusal is not logged again: who is refused
// calls again, many times a second.
const repeatRefusal = 10 * time.Second

// maxRefusals bounds the refusals that are remembered.
const maxRefusals = 64

func (m *Mux) logRefusal(ctx context.Context, conn net.Conn, err error) {
	level := slog.LevelInfo
	if errors.Is(err, io.EOF) {
		level = slog.LevelDebug // it only wanted to know whether somebody listens
	}
	reason := err.Error()
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		reason = refused.Reason // without the port, which is another one each time
	}
	m.mu.Lock()
	last, now := m.refusals[reason], time.Now()
	news := last.IsZero() || now.Sub(last) > repeatRefusal
	if len(m.refusals) >= maxRefusals {
		clear(m.refusals)
	}
	if news {
		m.refusals[reason] = now
	}
	m.mu.Unlock()
	if news {
		m.o.Logger.LogAttrs(ctx, level, "refused a peer", slog.String("remote", conn.RemoteAddr().String()), slog.String("error", reason))
	}
}

// answer exchanges preambles with a caller and finds its handler.
func (m *Mux) answer(ctx context.Context, conn net.Conn, full bool) (Hello, Handler, error) {
	ctx, cancel := context.WithTimeout(ctx, m.o.HandshakeTimeout)
	defer cancel()
	done := interrupt(ctx, conn)
	defer done()
	caller, err := readPreamble(conn)
	if err != nil {
		return Hello{}, nil, contextFirst(ctx, err)
	}
	mine := m.Hello(caller.hello.Kind, cluster.NoBroker)
	m.mu.Lock()
	handler := m.handlers[caller.hello.Kind]
	m.mu.Unlock()
	reason := objection(mine, caller.hello)
	switch {
	case reason != "":
	case full:
		reason = fmt.Sprintf("broker %d has %d peer connections already", m.o.Self, m.o.MaxConns)
	case handler == nil:
		reason = fmt.Sprintf("broker %d does not serve connections of kind %s", m.o.Self, caller.hello.Kind)
	}
	mine.To = caller.hello.From
	if _, err := conn.Write(encodePreamble(preamble{hello: mine, refusal: reason})); err != nil {
		return Hello{}, nil, contextFirst(ctx, err)
	}
	if reason != "" {
		return Hello{}, nil, &RefusedError{Addr: conn.RemoteAddr().String(), Reason: reason}
	}
	return caller.hello, handler, nil
}

// track remembers the connection so that closeAll finds it. It reports whether
// the bound is passed; ok is false if serving has ended meanwhile, or if there
// are so many that not even a refusal is due.
func (m *Mux) track(ctx context.Context, conn net.Conn) (full, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil || len(m.conns) >= 2*m.o.MaxConns {
		return false, false
	}
	m.conns[conn] = true
	return len(m.conns) > m.o.MaxConns, true
}

func (m *Mux) untrack(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, conn)
}

// closeAll runs after ctx has ended: nothing is tracked from then on.
func (m *Mux) closeAll() {
	m.mu.Lock()
	conns := make([]net.Conn, 0, len(m.conns))
	for conn := range m.conns {
		conns = append(conns, conn)
	}
	m.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}
