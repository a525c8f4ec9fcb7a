package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// connect makes a raw connection from host a to host b.
func connect(t *testing.T, n *MemNetwork) (near, far net.Conn) {
	t.Helper()
	l, err := n.Host("b").Listen("two")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	near, err = n.Host("a").DialContext(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	return near, <-accepted
}

func read(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("read %q, error %v, want %q", got, err, want)
	}
}

func TestMemNetworkCutHoldsBytesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		defer n.Close()
		near, far := connect(t, n)
		n.Cut("a", "b")
		n.Cut("a", "b") // twice is once
		for _, text := range []string{"one ", "two"} {
			if _, err := io.WriteString(near, text); err != nil {
				t.Fatal(err)
			}
		}
		if err := far.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("error %v, want silence", err)
		}
		if err := far.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		// The other direction is not cut.
		if _, err := io.WriteString(far, "back"); err != nil {
			t.Fatal(err)
		}
		read(t, near, "back")
		n.Heal("a", "b")
		n.Heal("a", "b")
		read(t, far, "one two")
		// The end of a connection is held back as well.
		n.Cut("a", "b")
		near.Close()
		if err := far.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("error %v, want silence", err)
		}
		n.Heal("a", "b")
		synctest.Wait()
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("error %v, want the end", err)
		}
	})
}

func TestMemNetworkLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		defer n.Close()
		near, far := connect(t, n)
		n.SetLatency("a", "b", 30*time.Millisecond)
		start := time.Now()
		for range 5 { // in flight together, not one after the other
			if _, err := io.WriteString(near, "x"); err != nil {
				t.Fatal(err)
			}
		}
		read(t, far, "xxxxx")
		if got := time.Since(start); got != 30*time.Millisecond {
			t.Fatalf("arrived after %s, want 30ms", got)
		}
	})
}

func TestMemNetworkCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		defer n.Close()
		near, _ := connect(t, n)
		l, err := n.Host("b").Listen("two")
		if err != nil {
			t.Fatal(err)
		}
		n.Crash("b")
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: error %v, want an end or %v", err, syscall.ECONNRESET)
		}
		if _, err := near.Write([]byte("late")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write: error %v, want %v", err, syscall.ECONNRESET)
		}
		_ = near.Close()
		if _, err := near.Write([]byte("later")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after close: error %v, want %v", err, net.ErrClosed)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: error %v, want %v", err, net.ErrClosed)
		}
		if _, err := n.Host("a").DialContext(t.Context(), "two"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: error %v, want %v", err, syscall.ECONNREFUSED)
		}
	})
}

func TestMemNetworkDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		defer n.Close()
		if _, err := n.Host("a").DialContext(t.Context(), "nowhere"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: error %v, want %v", err, syscall.ECONNREFUSED)
		}
		l, err := n.Host("b").Listen("two")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Host("c").Listen("two"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("taken address: error %v, want %v", err, syscall.EADDRINUSE)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Host("a").DialContext(ctx, "two"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody accepts: error %v, want %v", err, context.DeadlineExceeded)
		}
		if l.Addr().String() != "two" || l.Addr().Network() != "memory" {
			t.Errorf("address %s %s, want memory two", l.Addr().Network(), l.Addr())
		}
	})
}

// TestOSNetwork runs the whole handshake over TCP on loopback.
func TestOSNetwork(t *testing.T) {
	t.Parallel()
	n := NewOSNetwork()
	l, err := n.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := NewMux(Options{Self: 2})
	m.Handle(KindLive, echo)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, l) }()
	o := DialOptions{Network: n, Addr: l.Addr().String(), Hello: Hello{Kind: KindLive, From: 1, To: cluster.BrokerID(2)}}
	conn, _, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, conn, "over tcp")
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("the connection outlived Serve")
	}
	conn.Close()
	if _, _, err := Dial(t.Context(), o); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("error %v, want %v", err, syscall.ECONNREFUSED)
	}
}
