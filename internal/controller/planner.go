package controller

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

const (
	// maxMoves bounds the leaderships that one command moves.
	maxMoves = 1000
	// planInterval is the least time between two looks at all partitions, and
	// urgentInterval while a disk hangs or brokers do not hear each other.
	planInterval   = 500 * time.Millisecond
	urgentInterval = 100 * time.Millisecond
)

// planner decides which leaderships move. It is pure: the time, the image and
// the brokers' health are arguments.
type planner struct {
	// slowFsync is the age of a sync from which a disk counts as hanging.
	slowFsync time.Duration
	// rebalanceAfter is how long a preferred replica must have been fit to lead
	// before it is given the lead back.
	rebalanceAfter time.Duration

	// since is when a partition's preferred replica became fit to lead; it is
	// forgotten as soon as it is not, so that a flapping one never gets there.
	since map[cluster.TopicPartition]time.Time
	// lost is when a broker last lost leaderships because it did not work, and
	// how often lately.
	lost map[cluster.BrokerID]move
	cuts *cuts
	// plannedAt and seen are when, and from which image, the last plan was made;
	// quiet says that nothing was to be done or waited for in it.
	plannedAt time.Time
	seen      *cluster.Image
	quiet     bool
}

func newPlanner(slowFsync, rebalanceAfter time.Duration) *planner {
	return &planner{
		slowFsync: slowFsync, rebalanceAfter: rebalanceAfter, cuts: newCuts(),
		since: map[cluster.TopicPartition]time.Time{}, lost: map[cluster.BrokerID]move{},
	}
}

// moves are the changes of one plan, by reason.
type moves struct{ slow, full, cut, back []cluster.LeaderChange }

// plan returns the leaderships to move away from leaders that do not work and
// those to give back to preferred replicas.
func (p *planner) plan(now time.Time, img *cluster.Image, s *sessions) []cluster.Command {
	h := p.look(now, img, s)
	interval := planInterval
	if len(h.slow)+len(h.silent) > 0 {
		interval = urgentInterval
	}
	if now.Sub(p.plannedAt) < interval || (p.quiet && p.seen == img && h.calm()) {
		return nil
	}
	p.cuts.forget(now, h.calm())
	behind := behind(img, s)
	since := map[cluster.TopicPartition]time.Time{}
	var m moves
	for _, t := range img.Topics() {
		for i, part := range t.Partitions {
			if part.Leader == cluster.NoBroker || p.away(now, &h, &m, t, i) || !fit(part, &h, behind) {
				continue
			}
			tp := t.TopicPartition(i)
			since[tp] = now
			if was, ok := p.since[tp]; ok {
				since[tp] = was
			}
			if now.Sub(since[tp]) >= p.patience(now, part.Preferred()) {
				m.back = append(m.back, cluster.LeaderChange{TP: tp, PartitionEpoch: part.PartitionEpoch, Leader: part.Preferred()})
			}
		}
	}
	p.since, p.plannedAt, p.seen, p.quiet = since, now, img, len(since)+len(behind) == 0 && h.calm()
	return slices.Concat(
		chunks(m.slow, "the leader's disk hangs"), chunks(m.full, "the leader's disk is full"),
		chunks(m.cut, "leader and followers do not hear each other"), chunks(m.back, "preferred leader"),
	)
}

// away moves a leadership away from a leader that does not work, or reports
// false. The leader leaves the in-sync set with that: as a follower it would be
// waited for until it is known there too that it does not work. Of a disk that
// hangs this is done only if the others are enough, as it may be well again any
// moment; one that is full is not, and a leader that is cut off is not heard.
func (p *planner) away(now time.Time, h *health, m *moves, t *cluster.Topic, index int) bool {
	part, tp := t.Partitions[index], t.TopicPartition(index)
	change := cluster.LeaderChange{TP: tp, PartitionEpoch: part.PartitionEpoch, Leader: cluster.NoBroker, Drop: true}
	list := &m.slow
	switch {
	case h.slow[part.Leader]:
		change.Leader = successor(part, h)
		change.Drop = len(part.ISR) > cluster.EffectiveMinISR(t, part)
	case h.full[part.Leader]:
		list, change.Leader = &m.full, successor(part, h)
	case len(h.silent) > 0:
		list, change.Leader = &m.cut, p.cuts.successor(now, h, t, index)
		if change.Leader == cluster.NoBroker {
			return false
		}
		p.cuts.went(now, tp)
	default:
		return false
	}
	if change.Leader != cluster.NoBroker {
		*list = append(*list, change)
		p.failed(now, part.Leader)
	}
	return true
}

// failed notes that a broker loses leaderships. What it loses within planInterval
// it loses for one cause.
func (p *planner) failed(now time.Time, id cluster.BrokerID) {
	was := p.lost[id]
	switch {
	case was.count > 0 && now.Sub(was.at) <= planInterval:
		return
	case now.Sub(was.at) > forgetAfter:
		was.count = 0
	}
	p.lost[id] = move{at: now, count: was.count + 1}
}

// patience is how long a broker must be fit before it gets a leadership back:
// the longer, the oftener it lost some lately.
func (p *planner) patience(now time.Time, id cluster.BrokerID) time.Duration {
	m := p.lost[id]
	if m.count == 0 || now.Sub(m.at) > forgetAfter {
		return p.rebalanceAfter
	}
	return p.rebalanceAfter << min(m.count-1, maxDoublings)
}

// behind is the brokers that still catch up with some partition: leading more
// would slow them down, and their clients with them. What failed does not
// count, as it may stay so.
func behind(img *cluster.Image, s *sessions) map[cluster.BrokerID]bool {
	behind := map[cluster.BrokerID]bool{}
	for _, t := range img.Topics() {
		for i, part := range t.Partitions {
			for _, id := range part.Replicas {
				if part.InISR(id) || behind[id] {
					continue
				}
				if one := s.of[id]; one == nil || !slices.Contains(one.beat.FailedReplicas, t.TopicPartition(i)) {
					behind[id] = true
				}
			}
		}
	}
	return behind
}

// successor is the in-sync member that takes over from a disk that does not
// work. Who is in sync beside a leader is alive and stays (M3, M8).
func successor(part *cluster.Partition, h *health) cluster.BrokerID {
	for _, id := range part.ISR {
		if id != part.Leader && h.works(id) {
			return id
		}
	}
	return cluster.NoBroker
}

// fit reports whether the preferred replica should lead and does not (K32).
func fit(part *cluster.Partition, h *health, behind map[cluster.BrokerID]bool) bool {
	id := part.Preferred()
	_, complains := h.silent[id]
	return id != part.Leader && part.InISR(id) && h.works(id) && !complains && !behind[id]
}

func chunks(moves []cluster.LeaderChange, reason string) []cluster.Command {
	var cmds []cluster.Command
	for some := range slices.Chunk(moves, maxMoves) {
		cmds = append(cmds, cluster.ElectLeaders{Changes: some, Reason: reason})
	}
	return cmds
}
