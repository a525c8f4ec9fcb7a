package replication

import (
	"time"

	"github.com/chronik-project/chronik/internal/partition"
)

// maxChunkBytes bounds the batches of one Data frame, unless one batch alone is
// larger: partitions that share a lane take turns.
const maxChunkBytes = 1 << 20

// plan is what a lane may do for a session now.
type plan struct {
	key
	cursor        int64
	logEnd        int64
	highWatermark int64
	budget        int  // bytes that may be sent; at most 0: none, or nothing is due
	announce      bool // tell the follower the high watermark in any case
}

// plan looks at a session for one of the lanes.
func (l *link) plan(s *stream, ln lane) plan {
	l.mu.Lock()
	k := s.session.key
	l.mu.Unlock()
	if k.session == 0 {
		return plan{}
	}
	end, hw, ok := s.replica.Position(k.epoch)
	if !ok {
		l.retire(s, k.session)
		return plan{}
	}
	l.mu.Lock()
	if !s.current(k.session) || !s.session.open() {
		l.mu.Unlock()
		return plan{}
	}
	p := plan{key: k, cursor: s.session.cursor, logEnd: end, highWatermark: hw}
	if ln == laneLive && s.announce {
		s.announce = false
		p.announce = s.session.hwSent != hw
		s.session.hwSent = hw
	}
	moved := s.session.sendsOn(ln) && l.chooseLane(s, end)
	if !moved && s.session.sendsOn(ln) && p.cursor < end {
		p.budget = l.budget(s, ln)
	}
	live := s.session.phase == phaseLive
	l.mu.Unlock()
	if moved {
		s.replica.FollowerLive(l.peer, k.session, live)
	}
	return p
}

// chooseLane makes a session leave a lane that does not suit it: the live one
// when it fell too far behind, the bulk one when it has caught up. It reports
// whether the change has been made. REQUIRES: l.mu is held, and the session
// sends on a lane.
func (l *link) chooseLane(s *stream, logEnd int64) (moved bool) {
	moved = s.session.review(logEnd, l.m.o.BulkWindowBytes)
	if moved {
		l.route(s)
	}
	return moved
}

// budget is how many bytes of a session may be sent on a lane now. When its own
// window or the link's is full, the ack that returns credit brings the session
// up again. REQUIRES: l.mu is held.
func (l *link) budget(s *stream, ln lane) int {
	windowBytes, linkBytes := l.m.o.LiveWindowBytes, l.m.o.LiveLinkBytes
	if ln == laneBulk {
		windowBytes, linkBytes = l.m.o.BulkWindowBytes, l.credit.bulk
	}
	budget := min(s.session.budget(ln, windowBytes), maxChunkBytes)
	if budget <= 0 {
		s.limited = true
		return 0
	}
	room := linkBytes - l.credit.inflight[ln]
	if ln == laneBulk && l.credit.inflight[ln] > 0 && room < min(budget, maxChunkBytes/2) {
		room = 0 // what is on its way makes room for a read that is worth it
	}
	if room > 0 {
		return min(budget, room)
	}
	l.credit.blocked[ln] = true
	if ln == laneLive { // the bulk list keeps its streams anyway
		l.look(s)
	}
	return 0
}

// read takes the next chunk of a session from the log and notes it as sent. It
// reports false when there is nothing to send after all.
func (l *link) read(s *stream, p plan, ln lane, now time.Time) (partition.Chunk, bool) {
	chunk, err := s.replica.ReadForFollower(p.epoch, p.cursor, p.budget)
	if err != nil {
		l.broken(s, p.key, err)
		return chunk, false
	}
	if chunk.Next == chunk.Base {
		return chunk, false
	}
	size := 0
	for _, b := range chunk.Batches {
		size += len(b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.current(p.session) || s.session.cursor != p.cursor {
		return chunk, false
	}
	s.session.sent(ln, chunk.Next, size, chunk.HighWatermark, now)
	l.credit.inflight[ln] += size
	return chunk, true
}
