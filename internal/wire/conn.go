package wire

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

const (
	// readBufferBytes is what a silent connection costs.
	readBufferBytes = 16 << 10
	// writeChunk is what a client has to accept within the write timeout.
	writeChunk = 1 << 20
	// keepBufferBytes is the largest response buffer that is kept for the next
	// response.
	keepBufferBytes = 1 << 20
)

// conn is one connection. Its reader goroutine runs serve and readLoop, its
// writer goroutine writeLoop.
type conn struct {
	opts   *Options
	rooms  *rooms
	nc     net.Conn
	id     uint64
	reader *bufio.Reader // owned by readLoop
	buf    []byte        // owned by writeLoop; memory for the next response
	unsent []Tracked     // owned by writeLoop; replies whose response is encoded and not sent
	held   []Holder      // owned by writeLoop; replies that hold memory until then

	// replies are due, in the order of the requests. The reader sends and
	// closes, the writer receives.
	replies chan due
	// dueCount is the number of replies that are queued or being waited for.
	dueCount atomic.Int64
}

// due is a request that was handled and not answered yet. It keeps the header
// only: the body may be large, and the reply holds on to what it needs.
type due struct {
	Header
	reply Reply
}

func newConn(s *Server, nc net.Conn, id uint64) *conn {
	return &conn{
		opts: &s.opts, rooms: &s.rooms, nc: nc, id: id,
		reader:  bufio.NewReaderSize(nc, readBufferBytes),
		replies: make(chan due, s.opts.MaxInflight),
	}
}

// serve runs the connection to its end and says why it ended. Both goroutines
// are done when it returns.
func (c *conn) serve(ctx context.Context) error {
	readCtx, stopReading := context.WithCancelCause(ctx)
	waitCtx, stopWaiting := context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() { stopReading(nil); stopWaiting(nil) }()
	nudge := context.AfterFunc(readCtx, func() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) })
	defer nudge()

	written := make(chan error, 1)
	go func() {
		err := c.writeLoop(waitCtx)
		stopReading(err)
		written <- err
	}()

	readErr := c.readLoop(readCtx)
	close(c.replies)
	abort := func() {
		stopWaiting(readErr)
		_ = c.nc.Close() // also wakes a writer whose client does not read
	}
	if clientGone(readErr) {
		abort()
	} else {
		drain := time.AfterFunc(c.opts.DrainTimeout, abort)
		defer drain.Stop()
	}
	writeErr := <-written
	_ = c.nc.Close()
	if writeErr != nil && waitCtx.Err() == nil {
		return writeErr
	}
	return readErr
}

// clientGone reports whether nobody is left to receive the replies that are
// due: reading failed for a reason that is not this side's own.
func clientGone(readErr error) bool {
	var refused *RequestError
	if errors.As(readErr, &refused) {
		return false
	}
	for _, own := range []error{ErrFrameTooLarge, ErrMalformed, errTimedOut, errStopped} {
		if errors.Is(readErr, own) {
			return false
		}
	}
	return true
}

// readLoop reads, decodes and hands over requests until something ends that.
func (c *conn) readLoop(ctx context.Context) error {
	silence := c.opts.HandshakeTimeout
	for {
		if err := c.awaitFrame(ctx, silence); err != nil {
			return c.readFailed(ctx, err)
		}
		silence = c.opts.IdleTimeout
		if err := c.serveFrame(ctx); err != nil {
			return c.readFailed(ctx, err)
		}
	}
}

// awaitFrame waits for the first byte of a request. A connection with replies
// due is not idle, however long they take.
func (c *conn) awaitFrame(ctx context.Context, silence time.Duration) error {
	for {
		if err := c.readWithin(ctx, silence); err != nil {
			return err
		}
		_, err := c.reader.Peek(1)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.dueCount.Load() == 0 || ctx.Err() != nil {
			return err
		}
	}
}

// serveFrame takes one request from its first byte to the queue of replies.
func (c *conn) serveFrame(ctx context.Context) error {
	if err := c.readWithin(ctx, c.opts.FrameTimeout); err != nil {
		return err
	}
	size, err := frameSize(c.reader, c.opts.MaxFrameBytes)
	if err != nil {
		return err
	}
	room, err := c.rooms.of(c.reader, size)
	if err != nil {
		return err
	}
	if err := room.Take(ctx, size); err != nil {
		return err
	}
	defer room.Give(size)
	// Waiting for the budget was not the client's fault.
	if err := c.readWithin(ctx, c.opts.FrameTimeout); err != nil {
		return err
	}
	frame, err := readFrame(c.reader, size)
	if err != nil {
		return err
	}
	req, err := decode(frame, c.opts.Handler.Versions)
	if err != nil {
		return err
	}
	req.Received = time.Now()
	req.RemoteAddr, req.ListenerAddr, req.ConnID = c.nc.RemoteAddr(), c.nc.LocalAddr(), c.id
	reply, err := c.opts.Handler.Handle(ctx, req)
	if err != nil {
		return req.failed("handle", err)
	}
	c.dueCount.Add(1)
	select {
	case c.replies <- due{req.Header, reply}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readWithin sets the deadline of the next reads. The order matters: a ctx that
// ends after the check moves the deadline to the past, and one that ended
// before is seen here.
func (c *conn) readWithin(ctx context.Context, d time.Duration) error {
	if err := c.nc.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	return ctx.Err()
}

// readFailed replaces the error of a read that this side ended by the reason.
func (c *conn) readFailed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return errStopped
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTimedOut
	default:
		return err
	}
}
