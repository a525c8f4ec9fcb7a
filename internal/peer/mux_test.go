package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// cell is a network with one serving broker, number 2, at address "two".
type cell struct {
	t    *testing.T
	net  *MemNetwork
	mux  *Mux
	stop context.CancelFunc
	done chan error
}

// newCell starts the broker. Call close at the end of the test.
func newCell(t *testing.T, o Options) *cell {
	t.Helper()
	o.Self, o.Incarnation = 2, cluster.UUID{1: 2}
	c := &cell{t: t, net: NewMemNetwork(), mux: NewMux(o), done: make(chan error, 1)}
	c.mux.Handle(KindController, echo)
	l, err := c.net.Host("b").Listen("two")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.stop = cancel
	go func() { c.done <- c.mux.Serve(ctx, l) }()
	return c
}

func (c *cell) close() {
	c.t.Helper()
	c.stop()
	if err := <-c.done; err != nil {
		c.t.Errorf("serve: %v", err)
	}
	c.net.Close()
}

// dial calls the broker as broker 1, with what edit changes.
func (c *cell) dial(edit func(*Hello)) (net.Conn, Hello, error) {
	h := Hello{Kind: KindController, From: 1, To: 2, Incarnation: cluster.UUID{1: 1}}
	if edit != nil {
		edit(&h)
	}
	return Dial(c.t.Context(), DialOptions{Network: c.net.Host("a"), Addr: "two", Hello: h})
}

func echo(_ context.Context, _ Hello, conn net.Conn) {
	_, _ = io.Copy(conn, conn)
}

func roundTrip(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("read %q, error %v, want %q", got, err, text)
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		server string // its cluster id
		hello  func(*Hello)
		want   string // in the reason of the refusal; empty means served
	}{
		{name: "both new", hello: nil},
		{name: "same cluster", server: "c", hello: func(h *Hello) { h.ClusterID = "c" }},
		{name: "the caller is new", server: "c", hello: nil},
		{name: "the server is new", hello: func(h *Hello) { h.ClusterID = "c" }},
		{name: "other cluster", server: "c", hello: func(h *Hello) { h.ClusterID = "d" }, want: `cluster "d", this broker (2) belongs to "c"`},
		{name: "anybody", hello: func(h *Hello) { h.To = cluster.NoBroker }},
		{name: "other broker", hello: func(h *Hello) { h.To = 3 }, want: "this is broker 2, not broker 3"},
		{name: "id in use", hello: func(h *Hello) { h.From = 2 }, want: "broker id 2 is used by two processes"},
		{name: "itself", hello: func(h *Hello) { h.From, h.Incarnation = 2, cluster.UUID{1: 2} }},
		{name: "kind without handler", hello: func(h *Hello) { h.Kind = KindLive }, want: "does not serve connections of kind live"},
		{name: "unknown kind", hello: func(h *Hello) { h.Kind = 77 }, want: "kind(77)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCell(t, Options{ClusterID: func() string { return tt.server }, BrokerEpoch: func() cluster.BrokerEpoch { return 7 }})
				defer c.close()
				conn, remote, err := c.dial(tt.hello)
				if tt.want != "" {
					var refused *RefusedError
					if !errors.As(err, &refused) || !errors.Is(err, ErrRefused) || !strings.Contains(refused.Reason, tt.want) {
						t.Fatalf("error %v, want a refusal with %q", err, tt.want)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if remote.From != 2 || remote.ClusterID != tt.server || remote.BrokerEpoch != 7 || remote.Incarnation != (cluster.UUID{1: 2}) {
					t.Fatalf("the server says it is %+v", remote)
				}
				roundTrip(t, conn, "ping")
			})
		})
	}
}

// TestDialChecksTheAnswer has a server that agrees to everything: the dialer
// must find out by itself that it reached the wrong one.
func TestDialChecksTheAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer func(*Hello)
		want   string
	}{
		{name: "other protocol", answer: func(h *Hello) { h.Proto = 9 }, want: "protocol version 9"},
		{name: "other broker", answer: func(h *Hello) { h.From = 5 }, want: "expected broker 2, found broker 5"},
		{name: "other cluster", answer: func(h *Hello) { h.ClusterID = "x" }, want: `cluster "x"`},
		{name: "other kind", answer: func(h *Hello) { h.Kind = KindRaft }, want: "kind raft"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := NewMemNetwork()
				defer n.Close()
				l, err := n.Host("b").Listen("two")
				if err != nil {
					t.Fatal(err)
				}
				var served sync.WaitGroup
				served.Go(func() {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					_, _ = readPreamble(conn)
					h := Hello{Kind: KindController, ClusterID: "c", From: 2, To: 1, Proto: Proto}
					tt.answer(&h)
					_, _ = conn.Write(encodePreamble(preamble{hello: h}))
				})
				_, _, err = Dial(t.Context(), DialOptions{Network: n.Host("a"), Addr: "two", Hello: Hello{Kind: KindController, ClusterID: "c", From: 1, To: 2}})
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error %v, want a refusal with %q", err, tt.want)
				}
				served.Wait()
			})
		})
	}
}

func TestSilentCallersAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, Options{HandshakeTimeout: 2 * time.Second})
		defer c.close()
		start := time.Now()
		conn, err := c.net.Host("a").DialContext(t.Context(), "two")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("CHRK")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("error %v, want the end of the connection", err)
		}
		if got := time.Since(start); got != 2*time.Second {
			t.Fatalf("dropped after %s, want 2s", got)
		}
	})
}

func TestDialGivesUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cut  func(n *MemNetwork)
	}{
		{name: "there", cut: func(n *MemNetwork) { n.Cut("a", "b") }},
		{name: "back", cut: func(n *MemNetwork) { n.Cut("b", "a") }},
		{name: "slow", cut: func(n *MemNetwork) { n.SetLatency("a", "b", 3*time.Second) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCell(t, Options{})
				defer c.close()
				tt.cut(c.net)
				start := time.Now()
				_, _, err := c.dial(nil)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != handshakeTimeout {
					t.Fatalf("error %v after %s, want %v after %s", err, time.Since(start), context.DeadlineExceeded, handshakeTimeout)
				}
			})
		})
	}
}

func TestHandshakeLeavesNoDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, Options{})
		defer c.close()
		conn, _, err := c.dial(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle := time.NewTimer(time.Hour)
		<-idle.C
		roundTrip(t, conn, "still there")
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, Options{MaxConns: 2})
		defer c.close()
		var open []net.Conn
		for range 2 {
			conn, _, err := c.dial(nil)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, conn)
		}
		if _, _, err := c.dial(nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "has 2 peer connections already") {
			t.Fatalf("error %v, want a refusal", err)
		}
		open[0].Close()
		synctest.Wait()
		conn, _, err := c.dial(nil)
		if err != nil {
			t.Fatalf("after one has gone: %v", err)
		}
		conn.Close()
		open[1].Close()
	})
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, Options{})
		conn, _, err := c.dial(nil)
		if err != nil {
			t.Fatal(err)
		}
		silent, err := c.net.Host("a").DialContext(t.Context(), "two")
		if err != nil {
			t.Fatal(err)
		}
		c.close() // returns only when handlers and handshakes have ended
		for _, conn := range []net.Conn{conn, silent} {
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("a connection outlived Serve")
			}
		}
	})
}

func TestListenerHandsOutConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCell(t, Options{MaxConns: 1}) // so that closed ones must not count
		defer c.close()
		l := c.mux.Listener(KindRaft, memAddr("two"))
		accepted := make(chan net.Conn, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- conn
		}()
		near, _, err := c.dial(func(h *Hello) { h.Kind = KindRaft })
		if err != nil {
			t.Fatal(err)
		}
		far := <-accepted
		go echo(t.Context(), Hello{}, far)
		roundTrip(t, near, "raft")
		far.Close()
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("error %v, want the end: the owner closed", err)
		}
		synctest.Wait()
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("accept: error %v, want %v", err, net.ErrClosed)
		}
		conn, _, err := c.dial(func(h *Hello) { h.Kind = KindRaft })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("error %v, want the end: nobody accepts", err)
		}
	})
}

// failingListener fails a few times before it accepts.
type failingListener struct {
	net.Listener
	mu    sync.Mutex
	fails int // guarded by mu
}

func (l *failingListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	l.fails--
	fail := l.fails >= 0
	l.mu.Unlock()
	if fail {
		return nil, syscall.EMFILE
	}
	return l.Listener.Accept()
}

func TestServeOutlivesFailedAccepts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		defer n.Close()
		l, err := n.Host("b").Listen("two")
		if err != nil {
			t.Fatal(err)
		}
		m := NewMux(Options{Self: 2})
		m.Handle(KindController, echo)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Serve(ctx, &failingListener{Listener: l, fails: 10}) }()
		conn, _, err := Dial(t.Context(), DialOptions{Network: n.Host("a"), Addr: "two", Hello: Hello{Kind: KindController, From: 1, To: 2}})
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, conn, "after all")
		conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestServeReportsALostListener(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		defer n.Close()
		l, err := n.Host("b").Listen("two")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if err := NewMux(Options{Self: 2}).Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("error %v, want %v", err, net.ErrClosed)
		}
	})
}
