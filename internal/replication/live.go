package replication

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// maxComposeBytes bounds what the live writer collects before it writes, so
// that a ping or a watermark never waits behind more than that.
const maxComposeBytes = 4 << 20

// liveWriter is the state of the live lane's writing goroutine for one
// connection.
type liveWriter struct {
	*link
	out      outFrames
	scratch  []*stream // owned by the writer
	marks    []watermark
	opens    []open
	nextPing time.Time
}

// serveLive runs the live lane on a new connection, and the bulk lane beside
// it, until something fails, and returns what. All sessions are closed then.
func (l *link) serveLive(ctx context.Context, conn *liveConn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	conn.drop = cancel
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { cancel(l.readAnswers(conn)) })
	wg.Go(func() { l.runBulk(ctx) })

	l.connected(conn)
	w := liveWriter{link: l, out: newOutFrames(conn.Conn)}
	cancel(w.run(ctx)) // the first cause counts: the others follow from it
	wg.Wait()
	_ = conn.Close()
	err := context.Cause(ctx)
	l.closeAll(err.Error())
	return err
}

// connected opens a session for every stream.
func (l *link) connected(conn *liveConn) {
	l.mu.Lock()
	l.live = conn
	for _, s := range l.streams {
		l.connect(s)
	}
	n := len(l.streams)
	l.mu.Unlock()
	l.stats.connected()
	l.stats.heard(l.m.since(time.Now()))
	l.log.Info("replication link up", slog.String("address", conn.RemoteAddr().String()), slog.Int("partitions", n))
	signal(l.wake)
}

// run writes whatever is due, in one system call per wake, and sleeps.
func (w *liveWriter) run(ctx context.Context) error {
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		now := time.Now()
		more, next := w.compose(now)
		if w.out.len() > 0 {
			n, err := w.out.write(now.Add(w.m.o.DeadAfter))
			if err != nil {
				return fmt.Errorf("write: %w", err)
			}
			w.stats.sent(n)
		}
		if !more {
			tick.Reset(next.Sub(now))
			select {
			case <-w.wake:
			case <-tick.C:
			case <-w.hwTimer.C:
				w.flushWatermarks()
			case <-ctx.Done():
				return nil
			}
			continue
		}
		select { // who has more to send must not hold up the others
		case <-w.hwTimer.C:
			w.flushWatermarks()
		case <-ctx.Done():
			return nil
		default:
		}
	}
}

// compose collects the frames that are due. more says that something was left
// for the next write, next when to look again at the latest.
func (w *liveWriter) compose(now time.Time) (more bool, next time.Time) {
	w.out.reset()
	next = w.retries(now)
	w.composeOpens()
	w.composeCuts()
	w.marks = w.marks[:0]
	more = w.composeData(now)
	w.out.buf = appendFrame(w.out.buf, kindHW, w.marks)
	if !now.Before(w.nextPing) {
		w.out.buf = appendPing(w.out.buf, kindPing, uint64(w.m.since(now)))
		w.nextPing = now.Add(w.m.o.PingInterval)
	}
	if w.nextPing.Before(next) {
		next = w.nextPing
	}
	return more, next
}

// retries opens sessions whose wait is over and returns when the next one's is.
func (w *liveWriter) retries(now time.Time) (next time.Time) {
	next = now.Add(time.Hour)
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.due.retries[:0]
	for _, s := range w.due.retries {
		switch {
		case s.session.phase != phaseConnecting || s.session.over:
			s.on.retries = false
		case !s.session.retryAt.After(now):
			s.on.retries = false
			w.connect(s)
		default:
			kept = append(kept, s)
			if s.session.retryAt.Before(next) {
				next = s.session.retryAt
			}
		}
	}
	clear(w.due.retries[len(kept):])
	w.due.retries = kept
	return next
}

// take moves a list of the link to the writer.
func (w *liveWriter) take(list *[]*stream) []*stream {
	w.scratch = append(w.scratch[:0], *list...)
	clear(*list)
	*list = (*list)[:0]
	return w.scratch
}

// composeOpens adds an Open for every session that begins. What it says of the
// leader is read now, not when the session was queued.
func (w *liveWriter) composeOpens() {
	w.mu.Lock()
	list := w.take(&w.due.opens) // not its own opens, the entries
	w.opens = w.opens[:0]
	for _, s := range list {
		s.on.opens = false
		w.opens = append(w.opens, open{key: s.session.key})
	}
	w.mu.Unlock()
	kept := w.opens[:0]
	for i, o := range w.opens {
		if o.session == 0 {
			continue // closed meanwhile
		}
		lead, ok := list[i].replica.Lead()
		if !ok || lead.Epoch != o.epoch {
			w.retire(list[i], o.session)
			continue
		}
		o.partitionEpoch, o.metaIndex = lead.PartitionEpoch, lead.MetaIndex
		o.leaderEnd, o.logStart = lead.LogEnd, lead.LogStart
		kept = append(kept, o)
	}
	w.out.buf = appendFrame(w.out.buf, kindOpen, kept)
}

func (w *liveWriter) composeCuts() {
	w.mu.Lock()
	cuts := w.due.cuts
	w.due.cuts = nil
	w.mu.Unlock()
	w.out.buf = appendFrame(w.out.buf, kindTruncate, cuts)
}

// composeData adds what the live lane's sessions have to send.
func (w *liveWriter) composeData(now time.Time) (more bool) {
	w.mu.Lock()
	list := w.take(&w.due.looks)
	for _, s := range list {
		s.on.looks = false
	}
	w.mu.Unlock()
	for i, s := range list {
		if w.out.len() >= maxComposeBytes {
			w.again(list[i:])
			return true
		}
		if w.collect(s, now) {
			w.again(list[i : i+1])
			more = true
		}
	}
	return more
}

// again puts streams back on the list without a wake: the writer is about
// to look.
func (w *liveWriter) again(list []*stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range list {
		w.look(s)
	}
}

// collect adds one session's Data frame, and an HW entry when it was just
// opened: until then the follower does not acknowledge what it already has.
// more says that there is data left that may be sent.
func (w *liveWriter) collect(s *stream, now time.Time) (more bool) {
	p := w.plan(s, laneLive)
	if p.announce {
		w.marks = append(w.marks, watermark{key: p.key, highWatermark: p.highWatermark})
	}
	if p.budget <= 0 {
		return false
	}
	chunk, ok := w.read(s, p, laneLive, now)
	if !ok {
		return false
	}
	w.out.data(p.key, chunk)
	return chunk.Next < p.logEnd
}

// flushWatermarks tells followers of high watermarks that no data carried.
func (w *liveWriter) flushWatermarks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.take(&w.due.marks) {
		s.on.marks = false
		if s.session.open() {
			s.announce = true
			w.look(s)
		}
	}
}
