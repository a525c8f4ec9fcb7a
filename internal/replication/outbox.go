package replication

import (
	"context"
	"net"
	"sync"
	"time"
)

// maxOutboxBytes bounds the answers that wait for a leader that does not read
// them. Beyond it the connection is closed: the leader opens its sessions anew.
const maxOutboxBytes = 64 << 20

// outbox collects the follower's answers and writes them. Nobody who puts
// something in ever waits for the socket: what it does not take at once is left
// to the writer goroutine (run).
//
// Acks are not queued but kept by session, so that however slow the leader
// reads, there is one entry each, with the newest position.
type outbox struct {
	conn    net.Conn
	timeout time.Duration
	wake    chan struct{} // the writer has something to do; capacity 1
	// try writes what the socket takes at once; nil when the connection cannot.
	try func(b []byte) (n int, err error)

	mu      sync.Mutex
	frames  []byte         // guarded by mu
	acks    []ack          // guarded by mu
	ackAt   map[uint64]int // guarded by mu; session → index in acks
	round   round          // guarded by mu; of acks
	flushed bool           // guarded by mu; acks may leave
	writing bool           // guarded by mu; someone owns the write side and buf
	handed  bool           // guarded by mu; that someone is the writer goroutine, from buf on
	broken  bool           // guarded by mu; the connection is closed

	buf   []byte // owned by whoever is writing
	spare []byte // owned by whoever is writing; the memory of buf
}

func newOutbox(conn net.Conn, timeout time.Duration) *outbox {
	return &outbox{conn: conn, timeout: timeout, wake: make(chan struct{}, 1), try: tryWriter(conn), ackAt: map[uint64]int{}}
}

// post adds frames and sends them.
func (o *outbox) post(appendTo func([]byte) []byte) {
	o.mu.Lock()
	o.frames = appendTo(o.frames)
	overflow := len(o.frames) > maxOutboxBytes
	o.broken = o.broken || overflow
	o.mu.Unlock()
	if overflow {
		_ = o.conn.Close() // its reader reports the loss
		return
	}
	o.flush()
}

// ack notes a session's position, which leaves with the next flushRound.
func (o *outbox) ack(a ack, queued time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i, ok := o.ackAt[a.session]; ok {
		o.acks[i] = a
	} else {
		o.ackAt[a.session] = len(o.acks)
		o.acks = append(o.acks, a)
	}
	o.round.queue = max(o.round.queue, queued)
}

// flushRound sends the acks of a sync round that took that long.
func (o *outbox) flushRound(fsync time.Duration) {
	o.mu.Lock()
	due := len(o.acks) > 0
	if due {
		o.flushed = true
		o.round.fsync = fsync
	}
	o.mu.Unlock()
	if due {
		o.flush()
	}
}

// take moves everything that is due to buf, if there is anything. REQUIRES:
// o.mu is held, and the caller is writing.
func (o *outbox) take() bool {
	if o.broken || len(o.frames) == 0 && !o.flushed {
		return false
	}
	o.spare = append(o.spare[:0], o.frames...)
	o.frames = o.frames[:0]
	if o.flushed {
		o.round.queue = max(o.round.queue-o.round.fsync, 0)
		o.spare = appendAcks(o.spare, o.round, o.acks)
		o.acks, o.round, o.flushed = o.acks[:0], round{}, false
		clear(o.ackAt)
	}
	o.buf = o.spare
	return true
}

// flush writes what is due, from the goroutine that made it due when the socket
// takes it at once: a hop to another goroutine would add to every producer's
// wait.
func (o *outbox) flush() {
	if o.try == nil {
		signal(o.wake)
		return
	}
	if !o.begin() {
		return // whoever is writing looks again before it stops
	}
	for {
		n, err := o.try(o.buf)
		o.buf = o.buf[n:]
		if err == nil && len(o.buf) > 0 { // the socket is full
			o.handOver()
			return
		}
		if !o.goOn(err) {
			return
		}
	}
}

// begin claims the write side. It reports false when someone has it, or there
// is nothing to write.
func (o *outbox) begin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing {
		return false
	}
	o.writing = o.take()
	return o.writing
}

// goOn takes what became due meanwhile, or gives up the write side.
func (o *outbox) goOn(err error) bool {
	o.mu.Lock()
	if err == nil {
		o.writing = o.take()
	} else {
		o.broken, o.writing = true, false
	}
	writing := o.writing
	o.mu.Unlock()
	if err != nil {
		_ = o.conn.Close() // its reader reports the loss
	}
	return writing
}

// handOver gives the write side, and the rest of buf, to the writer goroutine.
func (o *outbox) handOver() {
	o.mu.Lock()
	o.handed = true
	o.mu.Unlock()
	signal(o.wake)
}

// accept is begin for the writer goroutine, which may have been handed the
// write side.
func (o *outbox) accept() bool {
	o.mu.Lock()
	handed := o.handed
	o.handed = false
	o.mu.Unlock()
	return handed || o.begin()
}

// run writes what the socket did not take at once, until ctx ends, and from time
// to time what says that this side is alive, if anything does.
func (o *outbox) run(ctx context.Context, every time.Duration, alive func([]byte) []byte) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-o.wake:
		case <-tick.C:
			o.post(alive)
			continue // if the socket is full there is something to do
		case <-ctx.Done():
			return
		}
		for ok := o.accept(); ok; {
			ok = o.goOn(o.write())
		}
	}
}

// write writes buf, waiting for the socket. The deadline is cleared again, or
// it would fail the next try.
func (o *outbox) write() error {
	if err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return err
	}
	if _, err := o.conn.Write(o.buf); err != nil {
		return err
	}
	return o.conn.SetWriteDeadline(time.Time{})
}
