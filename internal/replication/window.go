package replication

import (
	"time"

	"github.com/chronik-project/chronik/internal/trace"
)

// lane is one of a link's two connections.
type lane uint8

const (
	laneLive lane = iota
	laneBulk
	laneCount
)

// maxFlights bounds the frames of one session that are on their way. It binds
// before the byte windows do only when frames are tiny, and then every frame
// carries whatever was appended meanwhile, so it costs no throughput.
const maxFlights = 1024

// flight is a Data frame whose content is not known to be durable yet.
type flight struct {
	end   int64 // exclusive
	bytes int
	lane  lane
	sent  time.Time
}

// window is what a session has on its way, oldest first. A frame takes credit
// from the moment it is sent until the follower says that its disk has it: the
// window therefore bounds what piles up in the follower's memory too.
type window struct {
	flights []flight // a ring of n flights from head; its length is 0 or a power of two
	head, n int
	bytes   [laneCount]int // Invariant: the sum over the flights of that lane
}

func (w *window) push(f flight) {
	if w.n == len(w.flights) {
		grown := make([]flight, max(8, 2*len(w.flights)))
		for i := range w.n {
			grown[i] = w.at(i)
		}
		w.flights, w.head = grown, 0
	}
	w.flights[(w.head+w.n)&(len(w.flights)-1)] = f
	w.n++
	w.bytes[f.lane] += f.bytes
}

func (w *window) at(i int) flight { return w.flights[(w.head+i)&(len(w.flights)-1)] }

// settle removes what ends at or below durableEnd. freed is the credit that
// returns per lane, waited how long the oldest of it was on its way.
func (w *window) settle(durableEnd int64, now time.Time) (freed [laneCount]int, waited time.Duration) {
	for w.n > 0 {
		f := w.at(0)
		if f.end > durableEnd {
			break
		}
		if waited == 0 {
			waited = now.Sub(f.sent)
		}
		freed[f.lane] += f.bytes
		w.bytes[f.lane] -= f.bytes
		w.head = (w.head + 1) & (len(w.flights) - 1)
		w.n--
	}
	return freed, waited
}

// until appends the flights up to the first that reaches beyond durableEnd.
func (w *window) until(durableEnd int64, dst []trace.Flight) []trace.Flight {
	for i := range w.n {
		f := w.at(i)
		dst = append(dst, trace.Flight{End: f.end, Sent: f.sent})
		if f.end > durableEnd {
			break
		}
	}
	return dst
}

// clear forgets everything and returns the credit it held.
func (w *window) clear() (freed [laneCount]int) {
	freed = w.bytes
	*w = window{flights: w.flights}
	return freed
}
