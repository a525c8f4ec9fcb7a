package replication

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/pause"
	"github.com/chronik-project/chronik/internal/status"
)

// maxBulkIdle is how long a bulk connection that nobody needs is kept.
const maxBulkIdle = 30 * time.Second

// bulkWriter is the state of the bulk lane's goroutine. Nothing is read from
// its connection: what the follower says of bulk data comes on the live lane.
type bulkWriter struct {
	*link
	out     outFrames
	scratch []*stream // owned by the writer
	pace    pace
	allowed allowance
	busy    bool    // it counts as catching up
	last    *stream // that was sent something
}

// runBulk connects the bulk lane whenever a session needs it, until ctx ends.
func (l *link) runBulk(ctx context.Context) {
	retry := backoff{min: l.m.o.MinRedial, max: l.m.o.MaxRedial}
	for l.awaitBulk(ctx) {
		conn, err := l.dial(ctx, laneBulk)
		if err == nil {
			retry.reset()
			w := bulkWriter{
				link: l, out: newOutFrames(conn.Conn), pace: pace{bytesPerSecond: l.m.o.BulkBytesPerSecond},
				allowed: newAllowance(l.m.o.BulkLinkBytes),
			}
			err = w.run(ctx)
			w.catching(false)
			_ = conn.Close()
			if err == nil {
				continue // idle
			}
			l.abandonBulk(err)
		}
		if ctx.Err() != nil {
			return
		}
		if l.stats.trouble(err) {
			l.log.Info("bulk lane down", slog.Any("error", err))
		}
		l.awaitRedial(ctx, retry.next(rand.Int64N))
	}
}

// awaitBulk waits for a session on the bulk lane.
func (l *link) awaitBulk(ctx context.Context) bool {
	for ctx.Err() == nil {
		l.mu.Lock()
		n := len(l.due.bulk)
		l.mu.Unlock()
		if n > 0 {
			return true
		}
		select {
		case <-l.bulkWake:
		case <-ctx.Done():
		}
	}
	return false
}

// abandonBulk ends the sessions with data on a bulk connection that was lost:
// what of it arrived is only known from a new Open.
func (l *link) abandonBulk(err error) {
	l.mu.Lock()
	lost := make(map[*stream]uint64, len(l.due.bulk))
	for _, s := range l.due.bulk {
		if s.session.phase == phaseBulk && s.session.window.bytes[laneBulk] > 0 {
			lost[s] = s.session.session
		}
	}
	l.mu.Unlock()
	for s, id := range lost {
		l.fail(s, id, status.StateConnecting, fmt.Sprintf("bulk lane: %v", err))
	}
}

