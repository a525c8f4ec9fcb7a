package replication

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/status"
	"github.com/chronik-project/chronik/internal/trace"
)

// answerReader is the state of the goroutine that reads a live lane's answers.
// It hands acknowledgements to the partitions itself: the producer that waits
// for one is woken from here, with no other goroutine between.
type answerReader struct {
	*link
	frames *frameReader
	opens  []openAck
	cuts   []truncated
	acks   []ack
	owners []*stream // of acks, by index
	how    trace.Ack // of the ack in hand; its flights are used again
	errs   []sessionErr
	pong   uint64 // the last one's content
}

// readAnswers reads the follower's frames until the connection fails.
func (l *link) readAnswers(conn *liveConn) error {
	r := answerReader{link: l, frames: newFrameReader(conn, l.m.o.MaxFrameBytes)}
	var extended time.Time // when the deadline was last moved
	for {
		now := time.Now()
		if now.Sub(extended) > l.m.o.PingInterval {
			// Also of writes: who answers and takes nothing waits for room to append.
			if err := conn.SetDeadline(now.Add(l.m.o.DeadAfter)); err != nil {
				return fmt.Errorf("read: %w", err)
			}
			extended = now
		}
		f, err := r.frames.next()
		if err != nil {
			return readError(err)
		}
		now = time.Now()
		l.stats.heard(l.m.since(now))
		l.m.replicas.PeerHeard(l.peer)
		if err := r.handle(f, now); err != nil {
			return err
		}
	}
}

// readError gives the end of a connection the words an operator knows it by.
func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the other broker closed the connection")
	}
	return fmt.Errorf("read: %w", err)
}

func (r *answerReader) handle(f frame, now time.Time) error {
	switch f.kind {
	case kindAck:
		return r.handleAcks(f, now)
	case kindPong:
		sent, err := decodePing(f)
		if err == nil && sent > r.pong { // or it only says that the follower is alive
			r.pong = sent
			r.stats.roundTrip(r.m.since(now)-time.Duration(sent), now)
		}
		return err
	case kindOpenAck:
		return r.handleOpenAcks(f)
	case kindTruncated:
		return r.handleTruncateds(f)
	case kindErr:
		return r.handleErrs(f)
	default:
		return fmt.Errorf("%w: %s from a follower", errFrame, f.kind)
	}
}

// handleAcks is the hot path: one frame per fsync round of the follower.
func (r *answerReader) handleAcks(f frame, now time.Time) error {
	rd, acks, err := decodeAcks(f, r.acks[:0])
	if err != nil {
		return err
	}
	r.acks, r.owners = acks, r.owners[:0]
	var waited time.Duration
	r.mu.Lock()
	for _, a := range acks {
		s := r.sessions[a.session]
		if s != nil && !s.session.owns(a.key) {
			s = nil
		}
		r.owners = append(r.owners, s)
	}
	r.mu.Unlock()
	r.how.At, r.how.Queue, r.how.Fsync = now, rd.queue, rd.fsync
	for i, s := range r.owners {
		if s != nil {
			waited = max(waited, r.handleAck(s, acks[i], now))
		}
	}
	r.stats.acked(rd, waited)
	return nil
}

// handleAck counts one entry and lets the session go on with the credit that it
// returns.
func (r *answerReader) handleAck(s *stream, a ack, now time.Time) (waited time.Duration) {
	r.mu.Lock()
	if !s.current(a.session) {
		r.mu.Unlock()
		return 0
	}
	r.how.Flights = s.session.window.until(a.durableEnd, r.how.Flights[:0])
	p, err := s.session.acked(a, now)
	if err == nil {
		r.release(p.freed)
		if p.switched || s.limited {
			s.limited = false
			r.route(s)
		}
	}
	live := s.session.phase == phaseLive
	r.mu.Unlock()
	if p.freed[laneLive] > 0 && p.freed[laneBulk] == 0 {
		r.m.strain.observe(p.waited, now)
	}
	if err != nil {
		r.fail(s, a.session, status.StateConnecting, err.Error())
		return 0
	}
	if err := s.replica.FollowerAck(r.peer, a.epoch, a.session, a.durableEnd, a.appendedEnd, r.how); err != nil {
		r.broken(s, a.key, err)
		return 0
	}
	if p.switched {
		signal(r.bulkWake) // it has one less, or one more
		s.replica.FollowerLive(r.peer, a.session, live)
	}
	return p.waited
}

