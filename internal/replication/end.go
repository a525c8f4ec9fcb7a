package replication

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/status"
)

// How sessions end. Each way takes the id of the session that it means: by the
// time it has the lock, the stream may be in another one.

// end closes a stream's session and returns the id it had, 0 if it had none.
// REQUIRES: l.mu is held.
func (l *link) end(s *stream) (id uint64) {
	id = s.session.session
	delete(l.sessions, id)
	l.release(s.session.lost())
	return id
}

// release returns credit. Whoever waits for the link's credit looks again.
// REQUIRES: l.mu is held.
func (l *link) release(freed [laneCount]int) {
	for ln, n := range freed {
		l.credit.inflight[ln] -= n
		if n > 0 && l.credit.blocked[ln] {
			l.credit.blocked[ln] = false
			if lane(ln) == laneLive {
				signal(l.wake)
			} else {
				signal(l.bulkWake)
			}
		}
	}
}

// fail ends a session that cannot go on, to be opened again after a while. show
// is the state operators see meanwhile.
func (l *link) fail(s *stream, id uint64, show, reason string) {
	l.mu.Lock()
	if !s.current(id) {
		l.mu.Unlock()
		return
	}
	s.session.backOff(time.Now())
	l.end(s)
	if !s.on.retries {
		s.on.retries = true
		l.due.retries = append(l.due.retries, s)
	}
	first := s.session.failures == 1
	k := s.session.key
	l.mu.Unlock()
	signal(l.wake) // for its timer
	s.replica.FollowerClosed(l.peer, id, reason)
	s.replica.FollowerState(l.peer, show, reason)
	if first {
		l.log.Info("replication session ended", slog.String("partition", k.tp.String()), slog.Int("epoch", int(k.epoch)),
			slog.String("state", show), slog.String("reason", reason))
	}
}

// retire ends a session whose epoch is over on this broker. Metadata brings the
// next one.
func (l *link) retire(s *stream, id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.current(id) {
		s.session.over = true
		l.end(s)
	}
}

// broken handles an error of the leader's own replica.
func (l *link) broken(s *stream, k key, err error) {
	_, _, leading := s.replica.Position(k.epoch)
	switch {
	case !leading:
		l.retire(s, k.session)
	case errors.Is(err, partition.ErrStaleSession), errors.Is(err, partition.ErrOffsetOutOfRange):
		// The partition stopped to count the session, or retention was faster than
		// the follower: a new session sorts out either.
		l.fail(s, k.session, status.StateConnecting, err.Error())
	default:
		l.fail(s, k.session, status.StateFailed, fmt.Sprintf("leader's log: %v", err))
	}
}

// remove detaches a partition's follower for good.
func (l *link) remove(s *stream, reason string) {
	l.mu.Lock()
	if l.streams[s.session.tp] == s {
		delete(l.streams, s.session.tp)
	}
	s.session.over = true
	id := l.end(s)
	l.mu.Unlock()
	if id != 0 {
		s.replica.FollowerClosed(l.peer, id, reason)
	}
}

// closeAll ends every session: the live connection is gone.
func (l *link) closeAll(reason string) {
	l.mu.Lock()
	l.live = nil
	closed := make(map[*stream]uint64, len(l.sessions))
	for id, s := range l.sessions {
		closed[s] = id
		l.end(s)
	}
	for _, list := range []*[]*stream{&l.due.opens, &l.due.looks, &l.due.marks, &l.due.bulk, &l.due.retries} {
		for _, s := range *list {
			s.on = onLists{}
		}
		*list = nil
	}
	l.due.cuts = nil
	l.mu.Unlock()
	for s, id := range closed {
		s.replica.FollowerClosed(l.peer, id, reason)
	}
}
