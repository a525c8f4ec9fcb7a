package wire

import (
	"context"
	"errors"
	"net"
	"time"
)

// writeLoop waits for the replies in order and sends them, until the reader
// closes the queue. Replies that are there already leave together; nothing waits
// for another one to come.
func (c *conn) writeLoop(ctx context.Context) error {
	defer c.release()
	var out [][]byte // encoded and not sent yet; one piece while more may follow
	for d := range c.replies {
		if prompt, ok := d.reply.(Prompt); !ok || !prompt.Ready() {
			if err := c.send(&out); err != nil {
				return d.failed("write", err)
			}
		}
		resp, err := d.reply.Wait(ctx)
		if err != nil {
			return errors.Join(d.failed("wait", err), c.send(&out))
		}
		if holder, ok := d.reply.(Holder); ok {
			c.held = append(c.held, holder)
		}
		if resp != nil {
			dst := c.buf[:0]
			if len(out) == 1 {
				dst = out[0]
			}
			out = encodeResponse(dst, d.CorrelationID, resp)
			if tracked, ok := d.reply.(Tracked); ok {
				c.unsent = append(c.unsent, tracked)
			}
		}
		c.dueCount.Add(-1)
		if len(out) > 1 || len(c.replies) == 0 || size(out) >= writeChunk {
			if err := c.send(&out); err != nil {
				return d.failed("write", err)
			}
		}
	}
	return nil
}

func size(pieces [][]byte) int {
	n := 0
	for _, piece := range pieces {
		n += len(piece)
	}
	return n
}

// send sends pieces and forgets them, except for the buffer that the next ones
// may use. The client has WriteTimeout for every chunk, so a large response may
// take long over a slow line and may not hang.
func (c *conn) send(pieces *[][]byte) error {
	defer c.release()
	rest := *pieces
	if len(rest) == 0 {
		return nil
	}
	*pieces = nil
	if c.buf = rest[0]; cap(c.buf) > keepBufferBytes {
		c.buf = nil
	}
	began := time.Now()
	for now := began; len(rest) > 0; now = time.Now() {
		var chunk net.Buffers
		chunk, rest = split(rest, writeChunk)
		if err := c.nc.SetWriteDeadline(now.Add(c.opts.WriteTimeout)); err != nil {
			return err
		}
		if _, err := chunk.WriteTo(c.nc); err != nil { // one system call on TCP
			return err
		}
	}
	for _, reply := range c.unsent {
		reply.Sent(began)
	}
	clear(c.unsent)
	c.unsent = c.unsent[:0]
	return nil
}

// release lets go of what the replies hold whose responses are sent, or never
// will be.
func (c *conn) release() {
	for _, holder := range c.held {
		holder.Release()
	}
	clear(c.held)
	c.held = c.held[:0]
}

// split cuts pieces behind the first n bytes. Writing first, which consumes it,
// leaves rest as it is.
func split(pieces [][]byte, n int) (first, rest [][]byte) {
	for i, piece := range pieces {
		if len(piece) < n {
			n -= len(piece)
			continue
		}
		first = append(first, pieces[:i]...)
		first = append(first, piece[:n])
		if n < len(piece) {
			rest = append(rest, piece[n:])
		}
		return first, append(rest, pieces[i+1:]...)
	}
	return pieces, nil
}
