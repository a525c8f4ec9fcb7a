package sim

import (
	"sync"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/wal"
)

// node is a broker's disk and, while it runs, its table.
type node struct {
	id          cluster.BrokerID
	disk        *slowDisk
	incarnation byte
	view        int
	wal         *wal.Log
	table       *partition.Table
	failed      []cluster.TopicPartition
	waiting     map[int64]*partition.Pending // by value
	sessions    map[cluster.BrokerID]uint64
	stop        func()

	mu        sync.Mutex
	up        bool                 // guarded by mu where the process writes
	proposals []partition.Proposal // guarded by mu
	acks      map[uint64]int64     // by session; guarded by mu
}

// Ack keeps the newest ack of each session until a schedule delivers it.
func (n *node) Ack(_ cluster.TopicPartition, session uint64, durableEnd, _ int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up { // otherwise it has lost power, and does not know yet
		n.acks[session] = durableEnd
	}
}

func (n *node) propose(p []partition.Proposal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proposals = append(n.proposals, p...)
}

// proposal takes the oldest one.
func (n *node) proposal() (p partition.Proposal, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.proposals) == 0 {
		return p, false
	}
	p, n.proposals = n.proposals[0], n.proposals[1:]
	return p, true
}

// acked is the newest ack of a session.
func (n *node) acked(session uint64) (end int64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	end, ok = n.acks[session]
	return end, ok
}

// power begins or ends the time in which the process is heard.
func (n *node) power(up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up = up
	n.acks, n.proposals = map[uint64]int64{}, nil
}
