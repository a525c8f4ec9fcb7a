package testcluster

import (
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// link is one direction between two brokers.
type link struct{ from, to cluster.BrokerID }

// both are the two directions between brokers.
func both(a, b cluster.BrokerID) []link { return []link{{a, b}, {b, a}} }

// others are all brokers but one.
func (w *world) others(id cluster.BrokerID) []cluster.BrokerID {
	return slices.DeleteFunc(w.c.Brokers(), func(other cluster.BrokerID) bool { return other == id })
}

// out and in are the links from a broker to all others, and back.
func (w *world) out(id cluster.BrokerID) (links []link) {
	for _, other := range w.others(id) {
		links = append(links, link{id, other})
	}
	return links
}

func (w *world) in(id cluster.BrokerID) (links []link) {
	for _, other := range w.others(id) {
		links = append(links, link{other, id})
	}
	return links
}

// TestCuts cuts links for a while: whichever they are, two brokers still reach
// each other, so acknowledgements go on soon, and after the links are healed all
// replicas get in sync again.
func TestCuts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		links func(w *world) []link
		// stall bounds how long an acknowledgement waits. A silent follower is kept
		// for 3 s, a silent broker for 6 s.
		stall time.Duration
	}{
		{name: "leader to follower", stall: 8 * time.Second, links: func(w *world) []link {
			return []link{{w.leader(), w.follower()}}
		}},
		{name: "follower to leader", stall: 8 * time.Second, links: func(w *world) []link {
			return []link{{w.follower(), w.leader()}}
		}},
		{name: "leader and follower", stall: 8 * time.Second, links: func(w *world) []link {
			return both(w.leader(), w.follower())
		}},
		{name: "leader hears nobody", stall: 10 * time.Second, links: func(w *world) []link { return w.in(w.leader()) }},
		{name: "nobody hears the leader", stall: 10 * time.Second, links: func(w *world) []link { return w.out(w.leader()) }},
		{name: "leader alone", stall: 10 * time.Second, links: func(w *world) []link {
			return slices.Concat(w.in(w.leader()), w.out(w.leader()))
		}},
		{name: "controller hears nobody", stall: 10 * time.Second, links: func(w *world) []link { return w.in(w.controller()) }},
		{name: "nobody hears the controller", stall: 10 * time.Second, links: func(w *world) []link { return w.out(w.controller()) }},
		{name: "controller alone", stall: 10 * time.Second, links: func(w *world) []link {
			return slices.Concat(w.in(w.controller()), w.out(w.controller()))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, pickSeed(t), 3, func(w *world) {
				w.progress(5*time.Second, 20)
				links := tt.links(w)
				w.load.forget()
				for _, l := range links {
					w.c.Cut(l.from, l.to)
				}
				w.t.Logf("cut %v, controller %d", links, w.controller())
				w.progress(tt.stall+5*time.Second, 20)
				w.pass(2 * time.Second)
				worst := w.load.slowest()
				for _, l := range links {
					w.c.Heal(l.from, l.to)
				}
				w.progress(5*time.Second, 20)
				w.awaitISR(healLimit, 3)
				if worst = max(worst, w.load.slowest()); worst > tt.stall {
					w.t.Errorf("cut %v: an acknowledgement took %s, at most %s", links, worst, tt.stall)
				}
			})
		})
	}
}
