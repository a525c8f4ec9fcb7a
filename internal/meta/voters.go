package meta

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Peer is a broker and the address of its peer port.
type Peer struct {
	ID   cluster.BrokerID
	Addr string
}

// Voters chooses the brokers that vote on the metadata log: the first five by
// id if there are five, else the first three, or however many there are. Every
// broker computes the same from the same list.
func Voters(peers []Peer) []cluster.BrokerID {
	ids := make([]cluster.BrokerID, 0, len(peers))
	for _, p := range peers {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	switch {
	case len(ids) >= 5:
		return ids[:5]
	case len(ids) >= 3:
		return ids[:3]
	default:
		return ids
	}
}

// configuration is the first entry of a new metadata log. It is the same on
// every voter, so that it does not matter who starts first.
func configuration(peers []Peer) raft.Configuration {
	sorted := slices.SortedFunc(slices.Values(peers), func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	voters := Voters(peers)
	var c raft.Configuration
	for _, p := range sorted {
		suffrage := raft.Nonvoter
		if slices.Contains(voters, p.ID) {
			suffrage = raft.Voter
		}
		c.Servers = append(c.Servers, raft.Server{Suffrage: suffrage, ID: serverID(p.ID), Address: raft.ServerAddress(p.Addr)})
	}
	return c
}

func serverID(id cluster.BrokerID) raft.ServerID {
	return raft.ServerID(strconv.Itoa(int(id)))
}

// brokerID is the inverse of serverID; NoBroker for anything else.
func brokerID(id raft.ServerID) cluster.BrokerID {
	n, err := strconv.ParseInt(string(id), 10, 32)
	if err != nil {
		return cluster.NoBroker
	}
	return cluster.BrokerID(n)
}
