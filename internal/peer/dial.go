package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// handshakeTimeout bounds the exchange of preambles on either side.
const handshakeTimeout = 5 * time.Second

// DialOptions says whom to call, and who calls.
type DialOptions struct {
	Network Network
	Addr    string
	// Hello is this broker's; To is whom it expects at Addr.
	Hello Hello
	// Timeout bounds dialing and the preambles together, beside the context.
	//
	// The default is 5 s.
	Timeout time.Duration
}

// Dial connects to a peer and returns the connection once both sides have
// agreed to talk. The error is a [RefusedError] if the peer answered and this
// is not a connection to be had: another cluster, another broker, another
// protocol version.
func Dial(ctx context.Context, o DialOptions) (net.Conn, Hello, error) {
	if o.Timeout <= 0 {
		o.Timeout = handshakeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	conn, err := o.Network.DialContext(ctx, o.Addr)
	if err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op.Err // it says the address again
		}
		return nil, Hello{}, fmt.Errorf("dial peer %s: %w", o.Addr, err)
	}
	remote, err := greet(ctx, conn, o)
	if err != nil {
		return nil, Hello{}, errors.Join(err, conn.Close())
	}
	return conn, remote, nil
}

// greet sends the preamble and judges the answer. The connection's deadlines
// are clear again when it returns.
func greet(ctx context.Context, conn net.Conn, o DialOptions) (Hello, error) {
	done := interrupt(ctx, conn)
	defer done()
	hello := o.Hello
	hello.Proto = Proto
	if _, err := conn.Write(encodePreamble(preamble{hello: hello})); err != nil {
		return Hello{}, fmt.Errorf("greet peer %s: %w", o.Addr, contextFirst(ctx, err))
	}
	answer, err := readPreamble(conn)
	if err != nil {
		return Hello{}, fmt.Errorf("greet peer %s: %w", o.Addr, contextFirst(ctx, err))
	}
	if answer.refusal != "" {
		return Hello{}, &RefusedError{Addr: o.Addr, Reason: answer.refusal}
	}
	if reason := objection(hello, answer.hello); reason != "" {
		return Hello{}, &RefusedError{Addr: o.Addr, Reason: reason}
	}
	return answer.hello, nil
}

// objection is why a broker that said mine must not talk to one that says
// theirs, or empty. Both sides ask it.
func objection(mine, theirs Hello) string {
	switch {
	case theirs.Proto != mine.Proto:
		return fmt.Sprintf("protocol version %d, this broker (%d) speaks %d", theirs.Proto, mine.From, mine.Proto)
	case theirs.ClusterID != "" && mine.ClusterID != "" && theirs.ClusterID != mine.ClusterID:
		return fmt.Sprintf("cluster %q, this broker (%d) belongs to %q", theirs.ClusterID, mine.From, mine.ClusterID)
	case theirs.Brokers != "" && mine.Brokers != "" && theirs.Brokers != mine.Brokers:
		return fmt.Sprintf("--peers of broker %d names the brokers %s, that of this broker (%d) %s: give every broker the same list",
			theirs.From, theirs.Brokers, mine.From, mine.Brokers)
	case theirs.To != cluster.NoBroker && theirs.To != mine.From:
		return fmt.Sprintf("this is broker %d, not broker %d: check the address in --peers", mine.From, theirs.To)
	case mine.To != cluster.NoBroker && mine.To != theirs.From:
		return fmt.Sprintf("expected broker %d, found broker %d: check the address in --peers", mine.To, theirs.From)
	case theirs.From == mine.From && theirs.Incarnation != mine.Incarnation:
		return fmt.Sprintf("broker id %d is used by two processes", mine.From)
	case theirs.Kind != mine.Kind:
		return fmt.Sprintf("a connection of kind %s, want %s", theirs.Kind, mine.Kind)
	default:
		return ""
	}
}

// interrupt makes reads and writes of conn fail when ctx ends, until the
// returned function is called; that also clears the deadlines.
func interrupt(ctx context.Context, conn net.Conn) (done func()) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = conn.SetDeadline(time.Unix(1, 0)) // a closed connection fails anyway
	})
	return func() {
		if !stop() {
			<-fired // or it would set the deadline after it is cleared
			_ = conn.SetDeadline(time.Time{})
		}
	}
}

// contextFirst prefers the reason for the interruption over its effect.
func contextFirst(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