// find returns the stream of a session that belongs to the key, if any.
func (l *link) find(k key) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.sessions[k.session]; s != nil && s.session.key == k {
		return s
	}
	return nil
}

func (r *answerReader) handleOpenAcks(f frame) error {
	var err error
	if r.opens, err = decodeOpenAcks(f, r.opens[:0]); err != nil {
		return err
	}
	for _, a := range r.opens {
		if s := r.find(a.key); s != nil {
			r.opened(s, a)
		}
	}
	return nil
}

// opened acts on a follower's answer to Open.
func (l *link) opened(s *stream, a openAck) {
	l.mu.Lock()
	ok := s.current(a.session) && s.session.answered(a)
	l.mu.Unlock()
	switch {
	case !ok:
	case a.code == openWait:
		s.replica.FollowerState(l.peer, status.StateParked,
			fmt.Sprintf("its metadata is at %d and does not cover this leader epoch yet", a.appliedIndex))
	case a.code == openFenced:
		l.fail(s, a.session, status.StateConnecting, fmt.Sprintf("it follows a leader of the newer epoch %d", a.seenEpoch))
	case a.code == openRemoved:
		l.fail(s, a.session, status.StateConnecting, "it has no such replica")
	default:
		l.reconcile(s, a)
	}
}

// reconcile compares the follower's log with the leader's, and has it cut or
// starts to send (R7).
func (l *link) reconcile(s *stream, a openAck) {
	cut, err := s.replica.CutFor(a.epoch, a.position)
	if err != nil {
		l.broken(s, a.key, err)
		return
	}
	if !cut.Needed {
		l.begin(s, a.key, a.position.BrokerEpoch, a.position.DurableEnd, a.position.LogEnd)
		return
	}
	l.mu.Lock()
	ok := s.current(a.session)
	if ok {
		l.due.cuts = append(l.due.cuts, s.session.truncate(cut))
	}
	l.mu.Unlock()
	if !ok {
		return
	}
	signal(l.wake)
	s.replica.FollowerState(l.peer, status.StateTruncating,
		fmt.Sprintf("its log [%d, %d) differs from the leader's from %d on", a.position.LogStart, a.position.LogEnd, cut.To))
	l.log.Info("follower truncates", slog.String("partition", a.tp.String()), slog.Int("epoch", int(a.epoch)),
		slog.Int64("log_end", a.position.LogEnd), slog.Int64("to", cut.To), slog.Bool("reset", cut.Reset))
}

func (r *answerReader) handleTruncateds(f frame) error {
	var err error
	if r.cuts, err = decodeTruncateds(f, r.cuts[:0]); err != nil {
		return err
	}
	for _, t := range r.cuts {
		s := r.find(t.key)
		if s == nil {
			continue
		}
		r.mu.Lock()
		done := s.session.cutDone(t)
		be, to := s.session.brokerEpoch, s.session.cutTo
		r.mu.Unlock()
		if done {
			r.begin(s, t.key, be, t.durableEnd, t.durableEnd)
		} else {
			r.fail(s, t.session, status.StateConnecting, fmt.Sprintf("cut its log at %d, asked for %d", t.durableEnd, to))
		}
	}
	return nil
}

func (r *answerReader) handleErrs(f frame) error {
	var err error
	if r.errs, err = decodeSessionErrs(f, r.errs[:0]); err != nil {
		return err
	}
	for _, e := range r.errs {
		s := r.find(e.key)
		if s == nil {
			continue
		}
		show := status.StateConnecting
		switch e.code {
		case errCodeStorage, errCodeCommitted:
			show = status.StateFailed
		case errCodeDiskFull:
			show = status.StateDiskFull
		case errCodeWait:
			show = status.StateParked
		case errCodeInternal, errCodeDiverged, errCodeStale:
		}
		r.fail(s, e.session, show, e.text)
	}
	return nil
}
