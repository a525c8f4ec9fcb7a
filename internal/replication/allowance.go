package replication

import (
	"sync"
	"time"
)

// strain compares what acknowledgements on live lanes take while followers catch
// up with what they took before: catching up takes disk, network and processor
// time away from producers, on brokers that may be busy already.
type strain struct {
	mu       sync.Mutex
	catching int       // guarded by mu; links with sessions on their bulk lanes
	calm     float64   // guarded by mu; average while there were none, in seconds
	known    int       // guarded by mu; how many acknowledgements calm is of, to calmSamples
	recent   float64   // guarded by mu; average lately
	at       time.Time // guarded by mu; when recent last changed
}

const (
	// calmSamples and recentSamples are how many acknowledgements the averages
	// are of.
	calmSamples, recentSamples = 64, 16
	// strainFactor is how much longer acknowledgements may take, and strainSlack
	// what is not worth the trouble in any case.
	strainFactor = 1.5
	strainSlack  = 0.001
	// strainFresh is for how long the last acknowledgements count. It is longer
	// than they take on a busy disk: without further ones nobody waits.
	strainFresh = 5 * time.Second
)

// observe takes the time from sending a live frame to its acknowledgement, which
// came just now.
func (s *strain) observe(waited time.Duration, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = now
	s.recent += (waited.Seconds() - s.recent) / recentSamples
	if s.catching > 0 {
		return
	}
	s.known = min(s.known+1, calmSamples)
	s.calm += (waited.Seconds() - s.calm) / float64(s.known)
}

// high reports whether acknowledgements take noticeably longer than before, as
// far as it is known what they took.
func (s *strain) high(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known == calmSamples && now.Sub(s.at) < strainFresh && s.recent > strainFactor*s.calm+strainSlack
}

// begin and end say when a link has sessions that catch up.
func (s *strain) begin() { s.add(1) }
func (s *strain) end()   { s.add(-1) }

func (s *strain) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catching += n
}

const (
	// leastAllowance is where a catch-up starts, and what it always has.
	leastAllowance = 256 << 10
	// allowanceStep is by how much it grows at a time, while nobody is hurt.
	allowanceStep = 256 << 10
	// allowanceInterval is the time between two looks at it: some rounds of sync.
	allowanceInterval = 250 * time.Millisecond
	// catchUpFactor is how many times as fast as the logs grow the follower is
	// sent data, whoever it hurts: absences must end. With four, a minute away is
	// made up for in twenty seconds.
	catchUpFactor = 4
)

// allowance is how much of the bulk lane's window a link uses. Where followers
// catch up at ease it is all of it; where acknowledgements of others take longer
// for it, as little as brings the follower back in a third of the time that it
// was away. It is pure, and owned by the bulk lane's goroutine.
type allowance struct {
	most   int // the window
	window int

	next time.Time // of the next look
	sent int       // bytes since the last look
	lag  float64   // bytes behind, then
}

func newAllowance(most int) allowance {
	return allowance{most: most, window: min(leastAllowance, most)}
}

// due reports whether it is time to look.
func (a *allowance) due(now time.Time) bool { return !now.Before(a.next) }

// review looks: lag is how many bytes the follower is behind now, strained that
// others feel it.
func (a *allowance) review(now time.Time, lag float64, strained bool) {
	first := a.next.IsZero()
	appended := max(0, lag-a.lag+float64(a.sent))
	slow := float64(a.sent) < catchUpFactor*appended
	a.next = now.Add(allowanceInterval)
	if !first {
		switch {
		case slow:
			a.window += a.window / 2
		case strained:
			a.window -= a.window / 4
		default:
			a.window += allowanceStep
		}
		a.window = min(max(a.window, leastAllowance), a.most)
	}
	a.sent, a.lag = 0, lag
}
