// Package wire serves the Kafka protocol on sockets: frames in, frames out,
// replies in the order of the requests. It owns connections, their deadlines
// and the memory that requests may take before anyone has looked at them. It
// knows nothing of topics or partitions: a [Handler] answers.
//
// Two goroutines serve a connection. The reader decodes a request, hands it to
// the handler and queues the [Reply]; the writer waits for the replies one by
// one and sends them. A reply that waits (acks=all, a long poll) therefore
// delays the replies behind it, as the protocol demands, and not the requests
// behind it.
//
// Whatever a client sends, the package neither panics nor allocates more than
// the bytes it received justify: see [readFrame] and [shape].
package wire

import (
	"context"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Header is what a request is told apart by: which API in which version, and
// the number that its client will know the response by.
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
}

func (h Header) failed(op string, err error) error {
	return &RequestError{Header: h, Op: op, Err: err}
}

// Request is one decoded request of a connection.
type Request struct {
	Header
	ClientID string // empty when the client sent none

	// Body is the decoded request at Version. Its byte slices share memory with
	// the frame, which belongs to this request alone: whoever handles it may
	// keep and change them.
	//
	// For an ApiVersions request of a version that is not served, Body is an
	// empty request of version 0: the answer has to be one of version 0 too
	// (KIP-511).
	Body kmsg.Request

	Received     time.Time
	RemoteAddr   net.Addr
	ListenerAddr net.Addr
	ConnID       uint64 // unique in this process
}

// Reply is the answer to a request, or the promise of one.
type Reply interface {
	// Wait returns the response. It runs on the connection's writer goroutine,
	// in the order of the requests, and may block until ctx ends, which it does
	// when the client is gone or the server has waited long enough while
	// stopping. A nil response without an error means that nothing is sent, as
	// for acks=0. An error closes the connection.
	Wait(ctx context.Context) (kmsg.Response, error)
}

// Prompt is a Reply that knows whether its Wait would return at once. Replies
// that do leave together, in one write.
type Prompt interface {
	Reply
	// Ready reports whether Wait would not block. It does not block itself.
	Ready() bool
}

// Tracked is a Reply that is told when its response left.
type Tracked interface {
	Reply
	// Sent is called on the connection's writer goroutine once the response is
	// written to the socket; at is when that began. It must return at once.
	Sent(at time.Time)
}

// Holder is a Reply whose response takes memory that others wait for.
type Holder interface {
	Reply
	// Release is called once after each Wait that returned no error, on the
	// connection's writer goroutine: the response is written to the socket, or
	// will not be. It must return at once.
	Release()
}

// Gatherer is a response with parts that need not be copied, such as records in
// the log's memory.
type Gatherer interface {
	kmsg.Response
	// AppendPieces encodes the response in pieces that are, end to end, what
	// AppendTo returns. The first one starts with dst. Nothing changes the pieces
	// until they have been sent.
	AppendPieces(dst []byte) [][]byte
}

// Func is a Reply that has yet to be computed.
type Func func(ctx context.Context) (kmsg.Response, error)

// Wait calls the function.
func (f Func) Wait(ctx context.Context) (kmsg.Response, error) { return f(ctx) }

// Now is the Reply of a handler that has its response already. A nil response
// sends nothing.
func Now(resp kmsg.Response) Reply { return now{resp} }

type now struct{ resp kmsg.Response }

func (n now) Wait(context.Context) (kmsg.Response, error) { return n.resp, nil }

func (n now) Ready() bool { return true }

// Handler answers requests.
type Handler interface {
	// Handle runs on the connection's reader goroutine, so the requests of one
	// connection are handled one after the other, in order. It must not wait for
	// replication or consensus: that is what [Reply.Wait] is for. An error
	// closes the connection after the replies before it were sent.
	Handle(ctx context.Context, req *Request) (Reply, error)
	// Versions is the range of versions of an API key that Handle takes.
	Versions(key int16) (lowest, highest int16, ok bool)
}
