package controller

import (
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// findGrace is how long brokers have to find a new controller before what others
// say of them counts against them. They try several times a second.
const findGrace = 2 * time.Second

// missed is for how long a broker that has sent nothing in this term has been
// missed by those it should have been sending to. The controller's own clock
// began with the term: without their word, whoever was silent before it, and is
// still, would have another session with every further controller (K35).
//
// It is zero for a broker that has spoken, or may still be looking for the
// controller.
func (s *sessions) missed(now time.Time, id cluster.BrokerID, img *cluster.Image) (longest time.Duration) {
	if s.of[id].connected || now.Sub(s.startedAt) < findGrace {
		return 0
	}
	for _, b := range img.Brokers() {
		witness := s.of[b.ID]
		if witness == nil || witness.beat.Epoch != b.Epoch {
			continue
		}
		ago := now.Sub(witness.heardAt)
		if ago > freshFor {
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
