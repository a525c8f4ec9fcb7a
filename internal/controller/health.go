package controller

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// freshFor is how old a heartbeat may be for what it says of other brokers to
// count: what two sides say must be of the same moment.
const freshFor = 1500 * time.Millisecond

// health is what the brokers' last heartbeats say of their disks and links.
type health struct {
	img *cluster.Image
	// slow are the brokers whose disk hangs, full those whose disk is down to its
	// reserve (§3.6, §3.10 of the protocol).
	slow, full map[cluster.BrokerID]bool
	// silent is what brokers say of others that they do not hear and that should
	// be there.
	silent map[cluster.BrokerID]silences
}

// silences are those that one broker reports.
type silences struct{ leaders, followers []Silence }

// look reads the heartbeats.
func (p *planner) look(now time.Time, img *cluster.Image, s *sessions) health {
	h := health{img: img, slow: map[cluster.BrokerID]bool{}, full: map[cluster.BrokerID]bool{}, silent: map[cluster.BrokerID]silences{}}
	for _, b := range img.Brokers() {
		one := s.of[b.ID]
		if one == nil {
			continue
		}
		if one.beat.OldestFsyncAge > p.slowFsync {
			h.slow[b.ID] = true
		}
		if one.beat.LowSpace {
			h.full[b.ID] = true
		}
		if one.beat.Epoch != b.Epoch || now.Sub(one.heardAt) > freshFor {
			continue
		}
		said := silences{h.ofLive(one.beat.NoLeaderStream), h.ofLive(one.beat.NoFollowerStream)}
		if len(said.leaders)+len(said.followers) > 0 {
			h.silent[b.ID] = said
		}
	}
	return h
}

// ofLive leaves out brokers that are known to be gone.
func (h *health) ofLive(list []Silence) []Silence {
	return slices.DeleteFunc(slices.Clone(list), func(s Silence) bool { return !h.eligible(s.Broker) })
}

// calm reports whether nobody has anything to complain of.
func (h *health) calm() bool { return len(h.slow)+len(h.full)+len(h.silent) == 0 }

// works reports whether the broker's disk takes what is written to it.
func (h *health) works(id cluster.BrokerID) bool { return !h.slow[id] && !h.full[id] }

func (h *health) eligible(id cluster.BrokerID) bool {
	b, ok := h.img.Broker(id)
	return ok && b.Eligible()
}

// apart reports whether leader and follower both say that nothing has come from
// the other for that long.
func (h *health) apart(leader, follower cluster.BrokerID, d time.Duration) bool {
	return about(h.silent[leader].followers, follower, d) && about(h.silent[follower].leaders, leader, d)
}

// deaf reports whether one of two brokers says that it does not hear the other.
// Brokers without partitions in common have nothing to say.
func (h *health) deaf(a, b cluster.BrokerID) bool {
	says := func(who, of cluster.BrokerID) bool {
		return about(h.silent[who].leaders, of, 0) || about(h.silent[who].followers, of, 0)
	}
	return says(a, b) || says(b, a)
}

func about(list []Silence, id cluster.BrokerID, d time.Duration) bool {
	return slices.ContainsFunc(list, func(s Silence) bool { return s.Broker == id && s.For >= d })
}
