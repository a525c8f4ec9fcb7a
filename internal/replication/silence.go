package replication

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Silence says for how long nothing has come from a broker that should send:
// pings go twice a second over every link that carries partitions.
type Silence struct {
	Broker cluster.BrokerID
	For    time.Duration
}

// Silent lists the leaders of partitions that are followed here whose live lanes
// carry nothing, and the followers of partitions led here that answer nothing,
// since longer than after. There is at most one entry per broker in each: all
// partitions of two brokers share the lanes.
func (m *Manager) Silent(now time.Time, after time.Duration) (leaders, followers []Silence) {
	m.mu.Lock()
	img := m.image
	heard := make(map[cluster.BrokerID]time.Duration, len(m.heard))
	for id, at := range m.heard {
		heard[id] = time.Duration(at.Load())
	}
	m.mu.Unlock()
	for _, id := range leadersOf(img, m.o.Self) {
		// Who was never heard is silent since this process began.
		if d := m.since(now) - heard[id]; d >= after {
			leaders = append(leaders, Silence{id, d})
		}
	}
	for _, l := range m.allLinks() {
		l.mu.Lock()
		carries := len(l.streams) > 0
		l.mu.Unlock()
		if d := m.since(now) - time.Duration(l.stats.heardAt.Load()); carries && d >= after {
			followers = append(followers, Silence{l.peer, d})
		}
	}
	return leaders, followers
}

// leadersOf are the other brokers that lead partitions of which self is a
// replica, by id.
func leadersOf(img *cluster.Image, self cluster.BrokerID) []cluster.BrokerID {
	var ids []cluster.BrokerID
	for _, t := range img.Topics() {
		for _, p := range t.Partitions {
			if p.Leader != self && p.Leader != cluster.NoBroker && p.HasReplica(self) && !slices.Contains(ids, p.Leader) {
				ids = append(ids, p.Leader)
			}
		}
	}
	slices.SortFunc(ids, cmp.Compare)
	return ids
}

// heardFrom is where the time of the last frame on a leader's live lane is kept,
// as time since the manager started; in the far future while the lane's reader
// waits for room.
func (m *Manager) heardFrom(leader cluster.BrokerID) *atomic.Int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.heard[leader]
	if !ok {
		at = new(atomic.Int64)
		m.heard[leader] = at
	}
	return at
}
