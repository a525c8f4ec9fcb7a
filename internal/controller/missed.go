package controller

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// findGrace is for how long of a term others must have said that they miss a
// broker before it counts against it. In that time brokers find a new controller,
// which they try several times a second, and each other: whoever has just become
// a leader or a follower had no links to be heard on.
const findGrace = 2 * time.Second

// misses are the brokers that a heartbeat misses, and since when all of its
// sender's in this term have; was is the sender's session so far, or nil.
func (h *Heartbeat) misses(now time.Time, was *session) map[cluster.BrokerID]time.Time {
	if len(h.NoLeaderStream)+len(h.NoFollowerStream) == 0 {
		return nil
	}
	since := map[cluster.BrokerID]time.Time{}
	for _, silence := range slices.Concat(h.NoLeaderStream, h.NoFollowerStream) {
		since[silence.Broker] = now
		if was == nil {
			continue
		}
		if at, ok := was.misses[silence.Broker]; ok {
			since[silence.Broker] = at
		}
	}
	return since
}

// missed is for how long a broker that has sent nothing in this term has been
// missed by those it should have been sending to. The controller's own clock
// began with the term: without their word, whoever was silent before it, and is
// still, would have another session with every further controller (K35).
//
// It is zero for a broker that has spoken, or may still be looking for the
// controller or for them. A fenced broker is no witness: it may itself be what is
// cut off, and nobody owes it anything.
func (s *sessions) missed(now time.Time, id cluster.BrokerID, img *cluster.Image) (longest time.Duration) {
	if s.of[id].connected {
		return 0
	}
	for _, b := range img.Brokers() {
		witness := s.of[b.ID]
		if b.Fenced || witness == nil || witness.beat.Epoch != b.Epoch {
			continue
		}
		since, misses := witness.misses[id]
		ago := now.Sub(witness.heardAt)
		if !misses || now.Sub(since) < findGrace || ago > freshFor {
			continue
		}
		for _, list := range [][]Silence{witness.beat.NoLeaderStream, witness.beat.NoFollowerStream} {
			for _, silence := range list {
				if silence.Broker == id {
					longest = max(longest, silence.For+ago)
				}
			}
		}
	}
	return longest
}
