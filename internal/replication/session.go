package replication

import (
	"fmt"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// phase is where a session stands.
type phase uint8

const (
	phaseConnecting phase = iota // no live connection, or waiting to open again
	phaseOpening                 // Open is sent, or leaves with the next write
	phaseParked                  // the follower waits for its metadata
	phaseTruncating              // Truncate is sent, or leaves with the next write
	phaseBulk                    // data flows on the bulk lane
	phaseLive                    // data flows on the live lane
)

// String is for errors and test output.
func (p phase) String() string {
	return [...]string{"connecting", "opening", "parked", "truncating", "bulk", "live"}[p]
}

// Times between a session that failed and the next attempt to open it.
const (
	minReopen = 20 * time.Millisecond
	maxReopen = time.Second
)

// guessedDensity is how many bytes an offset is thought to take in a session
// that has not sent any yet.
const guessedDensity = 1 << 10

// session is the leader's side of one follower of one partition in one leader
// epoch. It is pure: it holds what was sent and heard, and decides what may be
// sent next. A follower that is reconnected gets a new session id in the same
// session value.
//
//	L1  While a session is open, everything below cursor was either in the
//	    follower's log when it opened, or sent to it in this session, in order
//	    and without a gap.
//	L2  One lane carries a session's data at a time: the next one starts when
//	    the follower has appended all that the other one carried.
//	L3  durableEnd <= appendedEnd <= cursor.
//	L4  What is on its way takes at most one window and one frame per lane.
type session struct {
	key         // key.session is 0 while connecting
	phase       phase
	brokerEpoch cluster.BrokerEpoch // the follower's, from its OpenAck (R10)
	cursor      int64               // offset of the next record to send
	durableEnd  int64               // as acknowledged
	appendedEnd int64               // as acknowledged
	window      window
	handover    bool // stop on this lane, and change to the other when L2 allows
	cutTo       int64
	hwSent      int64   // newest high watermark the follower was told
	density     float64 // bytes per offset, averaged over what was sent

	failures int       // attempts to open since the last progress
	retryAt  time.Time // while connecting: no attempt before; zero: when a connection is there
	over     bool      // this broker stopped leading the epoch: never open again
}

// connect begins an attempt to open under a new session id.
func (s *session) connect(id uint64) {
	s.session = id
	s.phase = phaseOpening
	s.retryAt = time.Time{}
	s.handover = false
	s.hwSent = -1
}

// answered takes the follower's answer to Open. It reports false for an answer
// to another attempt (R4).
func (s *session) answered(a openAck) bool {
	if a.key != s.key || (s.phase != phaseOpening && s.phase != phaseParked) {
		return false
	}
	if a.code == openWait {
		s.phase = phaseParked
	}
	s.brokerEpoch = a.position.BrokerEpoch
	return true
}

// truncate begins the cut that the leader computed from the answer.
func (s *session) truncate(c partition.Cut) truncate {
	s.phase = phaseTruncating
	s.cutTo = c.To
	return truncate{key: s.key, reset: c.Reset, to: c.To}
}

// cutDone takes the follower's word that the cut is durable. It reports false
// when that is not what was asked for.
func (s *session) cutDone(t truncated) bool {
	return t.key == s.key && s.phase == phaseTruncating && t.durableEnd == s.cutTo
}

// begin starts to send from logEnd, the end of a follower's log that is a
// prefix of the leader's. lag is how many offsets the leader is ahead.
func (s *session) begin(durableEnd, logEnd, lag int64, liveBytes int) {
	s.cursor, s.appendedEnd, s.durableEnd = logEnd, logEnd, durableEnd
	s.phase = phaseBulk
	if s.lagBytes(lag) <= float64(liveBytes) {
		s.phase = phaseLive
	}
}

// lagBytes estimates the size of that many offsets.
func (s *session) lagBytes(offsets int64) float64 {
	if s.density == 0 {
		return float64(offsets) * guessedDensity
	}
	return float64(offsets) * s.density
}

// sendsOn reports whether the session's next data goes on l.
func (s *session) sendsOn(l lane) bool {
	return !s.handover && (l == laneLive && s.phase == phaseLive || l == laneBulk && s.phase == phaseBulk)
}

// budget is how many bytes may be sent on the lane it sends on; at most 0 means
// none until an ack returns credit.
func (s *session) budget(l lane, windowBytes int) int {
	if s.window.n >= maxFlights {
		return 0
	}
	return windowBytes - s.window.bytes[l]
}

// tooFarBehind reports whether a live session should catch up on the bulk lane:
// its data may have to come from disk, for which the others on the live lane
// must not wait.
func (s *session) tooFarBehind(logEnd int64, bulkWindowBytes int) bool {
	return s.phase == phaseLive && !s.handover && s.lagBytes(logEnd-s.cursor) > float64(bulkWindowBytes)
}

// sent notes a Data frame up to next, of the given size, that leaves now.
func (s *session) sent(l lane, next int64, bytes int, hw int64, now time.Time) {
	density := float64(bytes) / float64(next-s.cursor)
	if s.density == 0 {
		s.density = density
	} else {
		s.density += (density - s.density) / 8
	}
	s.cursor = next
	s.hwSent = hw
	s.window.push(flight{end: next, bytes: bytes, lane: l, sent: now})
}

// progress is what an ack changed.
type progress struct {
	freed    [laneCount]int
	waited   time.Duration // of the oldest frame that became durable; 0: none did
	switched bool          // data now flows on the other lane
}

// owns reports whether an ack under that key counts: it is of this very session,
// and that is open (R4).
func (s *session) owns(k key) bool { return s.key == k && s.open() }

// acked takes a cumulative ack. It is an error, and the end of the session,
// when it speaks of what was never sent: the logs differ.
func (s *session) acked(a ack, now time.Time) (progress, error) {
	if a.appendedEnd > s.cursor || a.durableEnd > a.appendedEnd {
		return progress{}, fmt.Errorf("acknowledged %d durable, %d appended, but only %d was sent", a.durableEnd, a.appendedEnd, s.cursor)
	}
	var p progress
	if a.durableEnd > s.durableEnd {
		s.durableEnd = a.durableEnd
		s.failures = 0
		p.freed, p.waited = s.window.settle(a.durableEnd, now)
	}
	s.appendedEnd = max(s.appendedEnd, a.appendedEnd)
	p.switched = s.handover && s.changeLane()
	return p, nil
}

// review makes the session leave a lane that does not suit it: the live one when
// it fell too far behind, the bulk one when it has caught up.
func (s *session) review(logEnd int64, bulkWindowBytes int) (moved bool) {
	caughtUp := s.phase == phaseBulk && s.cursor >= logEnd
	if !caughtUp && !s.tooFarBehind(logEnd, bulkWindowBytes) {
		return false
	}
	return s.leave()
}

// leave stops the session on its lane: it changes to the other one now or, when
// something is on its way, with the ack of the last of it (L2). It reports
// whether the change has been made.
func (s *session) leave() (switched bool) {
	s.handover = true
	return s.changeLane()
}

func (s *session) changeLane() bool {
	if s.appendedEnd != s.cursor {
		return false
	}
	s.handover = false
	if s.phase == phaseBulk {
		s.phase = phaseLive
	} else {
		s.phase = phaseBulk
	}
	return true
}

// lost ends the attempt or session: the connection is gone. It returns the
// credit that was in use.
func (s *session) lost() (freed [laneCount]int) {
	s.phase = phaseConnecting
	s.session = 0
	s.handover = false
	return s.window.clear()
}

// backOff makes the next attempt wait: for a time that doubles with every
// failure since the last progress.
func (s *session) backOff(now time.Time) {
	s.retryAt = now.Add(min(minReopen<<min(s.failures, 16), maxReopen))
	s.failures++
}

// open reports whether the follower agreed to follow and, if it had to, cut its log.
func (s *session) open() bool { return s.phase >= phaseBulk }
