package controller

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// connID tells connections apart; zero is none.
type connID uint64

// localConn is the connection of the broker that the controller runs in.
const localConn = ^connID(0)

// session is what the controller remembers of a broker between heartbeats.
type session struct {
	beat    Heartbeat // the last one
	heardAt time.Time
	// caughtUpAt is when a heartbeat last said that the broker acts on all of the
	// log; zero if none did.
	caughtUpAt time.Time
	// conn carries the heartbeats; zero when it ended or was never there.
	conn connID
	// connected says that conn was there at some time in this term.
	connected bool
	// misses are the brokers that it misses, and since when in this term.
	misses map[cluster.BrokerID]time.Time

	probing   bool      // a dial is under way
	nextProbe time.Time // not before; so two refusals are probePause apart
	refused   bool      // the last dial
	gone      bool      // refused twice in a row
}

// sessions is the soft state that brokers are fenced and unfenced by. It is
// pure: the time and the image are arguments.
type sessions struct {
	self cluster.BrokerID
	// timeout is how long a silent broker is kept, probePause the least time
	// between two dials of one whose connection ended.
	timeout, probePause time.Duration
	startedAt           time.Time
	of                  map[cluster.BrokerID]*session
}

// newSessions starts a term: every registered broker has as long as if it had
// just been heard of, unless others miss it. It is probed at once, because the
// dead ones may have been dead for a while (K35).
func newSessions(self cluster.BrokerID, timeout, probePause time.Duration, now time.Time, img *cluster.Image) *sessions {
	s := &sessions{self: self, timeout: timeout, probePause: probePause, startedAt: now, of: map[cluster.BrokerID]*session{}}
	for _, b := range img.Brokers() {
		s.of[b.ID] = &session{heardAt: now, nextProbe: now}
	}
	return s
}

// registered starts a new incarnation's session.
func (s *sessions) registered(now time.Time, id cluster.BrokerID) {
	s.of[id] = &session{heardAt: now, nextProbe: now.Add(s.timeout)}
}

// heard notes a heartbeat that came over conn.
func (s *sessions) heard(now time.Time, conn connID, beat Heartbeat) {
	was := s.of[beat.Broker]
	one := &session{beat: beat, heardAt: now, conn: conn, connected: true, misses: beat.misses(now, was)}
	if was != nil {
		one.caughtUpAt = was.caughtUpAt
	}
	s.of[beat.Broker] = one
}

// caughtUp notes that the broker's last heartbeat was up to date with the log.
func (s *sessions) caughtUp(now time.Time, id cluster.BrokerID) {
	if one := s.of[id]; one != nil {
		one.caughtUpAt = now
	}
}

// members describes those that sent a heartbeat in this term, by id.
func (s *sessions) members(now time.Time) []Member {
	var all []Member
	for id, one := range s.of {
		if !one.connected {
			continue
		}
		m := Member{Broker: id, AppliedIndex: one.beat.AppliedIndex, HeardAgo: now.Sub(one.heardAt), CaughtUpAgo: -1}
		if !one.caughtUpAt.IsZero() {
			m.CaughtUpAgo = now.Sub(one.caughtUpAt)
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.Broker, b.Broker) })
	return all
}

// ended notes the end of a connection. It matters only if the broker's latest
// heartbeat came over it.
func (s *sessions) ended(now time.Time, id cluster.BrokerID, conn connID) {
	if one := s.of[id]; one != nil && one.conn == conn {
		one.conn = 0
		one.nextProbe = now
	}
}

// probed notes what came of dialing a broker whose connection ended: refused that
// the machine is up and nobody listens. Anything else proves nothing.
func (s *sessions) probed(now time.Time, id cluster.BrokerID, refused bool) {
	one := s.of[id]
	if one == nil || !one.probing {
		return // it was heard of meanwhile
	}
	one.probing = false
	one.nextProbe = now.Add(s.probePause)
	one.gone = refused && one.refused
	one.refused = refused
}

