package controller

import (
	"cmp"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// session is what the controller remembers of a broker between heartbeats. It
// is soft: a new controller starts with none.
type session struct {
	epoch     cluster.BrokerEpoch
	heardAt   time.Time
	applied   uint64
	fsyncAge  time.Duration
	failed    []cluster.TopicPartition
	suspectAt time.Time // its connection ended; zero while it has one
}

// plan is the state that decisions are made from. It is pure: the time and the
// image are arguments.
type plan struct {
	sessionTimeout time.Duration
	slowFsync      time.Duration
	rebalanceAfter time.Duration
	sessions       map[cluster.BrokerID]*session
	// preferredSince is since when a partition could be led by its preferred
	// replica and is not.
	preferredSince map[cluster.TopicPartition]time.Time
}

// decide returns what has to change at this moment.
func (p *plan) decide(now time.Time, img *cluster.Image) []cluster.Command {
	var cmds []cluster.Command
	for _, b := range img.Brokers() {
		s := p.sessions[b.ID]
		if s == nil || s.epoch > b.Epoch {
			continue // not judged before it was heard of or probed
		}
		switch silent := now.Sub(s.heardAt); {
		case !b.Fenced && silent > p.sessionTimeout:
			cmds = append(cmds, cluster.FenceBroker{ID: b.ID, Epoch: b.Epoch, Reason: "no heartbeat for " + silent.Round(time.Millisecond).String()})
		case b.Fenced && s.epoch == b.Epoch && s.applied >= uint64(b.Epoch) && silent < p.sessionTimeout/2: // K34
			cmds = append(cmds, cluster.UnfenceBroker{ID: b.ID, Epoch: b.Epoch})
		}
		if len(s.failed) > 0 && s.epoch == b.Epoch {
			if bad := stillCounted(img, b.ID, s.failed); len(bad) > 0 {
				cmds = append(cmds, cluster.FailReplicas{ID: b.ID, Epoch: b.Epoch, Partitions: bad})
			}
		}
	}
	if moves := p.slowDisks(img); len(moves) > 0 {
		cmds = append(cmds, cluster.ElectLeaders{Changes: moves, Reason: "the leader's disk is slow"})
	}
	if moves := p.preferred(now, img); len(moves) > 0 {
		cmds = append(cmds, cluster.ElectLeaders{Changes: moves, Reason: "preferred leader"})
	}
	return cmds
}

// stillCounted are the failed replicas that are in an ISR or ELR.
func stillCounted(img *cluster.Image, id cluster.BrokerID, failed []cluster.TopicPartition) []cluster.TopicPartition {
	var bad []cluster.TopicPartition
	for _, tp := range failed {
		if _, part, ok := img.Partition(tp); ok && (part.InISR(id) || part.InELR(id)) {
			bad = append(bad, tp)
		}
	}
	return bad
}

// maxMoves bounds the leaderships that one command moves.
const maxMoves = 1000

// slowDisks moves leaderships away from brokers whose disk hangs (§3.6).
func (p *plan) slowDisks(img *cluster.Image) []cluster.LeaderChange {
	slow := func(id cluster.BrokerID) bool {
		s := p.sessions[id]
		return s != nil && s.fsyncAge > p.slowFsync
	}
	var moves []cluster.LeaderChange
	for _, t := range img.Topics() {
		for i, part := range t.Partitions {
			if part.Leader == cluster.NoBroker || !slow(part.Leader) || len(moves) == maxMoves {
				continue
			}
			for _, id := range part.ISR {
				if b, ok := img.Broker(id); ok && id != part.Leader && b.Eligible() && !slow(id) {
					moves = append(moves, cluster.LeaderChange{TP: t.TopicPartition(i), PartitionEpoch: part.PartitionEpoch, Leader: id})
					break
				}
			}
		}
	}
	return moves
}

// preferred gives leaderships back to preferred replicas that have been in
// sync, and able to lead, for a while (K32).
func (p *plan) preferred(now time.Time, img *cluster.Image) []cluster.LeaderChange {
	var moves []cluster.LeaderChange
	waiting := map[cluster.TopicPartition]time.Time{}
	for _, t := range img.Topics() {
		for i, part := range t.Partitions {
			want := part.Preferred()
			b, ok := img.Broker(want)
			if part.Leader == want || part.Leader == cluster.NoBroker || !part.InISR(want) || !ok || !b.Eligible() {
				continue
			}
			tp := t.TopicPartition(i)
			since, ok := p.preferredSince[tp]
			if !ok {
				since = now
			}
			waiting[tp] = since
			if now.Sub(since) >= p.rebalanceAfter && len(moves) < maxMoves {
				moves = append(moves, cluster.LeaderChange{TP: tp, PartitionEpoch: part.PartitionEpoch, Leader: want})
			}
		}
	}
	p.preferredSince = waiting
	return moves
}

// place assigns replicas to brokers: leaders round robin from start on, the
// other replicas of a partition on brokers that follow, a rack at most once
// before any rack is used again.
func place(brokers []*cluster.Broker, partitions, factor, start int) [][]cluster.BrokerID {
	ring := interleave(brokers)
	all := make([][]cluster.BrokerID, 0, partitions)
	for p := range partitions {
		first := (start + p) % len(ring)
		// The followers' order shifts after each turn of the ring, so that the
		// loss of one broker spreads over all others.
		shift := 1 + (p/len(ring))%max(1, len(ring)-1)
		all = append(all, replicasFrom(ring, first, shift, factor))
	}
	return all
}

func replicasFrom(ring []*cluster.Broker, first, shift, factor int) []cluster.BrokerID {
	order := []*cluster.Broker{ring[first]}
	for i := range len(ring) - 1 {
		order = append(order, ring[(first+1+(shift-1+i)%(len(ring)-1))%len(ring)])
	}
	var replicas []cluster.BrokerID
	used := map[string]int{}
	for turn := 0; len(replicas) < factor; turn++ {
		for _, b := range order {
			if len(replicas) < factor && !slices.Contains(replicas, b.ID) && (b.Rack == "" || used[b.Rack] <= turn) {
				used[b.Rack]++
				replicas = append(replicas, b.ID)
			}
		}
	}
	return replicas
}

// interleave orders brokers so that neighbours are in different racks where
// that is possible.
func interleave(brokers []*cluster.Broker) []*cluster.Broker {
	byRack := map[string][]*cluster.Broker{}
	var racks []string
	for _, b := range brokers {
		if _, ok := byRack[b.Rack]; !ok {
			racks = append(racks, b.Rack)
		}
		byRack[b.Rack] = append(byRack[b.Rack], b)
	}
	slices.SortFunc(racks, func(a, b string) int { return cmp.Or(cmp.Compare(len(byRack[b]), len(byRack[a])), cmp.Compare(a, b)) })
	var ring []*cluster.Broker
	for i := 0; len(ring) < len(brokers); i++ {
		for _, rack := range racks {
			if i < len(byRack[rack]) {
				ring = append(ring, byRack[rack][i])
			}
		}
	}
	return ring
}
