package wire

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/pause"
)

// Server accepts connections and serves the Kafka protocol on them.
type Server struct {
	opts  Options
	rooms rooms // shared by all connections
}

// New returns a Server. It starts nothing: that is [Server.Serve].
func New(opts Options) *Server {
	opts = opts.withDefaults()
	return &Server{opts: opts, rooms: newRooms(opts.RequestBytes)}
}

// Serve accepts and serves connections until ctx ends or the listener fails.
// When it returns, the listener and all connections are closed and nobody is
// inside the handler or waits for a reply any more. Replies that are due when
// ctx ends get DrainTimeout to leave.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closed := context.AfterFunc(ctx, func() { _ = s.opts.Listener.Close() })
	defer closed()

	var conns sync.WaitGroup
	err := s.acceptLoop(ctx, &conns)
	cancel()
	conns.Wait()
	if closeErr := s.opts.Listener.Close(); err == nil && !errors.Is(closeErr, net.ErrClosed) {
		err = closeErr
	}
	return err
}

// Pauses after an accept that failed, for want of file descriptors say.
const (
	firstAcceptPause = 5 * time.Millisecond
	maxAcceptPause   = time.Second
)

func (s *Server) acceptLoop(ctx context.Context, conns *sync.WaitGroup) error {
	slots := make(chan struct{}, s.opts.MaxConns)
	again := firstAcceptPause
	for id := uint64(1); ; id++ {
		nc, err := s.opts.Listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			s.opts.Logger.Warn("accept failed", slog.Any("error", err), slog.Duration("pause", again))
			if !pause.For(ctx, again) {
				return nil
			}
			again = min(2*again, maxAcceptPause)
			continue
		}
		again = firstAcceptPause
		select {
		case slots <- struct{}{}:
		default:
			s.opts.Logger.Warn("connection refused: limit reached",
				slog.String("remote", nc.RemoteAddr().String()), slog.Int("max_conns", s.opts.MaxConns))
			_ = nc.Close()
			continue
		}
		conns.Go(func() {
			defer func() { <-slots }()
			s.logClosed(nc, newConn(s, nc, id).serve(ctx))
		})
	}
}

// logClosed tells why a connection ended. Clients that come and go are not
// worth a line.
func (s *Server) logClosed(nc net.Conn, err error) {
	var netErr net.Error
	switch {
	case err == nil, errors.Is(err, errStopped):
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, errTimedOut), errors.As(err, &netErr):
		s.opts.Logger.Debug("connection closed",
			slog.String("remote", nc.RemoteAddr().String()), slog.Any("error", err))
	default:
		s.opts.Logger.Warn("connection closed: request refused",
			slog.String("remote", nc.RemoteAddr().String()), slog.Any("error", err))
	}
}
