package isr

import "time"

// nobody is the cause of a move of the high watermark that no replica was last
// for.
const nobody = -1

// advance moves the high watermark to the smallest durable end of all that
// count (I2), if the committed in-sync set is large enough (I3). last is the
// index of the replica whose word may have moved it.
func (s *State) advance(last int, t time.Duration) (moved bool) {
	if s.UnderMinISR() {
		return false
	}
	lowest := min(s.end, s.replicas[s.self].durable)
	for i := range s.replicas {
		r := &s.replicas[i]
		if !r.counts() {
			continue
		}
		if !r.link.open {
			return false // unknown, so it could be anywhere
		}
		lowest = min(lowest, r.durable)
	}
	if lowest <= s.highWatermark {
		return false
	}
	s.highWatermark = lowest
	if last != nobody {
		s.window.rotate(s.replicas, t)
		s.replicas[last].waits.now.last++
	}
	return true
}

// holder is the index of the replica that the high watermark waits for: the
// one that counts and is furthest behind.
func (s *State) holder() int {
	worst, lowest := s.self, s.replicas[s.self].durable
	for i := range s.replicas {
		r := &s.replicas[i]
		if !r.counts() {
			continue
		}
		durable := r.durable
		if !r.link.open {
			durable = unknown
		}
		if durable < lowest {
			worst, lowest = i, durable
		}
	}
	return worst
}
