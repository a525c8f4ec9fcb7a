package isr

import "time"

// The history has one level that keeps every sample and others whose samples
// are further and further apart, so that a lag of any length up to twice
// LagTimeMax is known to about a quarter of itself.
const (
	historyLevels  = 7
	historySamples = 16 // per level
	levelRatioBits = 2  // samples are four times as far apart as one level below
	topLevelShare  = 8  // LagTimeMax over the distance of samples at the top
)

// history remembers where the log ended and until when, so that a position can
// be turned into the moment at which it was the whole log (K22). Its size is
// fixed and adding to it allocates nothing.
type history struct {
	spacing time.Duration // between samples of the top level
	levels  [historyLevels]historyLevel
}

type historyLevel struct {
	samples [historySamples]sample
	count   int // of all samples ever added
}

// sample says that the log ended at end until this moment.
type sample struct {
	end   int64
	until time.Duration
}

func newHistory(lagTimeMax time.Duration) history {
	return history{spacing: lagTimeMax / topLevelShare}
}

// add notes that the log ended at end until now. A level takes the sample if
// the level below did and its own last one is far enough back.
func (h *history) add(end int64, until time.Duration) {
	h.levels[0].add(end, until)
	for k := 1; k < historyLevels; k++ {
		l := &h.levels[k]
		spacing := h.spacing >> (levelRatioBits * (historyLevels - 1 - k))
		if l.count > 0 && until-l.back(0).until < spacing {
			return
		}
		l.add(end, until)
	}
}

// lookup returns the last moment known at which the log ended at or before
// position. The moment may be too early by the distance of samples there.
func (h *history) lookup(position int64) (until time.Duration, ok bool) {
	// Every sample of a level was in the levels below once, so the first that
	// fits, from the newest of the lowest level on, is the newest that fits.
	for k := range h.levels {
		l := &h.levels[k]
		for i := range min(l.count, historySamples) {
			if s := l.back(i); s.end <= position {
				return s.until, true
			}
		}
	}
	return 0, false
}

func (l *historyLevel) add(end int64, until time.Duration) {
	l.samples[l.count%historySamples] = sample{end: end, until: until}
	l.count++
}

// back returns the i-th newest sample.
func (l *historyLevel) back(i int) *sample {
	return &l.samples[(l.count-1-i)%historySamples]
}
