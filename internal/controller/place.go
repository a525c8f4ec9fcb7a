package controller

import (
	"cmp"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
)

// place assigns replicas to brokers: leaders go round all brokers, beginning
// with the one at start, so that every broker leads equally often; the
// followers' order shifts with every round, so that the loss of one broker
// spreads over all others; and a partition uses no rack a second time before it
// has used each of them. A broker without a rack is a rack of its own.
//
// It requires 1 <= factor <= len(brokers).
func place(brokers []*cluster.Broker, partitions, factor, start int) [][]cluster.BrokerID {
	ring := interleave(brokers)
	assignment := make([][]cluster.BrokerID, 0, partitions)
	for p := range partitions {
		assignment = append(assignment, replicas(ring, (start+p)%len(ring), p/len(ring), factor))
	}
	return assignment
}

// replicas chooses the replicas of one partition.
func replicas(ring []*cluster.Broker, leader, shift, factor int) []cluster.BrokerID {
	order := []*cluster.Broker{ring[leader]}
	for i := range len(ring) - 1 {
		order = append(order, ring[(leader+1+(shift+i)%(len(ring)-1))%len(ring)])
	}
	var chosen []cluster.BrokerID
	inRack := map[string]int{}
	for len(chosen) < factor {
		// The first, in order, of those whose rack holds the fewest so far.
		least := slices.MinFunc(order, func(a, b *cluster.Broker) int { return cmp.Compare(inRack[a.Rack], inRack[b.Rack]) })
		at := slices.Index(order, least)
		order = slices.Delete(order, at, at+1)
		chosen = append(chosen, least.ID)
		if least.Rack != "" {
			inRack[least.Rack]++
		}
	}
	return chosen
}

// interleave orders brokers so that neighbours are in different racks where
// that is possible. Equal sets have equal orders.
func interleave(brokers []*cluster.Broker) []*cluster.Broker {
	byRack := map[string][]*cluster.Broker{}
	for _, b := range brokers {
		byRack[b.Rack] = append(byRack[b.Rack], b)
	}
	var racks []string
	for rack, members := range byRack {
		racks = append(racks, rack)
		slices.SortFunc(members, func(a, b *cluster.Broker) int { return cmp.Compare(a.ID, b.ID) })
	}
	slices.SortFunc(racks, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(byRack[b]), len(byRack[a])), cmp.Compare(a, b))
	})
	ring := make([]*cluster.Broker, 0, len(brokers))
	for i := 0; len(ring) < len(brokers); i++ {
		for _, rack := range racks {
			if i < len(byRack[rack]) {
				ring = append(ring, byRack[rack][i])
			}
		}
	}
	return ring
}