// due returns the brokers to be dialed now. Each must be answered by probed.
func (s *sessions) due(now time.Time, img *cluster.Image) []*cluster.Broker {
	var brokers []*cluster.Broker
	for _, b := range img.Brokers() {
		one := s.of[b.ID]
		if b.Fenced || b.ID == s.self || one == nil || one.conn != 0 || one.probing || one.gone || now.Before(one.nextProbe) {
			continue
		}
		one.probing = true
		brokers = append(brokers, b)
	}
	return brokers
}

// alive reports whether a process that may not be replaced holds the id: one
// that is connected, or that has had no chance yet to connect in this term.
func (s *sessions) alive(now time.Time, id cluster.BrokerID) bool {
	one := s.of[id]
	switch {
	case one == nil || one.gone || now.Sub(one.heardAt) > s.timeout:
		return false
	case one.conn != 0:
		return true
	default:
		return !one.connected && now.Sub(s.startedAt) < reconnectGrace
	}
}

// reconnectGrace is how long brokers have to find a new controller before
// another process may take over their id.
const reconnectGrace = time.Second

// reached reports whether every other live broker has applied the image of
// that index.
func (s *sessions) reached(index uint64, except cluster.BrokerID, img *cluster.Image) bool {
	for _, b := range img.Brokers() {
		if b.Fenced || b.ID == except {
			continue
		}
		if one := s.of[b.ID]; one == nil || one.beat.AppliedIndex < index {
			return false
		}
	}
	return true
}

// decide returns which fences to put up and to lift, and which replicas to drop.
func (s *sessions) decide(now time.Time, img *cluster.Image) []cluster.Command {
	var cmds []cluster.Command
	for _, b := range img.Brokers() {
		one := s.of[b.ID]
		if one == nil {
			// Registered, and the answer was lost on the way to this term's memory.
			s.registered(now, b.ID)
			continue
		}
		if reason := s.whyFence(now, b, one, img); reason != "" && !b.Fenced {
			cmds = append(cmds, cluster.FenceBroker{ID: b.ID, Epoch: b.Epoch, Reason: reason})
			continue
		} else if reason == "" && b.Fenced && !b.Draining && one.conn != 0 && one.caughtUp(b) {
			cmds = append(cmds, cluster.UnfenceBroker{ID: b.ID, Epoch: b.Epoch})
		}
		if one.beat.Epoch == b.Epoch {
			if bad := one.beat.stillCounted(img); len(bad) > 0 {
				cmds = append(cmds, cluster.FailReplicas{ID: b.ID, Epoch: b.Epoch, Partitions: bad})
			}
		}
	}
	return cmds
}

// caughtUp reports whether the broker acts on an image that shows its own
// registration (K34): before, it may not know that it is a new incarnation.
func (one *session) caughtUp(b *cluster.Broker) bool {
	return one.beat.Epoch == b.Epoch && one.beat.AppliedIndex >= uint64(b.Epoch)
}

// whyFence is empty for a broker that may stay.
func (s *sessions) whyFence(now time.Time, b *cluster.Broker, one *session, img *cluster.Image) string {
	silent, missed := now.Sub(one.heardAt), s.missed(now, b.ID, img)
	switch {
	case one.gone:
		return "its connection ended and its port refuses connections"
	case silent > s.timeout:
		return fmt.Sprintf("no heartbeat for %s", silent.Round(time.Millisecond))
	case missed > s.timeout:
		return fmt.Sprintf("no heartbeat for %s, all of this term, and others have not heard it for %s",
			silent.Round(time.Millisecond), missed.Round(time.Millisecond))
	case one.beat.WantFence && one.beat.Epoch == b.Epoch:
		return "it asks to be fenced"
	default:
		return ""
	}
}

// stillCounted are the failed replicas that are in an ISR or ELR, or may count
// for a leader in an epoch that they were part of.
func (h *Heartbeat) stillCounted(img *cluster.Image) []cluster.TopicPartition {
	var bad []cluster.TopicPartition
	for i, tp := range h.FailedReplicas {
		_, p, ok := img.Partition(tp)
		if !ok || !p.HasReplica(h.Broker) {
			continue
		}
		inEpoch := i < len(h.FailedIn) && p.LeaderEpoch <= h.FailedIn[i]
		if p.InISR(h.Broker) || p.InELR(h.Broker) || inEpoch {
			bad = append(bad, tp)
		}
	}
	return bad
}
