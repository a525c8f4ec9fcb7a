package replication

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// backoff is the wait between attempts to dial: it doubles up to a limit, and
// is drawn from the upper half of that so that brokers that lost each other at
// the same moment do not meet again and again.
type backoff struct {
	min, max time.Duration
	failures int
}

func (b *backoff) next(random func(n int64) int64) time.Duration {
	d := min(b.min<<min(b.failures, 16), b.max)
	b.failures++
	return d/2 + time.Duration(random(int64(d/2)+1))
}

func (b *backoff) reset() { b.failures = 0 }

// errUnregistered says that metadata does not know the peer's address yet.
var errUnregistered = errors.New("broker is not registered yet: its address is unknown")

// errMoved says that a connection leads to a process, or an address, that
// metadata says the peer has left.
var errMoved = errors.New("the broker has restarted or moved")

// liveConn is the live lane's connection.
type liveConn struct {
	net.Conn
	incarnation cluster.UUID // of the process at the other end
	drop        context.CancelCauseFunc
}

// run connects the link once it has partitions, and again whenever the
// connection is lost, until ctx ends.
func (l *link) run(ctx context.Context) {
	retry := backoff{min: l.m.o.MinRedial, max: l.m.o.MaxRedial}
	for l.awaitStreams(ctx) {
		conn, err := l.dial(ctx, laneLive)
		if err == nil {
			began := time.Now()
			err = l.serveLive(ctx, conn)
			if time.Since(began) > l.m.o.MaxRedial {
				retry.reset() // it worked for a while: this is a new failure
			}
		}
		if ctx.Err() != nil {
			return
		}
		l.disconnected(err)
		if l.awaitRedial(ctx, retry.next(rand.Int64N)) {
			retry.reset()
		}
	}
}

// disconnected reports why there is no connection, whenever the reason changes.
func (l *link) disconnected(err error) {
	if l.stats.failed(err) {
		l.log.Info("replication link down", slog.Any("error", err))
		l.tell(err.Error())
	}
}

// awaitStreams waits until the link has something to replicate. It reports
// false when ctx ended.
func (l *link) awaitStreams(ctx context.Context) bool {
	for ctx.Err() == nil {
		l.mu.Lock()
		n := len(l.streams)
		l.mu.Unlock()
		if n > 0 {
			return true
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
		}
	}
	return false
}

// awaitRedial waits before the next attempt. A kick, by a Hello from the peer
// or a new address, ends the wait early: not before the shortest backoff has
// passed, so that two brokers cannot kick each other into a spin. It reports
// whether there was one.
func (l *link) awaitRedial(ctx context.Context, wait time.Duration) (kicked bool) {
	floor := time.NewTimer(min(wait, l.m.o.MinRedial))
	defer floor.Stop()
	full := time.NewTimer(wait)
	defer full.Stop()
	select {
	case <-floor.C:
	case <-ctx.Done():
		return false
	}
	select {
	case <-l.kick:
		return true
	case <-full.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// dial connects one lane.
func (l *link) dial(ctx context.Context, ln lane) (*liveConn, error) {
	l.mu.Lock()
	endpoint := l.endpoint
	l.mu.Unlock()
	if endpoint.IsZero() {
		return nil, errUnregistered
	}
	ctx, cancel := context.WithTimeout(ctx, l.m.o.DialTimeout)
	defer cancel()
	conn, incarnation, err := l.m.dial(ctx, ln, l.peer, endpoint.String())
	if err != nil {
		return nil, err // names the address
	}
	return &liveConn{Conn: conn, incarnation: incarnation}, nil
}

// locate takes what metadata says of the peer. A new address, or a new process,
// is reason to redial at once; a connection to a process that is gone is
// dropped instead of waiting until it is noticed.
func (l *link) locate(endpoint cluster.Endpoint, incarnation cluster.UUID) {
	l.mu.Lock()
	moved := l.endpoint != endpoint
	l.endpoint = endpoint
	conn := l.live
	l.mu.Unlock()
	if conn != nil && (moved || conn.incarnation != incarnation) {
		conn.drop(errMoved)
	}
	signal(l.kick)
}
