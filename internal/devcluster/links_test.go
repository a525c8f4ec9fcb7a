package devcluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// twoBrokers are links between a broker that nobody reaches and one that returns
// what it is sent.
func twoBrokers(t *testing.T) *links {
	t.Helper()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	var conns sync.WaitGroup
	go func() {
		defer close(served)
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				_, _ = io.CopyN(io.Discard, conn, preamble)
				_, _ = io.Copy(conn, conn)
				conn.Close()
			})
		}
	}()
	l, err := openLinks(t.Context(), []Broker{{ID: 1, Peer: "127.0.0.1:1"}, {ID: 2, Peer: echo.Addr().String()}, {ID: 3, Peer: "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Errorf("close: %v", err)
		}
		echo.Close()
		<-served
		conns.Wait()
	})
	return l
}

// connect says who it is, as brokers do.
func connect(t *testing.T, address string, id uint32) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	say(t, conn, "CHRK\x01\x01\x00\x00"+string(binary.BigEndian.AppendUint32(nil, id))+"\x00\x00\x00\x02")
	return conn
}

// reply returns what comes back within the patience, and whether it was in time.
func reply(t *testing.T, conn net.Conn, patience time.Duration) (string, bool) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	return string(buf[:n]), err == nil
}

func say(t *testing.T, conn net.Conn, what string) {
	t.Helper()
	if _, err := io.WriteString(conn, what); err != nil {
		t.Fatal(err)
	}
}

func TestALinkThatIsCutHoldsWhatIsSent(t *testing.T) {
	t.Parallel()
	l := twoBrokers(t)
	old, other, self := connect(t, l.to[1], 1), connect(t, l.to[1], 3), connect(t, l.to[1], 2)
	say(t, old, "before")
	if got, ok := reply(t, old, 5*time.Second); !ok || got != "before" {
		t.Fatalf("a whole link returned %q, %t", got, ok)
	}
	l.set(0, true, 0)
	late := connect(t, l.to[1], 1)
	say(t, other, "of others")
	if got, ok := reply(t, other, 5*time.Second); !ok || got != "of others" {
		t.Errorf("the link of a broker that is not cut off returned %q, %t", got, ok)
	}
	for _, conn := range []net.Conn{old, late} {
		say(t, conn, "meanwhile")
		if got, ok := reply(t, conn, 100*time.Millisecond); ok {
			t.Errorf("a cut link returned %q", got)
		}
	}
	l.set(0, false, 0)
	for _, conn := range []net.Conn{old, late} {
		if got, ok := reply(t, conn, 5*time.Second); !ok || got != "meanwhile" {
			t.Errorf("a link that is whole again returned %q, %t", got, ok)
		}
	}
	l.set(1, true, 0)
	say(t, self, "to itself")
	say(t, other, "to one that is cut off")
	if got, ok := reply(t, self, 5*time.Second); !ok || got != "to itself" {
		t.Errorf("a broker that is cut off reaches itself: %q, %t", got, ok)
	}
	if got, ok := reply(t, other, 100*time.Millisecond); ok {
		t.Errorf("a broker that is cut off got %q", got)
	}
}

func TestALinkIsSlow(t *testing.T) {
	t.Parallel()
	l := twoBrokers(t)
	const delay = 100 * time.Millisecond
	l.set(1, false, delay)
	conn := connect(t, l.to[1], 1)
	began := time.Now()
	say(t, conn, "there and back")
	if got, ok := reply(t, conn, 10*time.Second); !ok || got != "there and back" || time.Since(began) < 2*delay {
		t.Errorf("returned %q after %s, want it after twice %s", got, time.Since(began), delay)
	}
}

func TestALinkToNobodyEnds(t *testing.T) {
	t.Parallel()
	l := twoBrokers(t)
	conn := connect(t, l.to[0], 2)
	if _, ok := reply(t, conn, 10*time.Second); ok {
		t.Error("nobody answered")
	}
}

func TestBrokersAreToldOfTheirLinks(t *testing.T) {
	c := mustStart(t, Options{Links: true})
	args := strings.Join(c.arguments(1), " ")
	for j, b := range c.layout {
		if strings.Contains(args, "@"+b.Peer) || !strings.Contains(args, fmt.Sprintf("%d@%s", b.ID, c.links.to[j])) {
			t.Errorf("broker 2 does not reach broker %d over its link: %s", b.ID, args)
		}
	}
	for _, err := range []error{c.Isolate(1), c.Delay(0, time.Second), c.Heal(1)} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := c.Isolate(3); err == nil {
		t.Error("isolated a broker that is not there")
	}
	if err := mustStart(t, Options{Brokers: 1}).Isolate(0); !errors.Is(err, ErrNoLinks) {
		t.Errorf("without links: %v", err)
	}
}
