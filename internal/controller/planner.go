package controller

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

const (
	// maxMoves bounds the leaderships that one command moves.
	maxMoves = 1000
	// planInterval is the least time between two looks at all partitions, unless
	// a disk hangs.
	planInterval = 500 * time.Millisecond
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
	// plannedAt and seen are when, and from which image, the last plan was made;
	// quiet says that nothing was to be done or waited for in it.
	plannedAt time.Time
	seen      *cluster.Image
	quiet     bool
}

func newPlanner(slowFsync, rebalanceAfter time.Duration) *planner {
	return &planner{slowFsync: slowFsync, rebalanceAfter: rebalanceAfter, since: map[cluster.TopicPartition]time.Time{}}
}

// plan returns the leaderships to move away from hanging disks and those to
// give back to preferred replicas.
func (p *planner) plan(now time.Time, img *cluster.Image, s *sessions) []cluster.Command {
	slow := p.slow(img, s)
	if len(slow) == 0 && ((p.quiet && p.seen == img) || now.Sub(p.plannedAt) < planInterval) {
		return nil
	}
	behind := behind(img, s)
	since := map[cluster.TopicPartition]time.Time{}
	var away, back []cluster.LeaderChange
	for _, t := range img.Topics() {
		for i, part := range t.Partitions {
			tp := t.TopicPartition(i)
			if part.Leader == cluster.NoBroker {
				continue
			}
			if slow[part.Leader] {
				if to := successor(part, slow); to != cluster.NoBroker {
					away = append(away, cluster.LeaderChange{TP: tp, PartitionEpoch: part.PartitionEpoch, Leader: to})
				}
				continue
			}
			if !fit(part, slow, behind) {
				continue
			}
			since[tp] = now
			if was, ok := p.since[tp]; ok {
				since[tp] = was
			}
			if now.Sub(since[tp]) >= p.rebalanceAfter {
				back = append(back, cluster.LeaderChange{TP: tp, PartitionEpoch: part.PartitionEpoch, Leader: part.Preferred()})
			}
		}
	}
	p.since, p.plannedAt, p.seen, p.quiet = since, now, img, len(since)+len(behind)+len(slow) == 0
	return append(chunks(away, "the leader's disk hangs"), chunks(back, "preferred leader")...)
}

// slow is the brokers whose disk hangs (§3.6 of the protocol).
func (p *planner) slow(img *cluster.Image, s *sessions) map[cluster.BrokerID]bool {
	var slow map[cluster.BrokerID]bool
	for _, b := range img.Brokers() {
		if one := s.of[b.ID]; one != nil && one.beat.OldestFsyncAge > p.slowFsync {
			if slow == nil {
				slow = map[cluster.BrokerID]bool{}
			}
			slow[b.ID] = true
		}
	}
	return slow
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

// successor is the in-sync member that takes over from a hanging disk. Who is in
// sync beside a leader is alive and stays (M3, M8).
func successor(part *cluster.Partition, slow map[cluster.BrokerID]bool) cluster.BrokerID {
	for _, id := range part.ISR {
		if id != part.Leader && !slow[id] {
			return id
		}
	}
	return cluster.NoBroker
}

// fit reports whether the preferred replica should lead and does not (K32).
func fit(part *cluster.Partition, slow, behind map[cluster.BrokerID]bool) bool {
	id := part.Preferred()
	return id != part.Leader && part.InISR(id) && !slow[id] && !behind[id]
}

func chunks(moves []cluster.LeaderChange, reason string) []cluster.Command {
	var cmds []cluster.Command
	for some := range slices.Chunk(moves, maxMoves) {
		cmds = append(cmds, cluster.ElectLeaders{Changes: some, Reason: reason})
	}
	return cmds
}
