package wire

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// pipes is a listener whose connections are in memory, so that tests run on
// synctest's clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// handlerFunc serves every version that the decoder knows.
type handlerFunc func(ctx context.Context, req *Request) (Reply, error)

func (f handlerFunc) Handle(ctx context.Context, req *Request) (Reply, error) { return f(ctx, req) }

func (f handlerFunc) Versions(key int16) (lowest, highest int16, ok bool) { return anyVersion(key) }

// harness is a running server and its clients, for use inside synctest.Test.
type harness struct {
	t        *testing.T
	listener *pipes
	stop     context.CancelFunc
	served   chan error
}

func start(t *testing.T, opts Options, h handlerFunc) *harness {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &harness{t: t, listener: newPipes(), stop: cancel, served: make(chan error, 1)}
	opts.Listener, opts.Handler = s.listener, h
	server := New(opts)
	go func() { s.served <- server.Serve(ctx) }()
	return s
}

// stopped stops the server and returns how long that took. The bubble of the
// test then fails if a goroutine is left.
func (s *harness) stopped() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.stop()
	if err := <-s.served; err != nil {
		s.t.Errorf("Serve: %v", err)
	}
	return time.Since(began)
}

func (s *harness) dial() *client {
	ours, theirs := net.Pipe()
	s.listener.conns <- theirs
	return &client{t: s.t, Conn: ours}
}

// client is the far end of a connection.
type client struct {
	t *testing.T
	net.Conn
}

// ask sends an ApiVersions request, the smallest there is.
func (c *client) ask(correlationID int32) {
	c.t.Helper()
	if _, err := c.Write(question(correlationID)); err != nil {
		c.t.Fatalf("send request %d: %v", correlationID, err)
	}
}

func question(correlationID int32) []byte {
	return kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), correlationID)
}

// next reads a response and returns its correlation id.
func (c *client) next() int32 {
	c.t.Helper()
	frame, err := c.frame()
	if err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	return int32(binary.BigEndian.Uint32(frame))
}

func (c *client) frame() ([]byte, error) {
	var prefix [lengthBytes]byte
	if _, err := io.ReadFull(c, prefix[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(prefix[:]))
	_, err := io.ReadFull(c, frame)
	return frame, err
}

// closedAfter waits until the server closes the connection and returns how long
// that took.
func (c *client) closedAfter() time.Duration {
	c.t.Helper()
	began := time.Now()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		c.t.Fatalf("read %d bytes, want the connection closed", n)
	}
	return time.Since(began)
}

// answer is an empty ApiVersions response.
func answer() kmsg.Response { return kmsg.NewPtrApiVersionsResponse() }

// promise is a reply that tests keep when they like.
type promise chan kmsg.Response

func (p promise) Wait(ctx context.Context) (kmsg.Response, error) {
	select {
	case resp := <-p:
		return resp, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
