package replication

import (
	"log/slog"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/status"
)

// stream is one follower of one led partition: its session, and what it stands
// between.
type stream struct {
	link    *link
	replica ledReplica

	session session // guarded by link.mu
	// The flags say on which of the link's lists the stream is. Guarded by
	// link.mu.
	opening, dirty, hwDue, queued, waiting bool
	limited                                bool // data is due, but the window is full
	announce                               bool // tell the follower the high watermark, data or not
}

// link is the sending side of one ordered pair of brokers. It has three
// goroutines while connected: the live lane's writer (run), the reader of the
// follower's answers, and the bulk lane's writer.
//
// Every frame on the live lane is written by its writer; the others put what is
// to be sent on a list and wake it. Partition locks are taken without mu held.
type link struct {
	m    *Manager
	peer cluster.BrokerID
	log  *slog.Logger

	wake     chan struct{} // the live writer has something to do; capacity 1
	bulkWake chan struct{} // the bulk writer has; capacity 1
	kick     chan struct{} // redial soon; capacity 1
	hwTimer  *time.Timer   // set when hwDue begins to hold something

	stats linkStats

	mu       sync.Mutex
	endpoint cluster.Endpoint                   // guarded by mu; zero while unknown
	live     *liveConn                          // guarded by mu; nil unless connected
	streams  map[cluster.TopicPartition]*stream // guarded by mu
	sessions map[uint64]*stream                 // guarded by mu; by current session id
	inflight [laneCount]int                     // guarded by mu; bytes on their way, all sessions
	opens    []*stream                          // guarded by mu; Open is due
	cuts     []truncate                         // guarded by mu; Truncate is due
	dirty    []*stream                          // guarded by mu; live sessions that may have data due
	hwDue    []*stream                          // guarded by mu; told of an older high watermark
	bulk     []*stream                          // guarded by mu; sessions on the bulk lane
	waiting  []*stream                          // guarded by mu; have a retryAt
	blocked  [laneCount]bool                    // guarded by mu; someone waits for the link's credit
}

func newLink(m *Manager, peer cluster.BrokerID) *link {
	l := &link{
		m: m, peer: peer, log: m.o.Logger.With(slog.Int("peer", int(peer))),
		wake: make(chan struct{}, 1), bulkWake: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		hwTimer: time.NewTimer(time.Hour),
		streams: map[cluster.TopicPartition]*stream{}, sessions: map[uint64]*stream{},
	}
	l.hwTimer.Stop()
	return l
}

// signal makes the owner of c look for work; a pending signal covers this one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add attaches a partition's follower. The session opens as soon as there is a
// connection.
func (l *link) add(s *stream) {
	l.mu.Lock()
	l.streams[s.session.tp] = s
	up := l.live != nil
	if up {
		l.connect(s)
	}
	l.mu.Unlock()
	signal(l.wake)
	if why := l.stats.lastFailure(); !up && why != "" {
		s.replica.FollowerState(l.peer, status.StateConnecting, why)
	}
}

// connect gives a stream a new session id and queues its Open. REQUIRES: l.mu
// is held, and the link is connected.
func (l *link) connect(s *stream) {
	if s.session.over || s.session.phase != phaseConnecting {
		return
	}
	id := l.m.nextSession()
	s.session.connect(id)
	l.sessions[id] = s
	if !s.opening {
		s.opening = true
		l.opens = append(l.opens, s)
	}
}

// current reports whether id is still the stream's session. REQUIRES: l.mu is
// held.
func (s *stream) current(id uint64) bool { return id != 0 && s.session.session == id }

// appended marks a stream whose partition's log has grown.
func (l *link) appended(s *stream) {
	l.mu.Lock()
	l.markDirty(s)
	l.mu.Unlock()
}

// markDirty wakes the live writer for a session that may have data due.
// REQUIRES: l.mu is held.
func (l *link) markDirty(s *stream) {
	if s.session.phase == phaseLive && !s.dirty {
		l.look(s)
		signal(l.wake)
	}
}

// look puts a stream on the list of those that the live writer looks at, the
// next time that it does. REQUIRES: l.mu is held.
func (l *link) look(s *stream) {
	if !s.dirty {
		s.dirty = true
		l.dirty = append(l.dirty, s)
	}
}

// watermarkMoved notes that a follower should learn of a new high watermark, if
// no data carries it there within the delay.
func (l *link) watermarkMoved(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.session.open() || s.hwDue {
		return
	}
	s.hwDue = true
	if len(l.hwDue) == 0 {
		l.hwTimer.Reset(l.m.o.WatermarkDelay)
	}
	l.hwDue = append(l.hwDue, s)
}

// begin starts to send data to a follower whose log, which ends at logEnd, is
// now a prefix of the leader's.
func (l *link) begin(s *stream, k key, be cluster.BrokerEpoch, durableEnd, logEnd int64) {
	if err := s.replica.FollowerOpened(l.peer, k.epoch, k.session, be, durableEnd, logEnd); err != nil {
		l.broken(s, k, err)
		return
	}
	end, _, ok := s.replica.Position(k.epoch)
	if !ok {
		l.retire(s, k.session)
		return
	}
	l.mu.Lock()
	if !s.current(k.session) {
		l.mu.Unlock()
		s.replica.FollowerClosed(l.peer, k.session, "closed while it opened")
		return
	}
	s.session.begin(durableEnd, logEnd, end-logEnd, l.m.o.LiveWindowBytes)
	s.announce = true
	live := l.route(s)
	l.look(s) // on the bulk lane too: the announcement is the live lane's
	l.mu.Unlock()
	signal(l.wake)
	s.replica.FollowerLive(l.peer, k.session, live)
}

// route puts a stream on the list of the lane that its session sends on.
// REQUIRES: l.mu is held.
func (l *link) route(s *stream) (live bool) {
	if s.session.phase == phaseLive {
		l.markDirty(s)
		return true
	}
	if !s.queued {
		s.queued = true
		l.bulk = append(l.bulk, s)
	}
	signal(l.bulkWake)
	return false
}

// tell shows a reason on every follower of the link that has no session.
func (l *link) tell(reason string) {
	l.mu.Lock()
	var idle []*stream
	for _, s := range l.streams {
		if s.session.phase == phaseConnecting && !s.session.over {
			idle = append(idle, s)
		}
	}
	l.mu.Unlock()
	for _, s := range idle {
		s.replica.FollowerState(l.peer, status.StateConnecting, reason)
	}
}
