package controller

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

const (
	// cutAfter is how long a leader and all of its followers must not have heard
	// each other before the leadership moves to one of them.
	cutAfter = 3 * time.Second
	// cutSeen is for how long the controller must have seen that begin: a leader
	// that was just elected had no links to be silent on.
	cutSeen = 2 * time.Second
	// cutPause is how long a partition then stays where it is, doubled with every
	// further move.
	cutPause = 10 * time.Second
	// maxDoublings bounds every wait that doubles.
	maxDoublings = 5
	// forgetAfter is how long a move counts against moving back, and again.
	forgetAfter = 10 * time.Minute
)

// cuts remembers which leaders seem to be cut off from their followers. It
// belongs to the planner and is as pure.
type cuts struct {
	suspects map[cluster.TopicPartition]suspect
	moved    map[cluster.TopicPartition]move
}

// suspect is a leader that nobody in its partition hears.
type suspect struct {
	epoch cluster.Epoch
	since time.Time
}

// move is the last of some moves of a partition's leadership.
type move struct {
	at    time.Time
	count int
}

func newCuts() *cuts {
	return &cuts{suspects: map[cluster.TopicPartition]suspect{}, moved: map[cluster.TopicPartition]move{}}
}

// successor is who leads instead of a leader that its followers and the
// controller alone do not miss (§3.10); NoBroker if it shall stay. The leader
// cannot help itself: what it needs for its minimum it does not reach. Whoever
// follows must reach enough others, as far as anybody knows, or nothing would be
// gained and the next move would be back (I30, I31).
func (c *cuts) successor(now time.Time, h *health, t *cluster.Topic, index int) cluster.BrokerID {
	part, tp := t.Partitions[index], t.TopicPartition(index)
	least := cluster.EffectiveMinISR(t, part)
	others, candidates := part.ISR, part.ISR
	if len(part.ISR) == 1 { // it was shrunk: the high watermark stands still
		others, candidates = part.Replicas, part.ELR
	}
	others = slices.DeleteFunc(slices.Clone(others), func(id cluster.BrokerID) bool { return id == part.Leader || !h.eligible(id) })
	apart := func(d time.Duration) bool {
		return !slices.ContainsFunc(others, func(id cluster.BrokerID) bool { return !h.apart(part.Leader, id, d) })
	}
	if least < 2 || len(others) == 0 || !apart(0) {
		delete(c.suspects, tp)
		return cluster.NoBroker
	}
	seen, known := c.suspects[tp]
	if !known || seen.epoch != part.LeaderEpoch {
		seen = suspect{epoch: part.LeaderEpoch, since: now}
		c.suspects[tp] = seen
	}
	if now.Sub(seen.since) < cutSeen || !apart(cutAfter) || c.rests(now, tp) {
		return cluster.NoBroker
	}
	for _, id := range part.Replicas {
		if id != part.Leader && slices.Contains(candidates, id) && h.eligible(id) && h.works(id) && h.reach(part, id) >= least {
			return id
		}
	}
	return cluster.NoBroker
}

// reach counts the replicas that could be in sync under that leader, itself
// included, without the present one.
func (h *health) reach(part *cluster.Partition, leader cluster.BrokerID) int {
	n := 1
	for _, id := range part.Replicas {
		if id != leader && id != part.Leader && h.eligible(id) && h.works(id) && !h.deaf(leader, id) {
			n++
		}
	}
	return n
}

// rests reports whether the partition was moved a short time ago (I32).
func (c *cuts) rests(now time.Time, tp cluster.TopicPartition) bool {
	m := c.moved[tp]
	return m.count > 0 && now.Sub(m.at) < cutPause<<min(m.count-1, maxDoublings)
}

// went notes a move.
func (c *cuts) went(now time.Time, tp cluster.TopicPartition) {
	c.moved[tp] = move{at: now, count: c.moved[tp].count + 1}
	delete(c.suspects, tp)
}

// forget drops what is of no use any more. calm says that no broker complains.
func (c *cuts) forget(now time.Time, calm bool) {
	if calm {
		clear(c.suspects)
	}
	for tp, m := range c.moved {
		if now.Sub(m.at) > forgetAfter {
			delete(c.moved, tp)
		}
	}
}
