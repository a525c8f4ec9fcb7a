package bench

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// tap remembers the errors that brokers answer to the produce requests of one
// client. The client keeps some to itself: a record whose one attempt ended
// with NOT_LEADER_OR_FOLLOWER and a hint, with REQUEST_TIMED_OUT or with
// NOT_ENOUGH_REPLICAS_AFTER_APPEND fails as "retried too many times", and
// which of them it was is what a benchmark is asked for.
//
// It also knows when each request left and its response was there, which is
// what a journal needs.
type tap struct {
	journal *journal // nil unless one is kept; set before any load

	mu   sync.Mutex
	last map[int32]answer // guarded by mu; the last error by partition
}

// answer is one error that a broker gave for one partition.
type answer struct {
	code int16
	at   time.Time
}

func newTap() *tap { return &tap{last: map[int32]answer{}} }

// dialer returns the option that taps the connections of a client which is
// otherwise like base, or none where that is not possible.
func (t *tap) dialer(base *kgo.Client) []kgo.Opt {
	if config, ok := base.OptValue(kgo.DialTLSConfig).(*tls.Config); ok && config != nil {
		return nil // the client would encrypt what we read
	}
	dial, ok := base.OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error))
	if !ok || dial == nil {
		return nil
	}
	return []kgo.Opt{kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := dial(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return &tappedConn{Conn: conn, tap: t, asked: map[int32]awaited{}}, nil
	})}
}

// errorSince returns the error that a broker gave for the partition after a
// record was sent to it, or nil: the connection broke before there was one.
func (t *tap) errorSince(partition int32, sent time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a, ok := t.last[partition]; ok && a.at.After(sent) {
		return kerr.ErrorForCode(a.code)
	}
	return nil
}

// awaited is a produce request that waits for its response.
type awaited struct {
	version int16
	wrote   time.Time
}

// heard takes a produce response to a request that was written at wrote.
func (t *tap) heard(resp *kmsg.ProduceResponse, wrote, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				t.last[p.Partition] = answer{code: p.ErrorCode, at: now}
				continue
			}
			t.journal.passed(exchange{partition: p.Partition, base: p.BaseOffset, wrote: wrote, read: now})
		}
	}
}

const (
	requestHeaderBytes = 12      // size, key, version, correlation id
	sizeBytes          = 4       // of a response
	maxTapped          = 1 << 20 // larger responses are not looked at
)

// tappedConn is a connection whose produce requests and responses are looked
// at as they pass. One goroutine of the client reads and another writes.
type tappedConn struct {
	net.Conn
	tap *tap

	mu    sync.Mutex
	asked map[int32]awaited // guarded by mu; produce requests that wait, by correlation id

	frame []byte // owned by the reader; what has come of the current response
	skip  int    // owned by the reader; bytes of a response that is not looked at
}

// Write passes one request on: the client writes them whole.
func (c *tappedConn) Write(p []byte) (int, error) {
	if len(p) >= requestHeaderBytes && binary.BigEndian.Uint16(p[4:]) == uint16(kmsg.Produce) {
		c.mu.Lock()
		c.asked[int32(binary.BigEndian.Uint32(p[8:]))] = awaited{version: int16(binary.BigEndian.Uint16(p[6:])), wrote: time.Now()}
		c.mu.Unlock()
	}
	return c.Conn.Write(p)
}

// Read passes on what comes.
func (c *tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.listen(p[:n])
	return n, err
}

// listen follows the frames of the stream.
func (c *tappedConn) listen(p []byte) {
	for len(p) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(p))
			c.skip -= n
			p = p[n:]
			continue
		}
		want := sizeBytes
		if len(c.frame) >= sizeBytes {
			want += int(binary.BigEndian.Uint32(c.frame))
		}
		n := min(want-len(c.frame), len(p))
		c.frame = append(c.frame, p[:n]...)
		p = p[n:]
		if len(c.frame) < want {
			return
		}
		c.advance()
	}
}

// advance is called when the frame has its size, and again when it is whole.
func (c *tappedConn) advance() {
	size := int(binary.BigEndian.Uint32(c.frame))
	switch {
	case len(c.frame) == sizeBytes && size > maxTapped:
		c.skip, c.frame = size, c.frame[:0]
	case len(c.frame) == sizeBytes+size:
		c.decode(c.frame[sizeBytes:])
		c.frame = c.frame[:0]
	}
}

// decode looks at a whole response, if it is one to a produce request. What it
// cannot read it leaves to the client, which will complain.
func (c *tappedConn) decode(p []byte) {
	if len(p) < 4 {
		return
	}
	id := int32(binary.BigEndian.Uint32(p))
	c.mu.Lock()
	asked, ok := c.asked[id]
	delete(c.asked, id)
	c.mu.Unlock()
	if !ok {
		return
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = asked.version
	p = p[4:]
	if resp.IsFlexible() {
		if len(p) == 0 || p[0] != 0 {
			return // tags in the header: nobody sends any
		}
		p = p[1:]
	}
	if resp.ReadFrom(p) == nil {
		c.tap.heard(resp, asked.wrote, time.Now())
	}
}