// run sends for the sessions on the bulk lane in turns. It returns nil when
// there has been none for a while.
func (w *bulkWriter) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = w.out.conn.Close() })
	defer stop()
	timer := time.NewTimer(maxBulkIdle)
	defer timer.Stop()
	for {
		sent, active, err := w.turn(ctx)
		if err != nil {
			return err
		}
		if sent {
			continue
		}
		wait := maxBulkIdle
		if active > 0 {
			wait = w.m.o.BulkStall
		}
		timer.Reset(wait)
		select {
		case <-w.bulkWake:
		case <-timer.C:
			if active > 0 {
				return fmt.Errorf("nothing acknowledged for %v", wait)
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// turn sends one frame of every session that may send, beginning after the one
// that was sent something last: there may be room for one at a time. active is
// how many sessions are on the lane.
func (w *bulkWriter) turn(ctx context.Context) (sent bool, active int, err error) {
	w.mu.Lock()
	kept := w.due.bulk[:0]
	for _, s := range w.due.bulk {
		if s.session.phase == phaseBulk {
			kept = append(kept, s)
		} else {
			s.on.bulk = false
		}
	}
	clear(w.due.bulk[len(kept):])
	w.due.bulk = kept
	w.scratch = append(w.scratch[:0], kept...)
	w.mu.Unlock()
	w.catching(len(kept) > 0)
	if now := time.Now(); w.allowed.due(now) {
		w.allow(now)
	}
	first := slices.Index(w.scratch, w.last) + 1
	for i := range w.scratch {
		s := w.scratch[(first+i)%len(w.scratch)]
		ok, err := w.send(ctx, s)
		if err != nil {
			return sent, len(w.scratch), err
		}
		if ok {
			sent, w.last = true, s
		}
	}
	return sent, len(w.scratch), nil
}

// catching says whether there are sessions on the lane.
func (w *bulkWriter) catching(busy bool) {
	switch {
	case busy && !w.busy:
		w.m.strain.begin()
		w.allowed = newAllowance(w.allowed.most)
	case !busy && w.busy:
		w.m.strain.end()
	}
	w.busy = busy
}

// allow reviews how much may be on its way. Where the high watermark waits for
// the follower, as it does for a member of the in-sync set, so do producers:
// then it is all there is.
func (w *bulkWriter) allow(now time.Time) {
	lag, awaited := 0.0, false
	for _, s := range w.scratch {
		w.mu.Lock()
		epoch, cursor, density, durable := s.session.epoch, s.session.cursor, s.session.lagBytes(1), s.session.durableEnd
		w.mu.Unlock()
		if end, hw, ok := s.replica.Position(epoch); ok {
			lag += float64(end-cursor) * density
			awaited = awaited || hw <= durable && durable < end
		}
	}
	w.allowed.review(now, lag, w.m.strain.high(now))
	if awaited {
		w.allowed.window = w.allowed.most
	}
	w.mu.Lock()
	w.credit.bulk = w.allowed.window
	w.mu.Unlock()
}

// send writes one frame of a session, if it may send.
func (w *bulkWriter) send(ctx context.Context, s *stream) (bool, error) {
	now := time.Now()
	p := w.plan(s, laneBulk)
	if p.budget <= 0 {
		return false, nil
	}
	chunk, ok := w.read(s, p, laneBulk, now)
	if !ok {
		return false, nil
	}
	w.out.reset()
	w.out.data(p.key, chunk)
	n, err := w.out.write(now.Add(w.m.o.BulkStall))
	if err != nil {
		return false, fmt.Errorf("write: %w", err)
	}
	w.stats.sent(n)
	w.allowed.sent += n
	if chunk.Next >= p.logEnd {
		w.caughtUp(s, p.session)
	}
	return true, w.pace.wait(ctx, n, now)
}

// caughtUp makes a session that was sent everything up to the end its log had a
// moment ago leave the bulk lane. What was appended since is about what one
// chunk takes to send.
func (l *link) caughtUp(s *stream, id uint64) {
	l.mu.Lock()
	moved := s.current(id) && s.session.sendsOn(laneBulk) && s.session.leave()
	if moved {
		l.route(s)
	}
	l.mu.Unlock()
	if moved {
		s.replica.FollowerLive(l.peer, id, true)
	}
}

// pace limits a rate: a token bucket that holds a tenth of a second.
type pace struct {
	bytesPerSecond int // 0: unlimited
	due            time.Time
}

// delay takes n bytes sent at now and returns how long to wait before the next.
func (p *pace) delay(n int, now time.Time) time.Duration {
	if p.bytesPerSecond <= 0 {
		return 0
	}
	if earliest := now.Add(-time.Second / 10); p.due.Before(earliest) {
		p.due = earliest
	}
	p.due = p.due.Add(time.Duration(float64(n) / float64(p.bytesPerSecond) * float64(time.Second)))
	return max(p.due.Sub(now), 0)
}

func (p *pace) wait(ctx context.Context, n int, now time.Time) error {
	d := p.delay(n, now)
	if d == 0 {
		return nil
	}
	if !pause.For(ctx, d) {
		return ctx.Err()
	}
	return nil
}
