//go:build faults && linux

package host

import (
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
)

// TestLoseLosesItsFraction of both directions, once also behind a slow cable.
func TestLoseLosesItsFraction(t *testing.T) {
	n := NewNetwork(t, 2)
	p := newProbes(t, n)
	p.check(t, "whole")
	const sent, fraction = 4000, 0.3
	for _, delay := range []time.Duration{0, time.Millisecond} {
		if delay > 0 {
			n.Delay(1, delay, 0)
		}
		n.Lose(1, fraction)
		for _, way := range both([2]int{1, 2}) {
			text := func(i int) string { return fmt.Sprintf("%v %v %d", delay, way, i) }
			for i := range sent {
				p.send(t, way, text(i))
				if i%500 == 0 {
					harness.Pause(t, 20*time.Millisecond) // no queue is to overflow
				}
			}
			harness.Pause(t, 200*time.Millisecond)
			arrived := 0
			for i := range sent {
				if p.has(text(i)) {
					arrived++
				}
			}
			// Eight standard deviations.
			const tolerance = 0.06
			if lost := 1 - float64(arrived)/sent; lost < fraction-tolerance || lost > fraction+tolerance {
				t.Errorf("delay %v, %d to %d: %.3f lost, want %g", delay, way.from, way.to, lost, fraction)
			}
		}
		n.Heal()
		p.check(t, fmt.Sprintf("healed, after %v", delay))
	}
}

// transfer measures how long so many bytes take.
func transfer(t *testing.T, from, to net.Conn, size int) time.Duration {
	t.Helper()
	start := time.Now()
	if err := to.SetReadDeadline(start.Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go from.Write(make([]byte, size))
	if _, err := io.CopyN(io.Discard, to, int64(size)); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// TestRateBoundsBothDirections, and not other hosts.
func TestRateBoundsBothDirections(t *testing.T) {
	n := NewNetwork(t, 3)
	s, other := connect(t, n, 1, 2, KafkaPort), connect(t, n, 3, 2, KafkaPort)
	const size, bits = 1 << 20, 8_000_000
	const ideal = time.Duration(float64(size) * 8 / bits * float64(time.Second))
	n.Rate(1, bits)
	for _, way := range [][2]net.Conn{{s.near, s.far}, {s.far, s.near}} {
		if took := transfer(t, way[0], way[1], size); took < ideal*8/10 || took > ideal*3 {
			t.Errorf("%d bytes at %d bit/s took %v, want about %v", size, bits, took, ideal)
		}
	}
	if took := transfer(t, other.near, other.far, size); took > ideal/2 {
		t.Errorf("the same between other hosts took %v", took)
	}
	n.Heal()
	if took := transfer(t, s.near, s.far, size); took > ideal/2 {
		t.Errorf("healed, it took %v", took)
	}
}

// roundTrips measures some, and returns them by size.
func (s *stream) roundTrips(t *testing.T) []time.Duration {
	t.Helper()
	const count = 21
	trips := make([]time.Duration, count)
	for i := range trips {
		start := time.Now()
		if !s.passes(t, arriveLimit) {
			t.Fatal("the connection is cut")
		}
		trips[i] = time.Since(start)
	}
	slices.Sort(trips)
	return trips
}

// TestDelayHoldsBothDirections, of a connection that is there before and after.
func TestDelayHoldsBothDirections(t *testing.T) {
	n := NewNetwork(t, 3)
	s, other := connect(t, n, 1, 2, KafkaPort), connect(t, n, 3, 2, KafkaPort)
	const d, jitter, slack = 20 * time.Millisecond, 15 * time.Millisecond, 15 * time.Millisecond
	expect := func(what string, s *stream, least, most time.Duration) {
		t.Helper()
		trips := s.roundTrips(t)
		median := trips[len(trips)/2]
		t.Logf("%s: median %v, %v to %v", what, median, trips[0], trips[len(trips)-1])
		if trips[0] < least || median > most {
			t.Errorf("%s: round trips of %v and more, median %v; want at least %v, about %v", what, trips[0], median, least, most)
		}
	}
	expect("before", s, 0, slack)
	end := n.Delay(1, d, 0)
	expect("delayed", s, 2*d, 2*d+slack)
	expect("others", other, 0, slack)
	n.Delay(1, d, jitter)
	expect("with jitter", s, 2*(d-jitter), 2*d+slack)
	// A busy machine makes trips longer, never shorter.
	if trips := s.roundTrips(t); trips[0] >= 2*d {
		t.Errorf("no round trip is shorter than %v, with a jitter of %v each way", trips[0], jitter)
	}
	n.Delay(2, d, 0)
	expect("both ends", s, 2*d+2*(d-jitter), 4*d+slack)
	n.Cut(1, 2)
	if carries(t, s.near, s.far, quietFor) {
		t.Error("a byte came through a cut between slow cables")
	}
	n.Heal()
	if !arrives(t, s.far, arriveLimit) {
		t.Error("the connection does not go on")
	}
	expect("healed", s, 0, slack)
	end()
	expect("healed, and ended", s, 0, slack)
}

// TestDelayKeepsTheOrder although some frames wait longer than others.
func TestDelayKeepsTheOrder(t *testing.T) {
	n := NewNetwork(t, 2)
	p := newProbes(t, n)
	p.check(t, "whole")
	n.Delay(1, 10*time.Millisecond, 10*time.Millisecond)
	const sent = 200
	for i := range sent {
		p.send(t, hop{1, 2}, fmt.Sprint("order ", i))
	}
	p.check(t, "after them")
	p.mu.Lock()
	defer p.mu.Unlock()
	var last time.Time
	for i := range sent {
		at := p.arrived[fmt.Sprint("order ", i)]
		if len(at) != 1 || at[0].Before(last) {
			t.Fatalf("packet %d has arrived %d times, at %v; the one before at %v", i, len(at), at, last)
		}
		last = at[0]
	}
}
