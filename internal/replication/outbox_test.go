package replication

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOutboxAcksAreCumulative: a session has one entry, with its newest
// position, however many rounds pass before the leader reads.
func TestOutboxAcksAreCumulative(t *testing.T) {
	t.Parallel()
	o := newOutbox(nil, time.Second)
	for i := range int64(1000) {
		o.ack(ack{key: testKey(1), durableEnd: i, appendedEnd: i + 1}, time.Duration(i)*time.Microsecond)
		o.ack(ack{key: testKey(2), durableEnd: i, appendedEnd: i}, 0)
		o.flushRound(100 * time.Microsecond)
	}
	if !o.begin() {
		t.Fatal("nothing to write")
	}
	f, err := newFrameReader(bytes.NewReader(o.buf), 1<<20).next()
	if err != nil {
		t.Fatal(err)
	}
	r, acks, err := decodeAcks(f, nil)
	if err != nil || len(acks) != 2 || acks[0].durableEnd != 999 || acks[0].appendedEnd != 1000 || acks[1].durableEnd != 999 {
		t.Errorf("acks %+v, error %v", acks, err)
	}
	if r.fsync != 100*time.Microsecond || r.queue != 899*time.Microsecond {
		t.Errorf("round %+v", r)
	}
	if o.goOn(nil) || o.begin() {
		t.Error("there is more to write")
	}
}

// TestOutboxKeepsTheOrder posts frames from several goroutines while the socket
// takes a random part of each write, nothing, or blocks the writer goroutine:
// the frames must arrive whole, and those of one goroutine in order.
func TestOutboxKeepsTheOrder(t *testing.T) {
	t.Parallel()
	const posters, each = 4, 200
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		sock := &shySocket{conn: near, rand: rand.New(rand.NewPCG(1, 1))}
		o := newOutbox(sock, time.Second)
		o.try = sock.try
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { o.run(ctx, time.Hour, func(b []byte) []byte { return b }) })
		got := make(chan []uint64)
		wg.Go(func() { got <- readPings(far, posters*each) })
		var posting sync.WaitGroup
		for p := range uint64(posters) {
			posting.Go(func() {
				for i := range uint64(each) {
					o.post(func(b []byte) []byte { return appendPing(b, kindPong, p<<32|i) })
				}
			})
		}
		posting.Wait()
		next := [posters]uint64{}
		for _, v := range <-got {
			if p := v >> 32; v&0xffffffff != next[p] {
				t.Fatalf("poster %d: frame %d, want %d", p, v&0xffffffff, next[p])
			} else {
				next[p]++
			}
		}
		cancel()
		wg.Wait()
		_ = near.Close()
	})
}

// readPings reads that many frames, from a socket buffer that a shySocket
// appends to.
func readPings(r io.Reader, n int) (got []uint64) {
	frames := newFrameReader(r, 1<<10)
	for range n {
		f, err := frames.next()
		if err != nil {
			return got
		}
		v, err := decodePing(f)
		if err != nil {
			return got
		}
		got = append(got, v)
	}
	return got
}

// shySocket is a connection whose non-blocking writes take what they like. What
// they take is written by the pipe before the call returns, so that the order
// of calls is the order of bytes.
type shySocket struct {
	net.Conn
	conn net.Conn
	mu   sync.Mutex
	rand *rand.Rand // guarded by mu
}

func (s *shySocket) try(b []byte) (int, error) {
	s.mu.Lock()
	n := s.rand.IntN(len(b) + 1)
	s.mu.Unlock()
	if n == 0 {
		return 0, nil
	}
	return s.conn.Write(b[:n])
}

func (s *shySocket) Write(b []byte) (int, error)        { return s.conn.Write(b) }
func (s *shySocket) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }
func (s *shySocket) Close() error                       { return s.conn.Close() }

func TestOutboxClosesOnFailure(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	o := newOutbox(near, time.Second)
	o.try = func([]byte) (int, error) { return 0, errors.New("reset") }
	o.post(func(b []byte) []byte { return appendPing(b, kindPong, 1) })
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is open after a failed write: %v", err)
	}
	if o.begin() {
		t.Error("writes on after a failure")
	}
}

// TestOutboxIsBounded: a leader that reads nothing loses the connection.
func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	o := newOutbox(near, time.Second) // nobody runs its writer
	junk := make([]byte, 1<<20)
	for range maxOutboxBytes/len(junk) + 1 {
		o.post(func(b []byte) []byte { return append(b, junk...) })
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is open: %v", err)
	}
}

// TestTryWriterNeverWaits fills a TCP connection that nobody reads.
func TestTryWriterNeverWaits(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	try := tryWriter(near)
	if try == nil {
		t.Fatal("no non-blocking write on this system")
	}
	total := 0
	block := bytes.Repeat([]byte("x"), 64<<10)
	for {
		n, err := try(block)
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			break
		}
	}
	if got, err := io.CopyN(io.Discard, far, int64(total)); err != nil || got != int64(total) {
		t.Errorf("%d bytes arrived of %d: %v", got, total, err)
	}
	_ = near.Close()
	if _, err := try(block); err == nil {
		t.Error("no error on a closed connection")
	}
}
