package sim

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/controller"
	"github.com/chronik-project/chronik/internal/partition"
)

// office is the controller in office, with the real mind of one. Its memory of
// connections and heartbeats begins anew with every term.
type office struct {
	*controller.Office
	seen  int    // the index of the image that it decides by
	conns uint64 // made so far
	next  time.Time
}

// beatInterval is the time between two heartbeats of a broker.
const beatInterval = 500 * time.Millisecond

// heartbeats lets the brokers be heard, and the controller think about it.
func (w *world) heartbeats() {
	w.office.next = w.now.Add(beatInterval)
	for i, b := range w.brokers {
		if w.r.IntN(1000) >= w.odds.mute[i] {
			b.beat()
		}
	}
	w.decide()
}

// newTerm lets another controller take office.
func (w *world) newTerm() {
	if w.tracing {
		w.logf("a new controller is in office")
	}
	w.office.Office = controller.NewOffice(controller.Options{Self: cluster.NoBroker}, w.now, w.newest())
	w.office.seen = len(w.images) - 1 // a barrier comes first
	for _, b := range w.brokers {
		if b != nil {
			b.conn = w.office.connect()
		}
	}
}

func (o *office) connect() uint64 {
	o.conns++
	return o.conns
}

// decide lets the controller look at its image, which may be behind a little.
func (w *world) decide() {
	last := len(w.images) - 1
	if w.r.IntN(4) > 0 || w.calm {
		w.office.seen = last
	}
	img := w.images[w.office.seen]
	for _, b := range w.office.Probes(w.now, img) {
		w.office.Probed(w.now, b.ID, !w.peer(b.ID).up && !w.cut[0][b.ID])
	}
	for _, cmd := range w.office.Decide(w.now, img) {
		if w.tracing {
			w.logf("the controller decides: %T %+v", cmd, cmd)
		}
		w.apply(cmd)
	}
}

// beat is a broker's heartbeat.
func (b *broker) beat() {
	w := b.w
	if !b.up || w.cut[b.id][0] || w.cut[0][b.id] || w.registration(b.id).Incarnation != b.uuid() {
		return // who was not accepted yet has nothing to say
	}
	beat := controller.Heartbeat{Broker: b.id, AppliedIndex: b.image().Index()}
	if self, ok := b.image().Broker(b.id); ok && b.registered {
		beat.Epoch = self.Epoch
	}
	if b.syncing {
		beat.OldestFsyncAge = w.now.Sub(b.syncAt)
		beat.WantFence = beat.OldestFsyncAge > hungDisk
	}
	beat.NoLeaderStream, beat.NoFollowerStream = b.silent()
	for _, r := range b.replicas {
		if r.broken {
			beat.FailedReplicas, beat.FailedIn = append(beat.FailedReplicas, r.tp), append(beat.FailedIn, r.maxSeen)
		}
	}
	if w.office.Heard(w.now, b.conn, beat, w.newest()) == nil {
		b.controllerAt = w.now
	}
}

// As package server has it: from when on a disk is given up, and from when on a
// heartbeat tells of a broker that is not heard from.
const (
	hungDisk    = 10 * time.Second
	silentAfter = time.Second
)

// silent lists the leaders and followers of which nothing arrives.
func (b *broker) silent() (leaders, followers []controller.Silence) {
	for _, other := range b.w.brokers {
		since := b.heard[other.id-1]
		if since.Before(b.startedAt) {
			since = b.startedAt
		}
		silence := controller.Silence{Broker: other.id, For: b.w.now.Sub(since)}
		if other == b || silence.For < silentAfter {
			continue
		}
		if b.leads() {
			followers = append(followers, silence)
		}
		if slices.ContainsFunc(b.replicas, func(r *replica) bool { return r.part != nil && r.part.Leader == other.id }) {
			leaders = append(leaders, silence)
		}
	}
	return leaders, followers
}

// lease is how long a leader goes on that hears from nobody.
const lease = 4 * time.Second

// keepLease suspends or resumes a leadership, as partition.(*Replica).keepLease.
func (r *replica) keepLease() {
	w := r.w()
	heard := w.now.Sub(r.b.controllerAt) < lease || partition.Vouched(r.lead.state.Followers(w.now), func(id cluster.BrokerID) bool {
		return w.now.Sub(r.b.heard[id-1]) < lease
	})
	if r.lead.suspended == !heard {
		return
	}
	r.lead.suspended = !heard
	if !heard {
		r.lead.waiters = nil // they are told to look for another leader
	}
}

// isolate cuts a broker off: from all others, from one of them, in one direction
// or both; the controller counts as one.
func (w *world) isolate(b *broker) {
	if w.tracing {
		w.logf("b%d is cut off", b.id)
	}
	w.tally.cuts++
	only := cluster.BrokerID(-1)
	if w.r.IntN(2) == 0 {
		only = cluster.BrokerID(w.r.IntN(brokerCount + 1))
	}
	in, out := w.r.IntN(3) > 0, w.r.IntN(3) > 0
	for id := range cluster.BrokerID(brokerCount + 1) {
		if id != b.id && (only < 0 || id == only) {
			w.cut[b.id][id] = w.cut[b.id][id] || out
			w.cut[id][b.id] = w.cut[id][b.id] || in
		}
	}
}
