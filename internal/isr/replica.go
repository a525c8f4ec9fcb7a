package isr

import (
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// unknown stands for a position that was never reported and for a moment that
// never was.
const unknown = -1

// replica is what the leader knows of one replica, itself included.
type replica struct {
	id       cluster.BrokerID
	inISR    bool // committed
	eligible bool // registered, unfenced and not shutting down
	// metaEpoch is the broker epoch in the metadata.
	metaEpoch cluster.BrokerEpoch
	link      link
	join      join
	leaves    departures

	// durable and appended are the ends last reported in this epoch, unknown
	// if none was. They count only while the link is open.
	durable, appended int64
	// caughtUp is the last moment at which the replica had all of the log as
	// it was then (K22).
	caughtUp time.Duration
	// dueSince is the moment from which data has been due without progress.
	// It means nothing while nothing is due.
	dueSince time.Duration
	waits    tally
}

// link is the session to a follower. The leader's own is always open.
type link struct {
	open        bool
	live        bool // the sender's cursor is on the live lane
	session     uint64
	brokerEpoch cluster.BrokerEpoch // from the session's handshake
	closed      time.Duration       // when the last session ended
}

// join is how far a follower is on its way into the in-sync set.
type join struct {
	pending  bool // the high watermark waits for it
	proposed bool // a proposal that adds it may yet be committed
	// epoch is the broker epoch that it was proposed under.
	epoch cluster.BrokerEpoch
	// steady is since when it has been connected, live, eligible and caught up.
	steady time.Duration
	marked time.Duration // since when it has been pending
	// failures counts how often in a row it was waited for in vain.
	failures int
}

func newReplica(id cluster.BrokerID) replica {
	return replica{
		id: id, durable: unknown, appended: unknown, caughtUp: unknown,
		link: link{closed: unknown}, join: join{steady: unknown},
	}
}

// counts reports whether the high watermark waits for the replica.
func (r *replica) counts() bool { return r.inISR || r.join.pending }

// drop stops waiting for a follower whose join was not proposed, or is known to
// have failed.
func (r *replica) drop() { r.join.pending, r.join.proposed = false, false }

// held is the end of what the replica has, as far as it counts: what it says,
// and of a member without a session what is committed. Whatever else such a
// member has, the high watermark waits for it to say so.
func (s *State) held(r *replica) int64 {
	if r.inISR && !r.link.open {
		return s.highWatermark
	}
	return r.durable
}

// lag is for how long the replica has not been caught up, unknown if it never
// was in this epoch.
func (s *State) lag(r *replica, t time.Duration) time.Duration {
	switch {
	case s.held(r) >= s.end:
		return 0
	case r.caughtUp == unknown:
		return unknown
	default:
		return t - r.caughtUp
	}
}

// departures remembers when a replica last left the in-sync set.
type departures struct {
	times [8]time.Duration // as many as RejoinWaitMax needs with its default
	count int
	why   string // of the last one
}

func (d *departures) add(t time.Duration, why string) {
	d.times[d.count%len(d.times)] = t
	d.count++
	d.why = why
}

// within counts the departures of the last window.
func (d *departures) within(window, t time.Duration) int {
	n := 0
	for _, at := range d.times[:min(d.count, len(d.times))] {
		if t-at < window {
			n++
		}
	}
	return n
}
