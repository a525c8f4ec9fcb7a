package replication

import (
	"net"
	"time"

	"github.com/chronik-project/chronik/internal/partition"
)

// minGatherBytes is the size from which a frame's batches are handed to the
// system call where they lie. Below, copying them costs less than another
// vector entry.
const minGatherBytes = 16 << 10

// outFrames collects frames for one system call. It is reused: a connection's
// writer allocates nothing once its buffer has grown.
type outFrames struct {
	conn   net.Conn
	buf    []byte
	splits []split
	gather bool // the connection writes vectors
	bytes  int  // of everything
	vector net.Buffers
}

// split is a place in the buffer that batches outside of it belong at.
type split struct {
	at      int
	batches [][]byte
}

// newOutFrames returns frames for a connection, which must not be wrapped: only
// a TCP connection itself writes vectors.
func newOutFrames(conn net.Conn) outFrames {
	_, tcp := conn.(*net.TCPConn)
	return outFrames{conn: conn, gather: tcp}
}

func (o *outFrames) reset() {
	clear(o.splits)
	o.buf, o.splits, o.bytes = o.buf[:0], o.splits[:0], 0
	clear(o.vector)
	o.vector = o.vector[:0]
}

// len is the size of what was collected.
func (o *outFrames) len() int { return len(o.buf) + o.bytes }

// data adds a Data frame.
func (o *outFrames) data(k key, c partition.Chunk) {
	size := 0
	for _, b := range c.Batches {
		size += len(b)
	}
	d := data{key: k, base: c.Base, prevEpoch: c.PrevEpoch, prevCRC: c.PrevCRC, highWatermark: c.HighWatermark, logStart: c.LogStart}
	if !o.gather || size < minGatherBytes {
		o.buf = d.append(o.buf, c.Batches, nil)
		return
	}
	o.buf = d.append(o.buf, nil, c.Batches)
	o.splits = append(o.splits, split{at: len(o.buf), batches: c.Batches})
	o.bytes += size
}

// write writes everything before the deadline and returns its size.
func (o *outFrames) write(deadline time.Time) (int, error) {
	if err := o.conn.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	if len(o.splits) == 0 {
		return o.conn.Write(o.buf)
	}
	from := 0
	for _, s := range o.splits {
		o.vector = append(o.vector, o.buf[from:s.at])
		o.vector = append(o.vector, s.batches...)
		from = s.at
	}
	if from < len(o.buf) {
		o.vector = append(o.vector, o.buf[from:])
	}
	rest := o.vector // WriteTo consumes the slice it is called on
	n, err := rest.WriteTo(o.conn)
	return int(n), err
}
