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
	on      onLists // guarded by link.mu
	limited bool    // guarded by link.mu; data is due, but the window is full
	// announce is set when the follower is to be told the high watermark, data
	// or not. Guarded by link.mu.
	announce bool
}

// onLists says on which lists of [due] a stream is.
type onLists struct{ opens, looks, marks, bulk, retries bool }

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
	hwTimer  *time.Timer   // set when due.marks begins to hold something

	stats linkStats

	mu       sync.Mutex
	endpoint cluster.Endpoint                   // guarded by mu; zero while unknown
	live     *liveConn                          // guarded by mu; nil unless connected
	streams  map[cluster.TopicPartition]*stream // guarded by mu
	sessions map[uint64]*stream                 // guarded by mu; by current session id
	due      due                                // guarded by mu
	credit   credit                             // guarded by mu
}

// due is what a link's writers have to look at. A stream's flags say on which
// of the lists it is; a list may hold streams that have no business there any
// more, which whoever goes through it skips.
type due struct {
	opens   []*stream  // Open is to be sent
	cuts    []truncate // to be sent
	looks   []*stream  // the live lane may have something to send
	marks   []*stream  // told of an older high watermark
	bulk    []*stream  // sessions on the bulk lane
	retries []*stream  // sessions that failed, with the time to open them anew
}

// credit is the use of a link's windows over all sessions.
type credit struct {
	inflight [laneCount]int  // bytes on their way
	blocked  [laneCount]bool // someone waits for some of it to return
	bulk     int             // how much of its window the bulk lane uses
}

func newLink(m *Manager, peer cluster.BrokerID) *link {
	l := &link{
		m: m, peer: peer, log: m.o.Logger.With(slog.Int("peer", int(peer))),
		wake: make(chan struct{}, 1), bulkWake: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		hwTimer: time.NewTimer(time.Hour),
		streams: map[cluster.TopicPartition]*stream{}, sessions: map[uint64]*stream{},
		credit: credit{bulk: m.o.BulkLinkBytes},
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
	s.limited, s.announce = false, false
	l.sessions[id] = s
	if !s.on.opens {
		s.on.opens = true
		l.due.opens = append(l.due.opens, s)
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
	if s.session.phase == phaseLive && !s.on.looks {
		l.look(s)
		signal(l.wake)
	}
}

// look puts a stream on the list of those that the live writer looks at, the
// next time that it does. REQUIRES: l.mu is held.
func (l *link) look(s *stream) {
	if !s.on.looks {
		s.on.looks = true
		l.due.looks = append(l.due.looks, s)
	}
}

// watermarkMoved notes that a follower should learn of a new high watermark, if
// no data carries it there within the delay.
func (l *link) watermarkMoved(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.session.open() || s.on.marks {
		return
	}
	s.on.marks = true
	if len(l.due.marks) == 0 {
		l.hwTimer.Reset(l.m.o.WatermarkDelay)
	}
	l.due.marks = append(l.due.marks, s)
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
	if !s.on.bulk {
		s.on.bulk = true
		l.due.bulk = append(l.due.bulk, s)
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
