package wire

import (
	"log/slog"
	"net"
	"time"
)

// Options configure a [Server]. Listener and Handler are required.
type Options struct {
	// Listener accepts the connections. Serve closes it.
	Listener net.Listener
	// Handler answers the requests.
	Handler Handler

	// MaxFrameBytes is the largest request, without its length prefix. A larger
	// one closes the connection, as it does in Kafka.
	//
	// The default is 100 MiB.
	MaxFrameBytes int
	// RequestBytes bounds what all requests together may take between the first
	// byte of a frame and the end of its Handle. When it is used up, connections
	// wait before they read their next frame: the clients' sockets fill. Produce
	// requests share three quarters of it, all others the rest. A frame that is
	// larger than its part is read when no other of that part is.
	//
	// The default is 256 MiB.
	RequestBytes int
	// MaxConns bounds the open connections. A connection above it is closed at
	// once.
	//
	// The default is 10000.
	MaxConns int
	// MaxInflight bounds the requests of one connection that were handled and
	// are not answered yet. When it is reached, the connection is not read.
	//
	// The default is 64.
	MaxInflight int

	// HandshakeTimeout is how long a new connection may take to send its first
	// request.
	//
	// The default is 10 s.
	HandshakeTimeout time.Duration
	// IdleTimeout is how long a connection may stay silent between requests
	// while no reply is due.
	//
	// The default is 10 min.
	IdleTimeout time.Duration
	// FrameTimeout is how long the bytes of one request may take to arrive.
	//
	// The default is 30 s.
	FrameTimeout time.Duration
	// WriteTimeout is how long a client may take to accept the next writeChunk
	// bytes of a reply. A client that does not read is disconnected after it.
	//
	// The default is 30 s.
	WriteTimeout time.Duration
	// DrainTimeout is how long replies that are due may still take when a
	// connection is to be closed by this side: the server stops, or the client
	// broke the protocol after valid requests.
	//
	// The default is 1 s.
	DrainTimeout time.Duration

	// Logger receives one line per refused or broken connection; nil discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	setDefault(&o.MaxFrameBytes, 100<<20)
	setDefault(&o.RequestBytes, 256<<20)
	setDefault(&o.MaxConns, 10_000)
	setDefault(&o.MaxInflight, 64)
	setDefault(&o.HandshakeTimeout, 10*time.Second)
	setDefault(&o.IdleTimeout, 10*time.Minute)
	setDefault(&o.FrameTimeout, 30*time.Second)
	setDefault(&o.WriteTimeout, 30*time.Second)
	setDefault(&o.DrainTimeout, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
