package sim

import (
	"slices"
	"sort"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// broker is a process on a disk that outlives it.
type broker struct {
	w  *world
	id cluster.BrokerID

	// What the disk holds, the logs of the replicas apart.
	directory byte
	replicas  []*replica // in the order of their creation, so that a seed repeats itself
	// lsn is the end of the write-ahead log in memory, syncedLSN of what is on
	// the disk. All replicas of a broker share the log.
	lsn, syncedLSN int
	failed         []cluster.TopicPartition // found damaged, and not reported yet

	// What the process knows.
	up          bool
	incarnation byte
	view        int // index of the newest image it has applied
	registered  bool
	syncing     bool // a sync round is under way
	syncAt      time.Time
	roundLSN    int // what that round will have put on the disk
	waiting     []waitingOpen
	conn        uint64 // to the controller
	slowStart   int    // the round of the end before which it does not register
	// controllerAt is when the controller was last heard of, heard when each peer.
	controllerAt time.Time
	heard        [brokerCount]time.Time
	startedAt    time.Time
}

func (b *broker) uuid() cluster.UUID { return cluster.UUID{byte(b.id), b.incarnation} }

func (b *broker) image() *cluster.Image { return b.w.images[b.view] }

func (b *broker) replica(tp cluster.TopicPartition) *replica {
	for _, r := range b.replicas {
		if r.tp == tp {
			return r
		}
	}
	return nil
}

// start begins a new process. It may know less metadata than the last one did.
func (b *broker) start() {
	b.up = true
	if !b.w.is(ruleR1) || b.incarnation == 0 || len(b.failed) > 0 || b.w.registration(b.id).Directory != b.uuidOfDirectory() {
		b.incarnation++
	}
	b.registered, b.syncing, b.waiting = false, false, nil
	b.conn = b.w.office.connect()
	b.startedAt, b.controllerAt, b.heard = b.w.now, b.w.now, [brokerCount]time.Time{}
	view := b.view
	if view > 0 && b.w.r.IntN(3) == 0 {
		view -= b.w.r.IntN(min(view, 6))
	}
	b.view = 0
	if b.w.tracing {
		b.w.logf("b%d starts, incarnation %d", b.id, b.incarnation)
	}
	b.learn(view)
}

func (b *broker) uuidOfDirectory() cluster.UUID { return cluster.UUID{byte(b.id), b.directory} }

// learn applies an image, as partition.(*Table).Apply does.
func (b *broker) learn(view int) {
	old := b.image()
	b.view = view
	img := b.image()
	self, ok := img.Broker(b.id)
	registered := ok && self.Incarnation == b.uuid()
	if registered && !b.registered {
		b.remove(func(r *replica) bool { _, ok := img.TopicByID(r.tp.TopicID); return !ok })
	}
	for _, t := range cluster.Diff(old, img).Deleted {
		b.remove(func(r *replica) bool { return r.tp.TopicID == t.ID })
	}
	for _, t := range img.Topics() {
		for i, p := range t.Partitions {
			tp := t.TopicPartition(i)
			r := b.replica(tp)
			if r == nil {
				r = newReplica(b, tp)
				b.replicas = append(b.replicas, r)
			}
			r.become(img, t, p, registered)
		}
	}
	for _, r := range b.replicas {
		r.refreshEligible(img)
	}
	b.registered = registered
	b.admit()
}

func (b *broker) remove(gone func(*replica) bool) {
	b.replicas = slices.DeleteFunc(b.replicas, func(r *replica) bool {
		if gone(r) {
			r.lead, r.follow = nil, follow{}
			return true
		}
		return false
	})
}

// syncStep begins a sync round, or ends the one that is under way. Slow disks
// take their time.
func (b *broker) syncStep() {
	switch {
	case !b.up || b.w.r.IntN(1000) < b.w.odds.slow[b.id-1]:
	case b.syncing:
		b.endSync()
	default:
		b.beginSync()
		if b.w.r.IntN(2) == 0 {
			b.endSync()
		}
	}
}

func (b *broker) beginSync() {
	b.syncing, b.syncAt, b.roundLSN = true, b.w.now, b.lsn
	for _, r := range b.replicas {
		r.round = round{generation: r.generation, end: r.end(), cut: r.follow.cutting}
	}
}

func (b *broker) endSync() {
	b.syncing, b.syncedLSN = false, b.roundLSN
	for _, r := range b.replicas {
		switch {
		case r.round.cut && r.follow.cutting:
			r.cut()
		case !r.round.cut:
			r.synced(r.round.generation, r.round.end)
		}
		r.round = round{}
		r.marked = r.marked && b.w.r.IntN(2) == 0 // a checkpoint comes first
	}
	b.admit()
}

// syncAll waits for the disk.
func (b *broker) syncAll() {
	if b.syncing {
		b.endSync()
	}
	b.beginSync()
	b.endSync()
}

func (b *broker) leads() bool {
	return slices.ContainsFunc(b.replicas, func(r *replica) bool { return r.lead != nil })
}

// tick asks the in-sync policy of everything that is led here.
func (b *broker) tick() {
	if !b.up {
		return
	}
	for _, r := range b.replicas {
		r.tick()
	}
}

// crash ends the process. What was not synced may be lost, or some of the end
// of it: nothing in the middle, as all is one write-ahead log.
func (b *broker) crash() {
	w := b.w
	survives := b.syncedLSN
	if w.r.IntN(1000) < w.odds.torn {
		survives += w.r.IntN(b.lsn - b.syncedLSN + 1)
	}
	b.up, b.registered, b.syncing, b.waiting = false, false, false, nil
	w.tally.crashes++
	if w.r.IntN(4) > 0 { // otherwise the machine is gone as well, and says nothing
		w.office.Ended(w.now, b.id, b.conn)
	}
	if w.tracing {
		w.logf("b%d crashes, loses %d of %d log entries", b.id, b.lsn-survives, b.lsn)
	}
	for _, r := range b.replicas {
		if r.broken || r.marked {
			b.lose(r)
			continue
		}
		r.recover(survives)
	}
	b.syncedLSN = b.lsn
	if !w.damaged && !w.calm && w.r.IntN(1000) < w.odds.damage {
		b.damage()
	}
}

// damage makes the disk lose what it had synced: all of it, so that it gets a
// new directory id, or one replica, which recovery notices and reports.
func (b *broker) damage() {
	b.w.damaged = true
	b.w.tally.damages++
	if len(b.replicas) > 0 && b.w.r.IntN(3) == 0 {
		b.lose(b.replicas[b.w.r.IntN(len(b.replicas))])
		return
	}
	if b.w.tracing {
		b.w.logf("b%d loses its disk", b.id)
	}
	b.replicas = nil
	b.directory++
}

// lose moves a replica aside that recovery finds damaged, or marked as failed.
func (b *broker) lose(r *replica) {
	if b.w.tracing {
		b.w.logf("b%d finds %s damaged", b.id, r.name())
	}
	*r = *newReplica(b, r.tp)
	b.failed = append(b.failed, r.tp)
}

// renew starts replicas anew that were retired, once nobody counts on them.
func (b *broker) renew() {
	for _, r := range b.replicas {
		if !r.broken || !b.registered {
			continue
		}
		img := b.image()
		t, p, ok := img.Partition(r.tp)
		maxSeen := r.maxSeen
		if b.w.is(ruleRenewed) {
			maxSeen = cluster.NoEpoch
		}
		if !ok || !partition.Forgotten(p, b.id, maxSeen) {
			continue
		}
		if b.w.tracing {
			b.w.logf("b%d starts %s anew", b.id, r.name())
		}
		maxSeen, generation := r.maxSeen, r.generation
		*r = *newReplica(b, r.tp)
		r.maxSeen, r.generation, r.marked, r.renewedAt = maxSeen, generation+1, true, b.w.now
		r.become(img, t, p, true)
	}
}

// retire takes a replica out of service: its disk refused something.
func (b *broker) retire() {
	if !b.up || b.w.damaged || len(b.replicas) == 0 {
		return
	}
	b.w.damaged = true
	b.w.tally.damages++
	r := b.replicas[b.w.r.IntN(len(b.replicas))]
	if b.w.tracing {
		b.w.logf("b%d retires %s", b.id, r.name())
	}
	r.lead, r.follow, r.broken = nil, follow{}, true
}

// survivors is how many entries of the log were written before lsn.
func survivors(log []entry, lsn int) int {
	return sort.Search(len(log), func(i int) bool { return log[i].lsn > lsn })
}
