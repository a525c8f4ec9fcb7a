//go:build faults && linux

package host

import (
	"context"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
)

// quietFor is how long nothing must arrive for a connection to be cut: longer
// than some retransmissions.
const quietFor = 700 * time.Millisecond

// TestCuts compares what arrives with what each kind of cut promises, before
// and after healing.
func TestCuts(t *testing.T) {
	n := NewNetwork(t, 5)
	p := newProbes(t, n)
	p.check(t, "whole")
	for _, tc := range []struct {
		name string
		cut  func() (end func())
		lost []hop
	}{
		{"two hosts", func() func() { return n.Cut(1, 2) }, both([2]int{1, 2})},
		{"the client", func() func() { return n.Cut(Client, 3) }, both([2]int{Client, 3})},
		{"one way", func() func() { return n.CutOneWay(4, 5) }, []hop{{4, 5}}},
		{"a host from some", func() func() { return n.Isolate(1, 2, Client) }, both([2]int{1, 2}, [2]int{1, Client})},
		{
			"groups", func() func() { return n.Partition([]int{1}, []int{2, 3}, []int{Client}) },
			both([2]int{1, 2}, [2]int{1, 3}, [2]int{1, Client}, [2]int{2, Client}, [2]int{3, Client}),
		},
		{
			"bridge", func() func() { return n.Partition([]int{1, 2}, []int{4, 5}) },
			both([2]int{1, 4}, [2]int{1, 5}, [2]int{2, 4}, [2]int{2, 5}),
		},
		{
			"ring", func() func() { return n.Ring(1, 2, 3, 4, 5) },
			both([2]int{1, 3}, [2]int{1, 4}, [2]int{2, 4}, [2]int{2, 5}, [2]int{3, 5}),
		},
		{"all is lost", func() func() { return n.Lose(2, 1) }, both([2]int{2, 1}, [2]int{2, 3}, [2]int{2, 4}, [2]int{2, 5}, [2]int{2, Client})},
	} {
		end := tc.cut()
		p.check(t, tc.name, tc.lost...)
		other := n.CutOneWay(3, 2)
		end()
		p.check(t, tc.name+" ended, another not", hop{3, 2})
		end() // a second time changes nothing
		tc.cut()
		n.Heal()
		p.check(t, tc.name+" healed")
		other() // and neither does this
		end()
		p.check(t, tc.name+" healed, and ended")
	}
}

// TestCutsHoldExistingConnections that go on when they are healed.
func TestCutsHoldExistingConnections(t *testing.T) {
	n := NewNetwork(t, 3)
	cut, other := connect(t, n, 1, 2, 9092), connect(t, n, 3, 2, 9092)
	n.Cut(1, 2)
	if carries(t, cut.near, cut.far, quietFor) {
		t.Error("a byte came through the cut")
	}
	if !other.passes(t, arriveLimit) {
		t.Error("a connection of another host is cut")
	}
	if conn, err := n.Dialer(1)(within(t, quietFor), "tcp4", "10.77.0.2:9092"); err == nil {
		conn.Close()
		t.Error("a new connection came through the cut")
	}
	n.Heal()
	if !arrives(t, cut.far, arriveLimit) || !cut.passes(t, arriveLimit) {
		t.Error("the connection does not go on")
	}
}

// TestCutPortIsOneDirectionOfOnePort: what the port's host sends arrives, until
// it needs an answer, and its own connections live.
func TestCutPortIsOneDirectionOfOnePort(t *testing.T) {
	n := NewNetwork(t, 2)
	peer, kafka, back := connect(t, n, 1, 2, PeerPort), connect(t, n, 1, 2, KafkaPort), connect(t, n, 2, 1, PeerPort)
	n.CutPort(1, 2, PeerPort)
	if carries(t, peer.near, peer.far, quietFor) {
		t.Error("a byte came to the port")
	}
	if !carries(t, peer.far, peer.near, arriveLimit) {
		t.Error("what the port sends does not arrive")
	}
	if !kafka.passes(t, arriveLimit) {
		t.Error("another port is cut too")
	}
	if !back.passes(t, arriveLimit) {
		t.Error("the other direction is cut too")
	}
	n.Heal()
	if !arrives(t, peer.far, arriveLimit) || !peer.passes(t, arriveLimit) {
		t.Error("the connection does not go on")
	}
}

// TestOneWayCutStopsAConnection: data arrives one way, but for its
// acknowledgements.
func TestOneWayCutStopsAConnection(t *testing.T) {
	n := NewNetwork(t, 2)
	s := connect(t, n, 1, 2, KafkaPort)
	n.CutOneWay(2, 1)
	if !carries(t, s.near, s.far, arriveLimit) {
		t.Error("nothing arrives on the way that is not cut")
	}
	if carries(t, s.far, s.near, quietFor) {
		t.Error("a byte came through the cut")
	}
	n.Heal()
	if !arrives(t, s.near, arriveLimit) || !s.passes(t, arriveLimit) {
		t.Error("the connection does not go on")
	}
}

// TestNetworksFollowEachOther: one is gone when the next is made.
func TestNetworksFollowEachOther(t *testing.T) {
	for range 3 {
		t.Run("network", func(t *testing.T) {
			n := NewNetwork(t, 2)
			n.Cut(1, 2)
			n.Rate(1, 1_000_000)
			n.Delay(2, time.Millisecond, 0)
		})
	}
	n := NewNetwork(t, 2)
	newProbes(t, n).check(t, "whole")
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	return harness.Within(t, limit)
}
