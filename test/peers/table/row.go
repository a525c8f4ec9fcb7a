// Package table keeps what a comparison of clusters measured, decides what may be
// claimed of it, and writes it down: JSON lines that a later run can go on with,
// and a table in Markdown.
package table

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Row is one comparison: what was measured of each, in the order of the turns,
// and the ratio of ours to theirs.
type Row struct {
	Name     string    `json:"name"`
	Unit     string    `json:"unit"`
	Settings string    `json:"settings"` // of the load; the machine's line has those of the clusters
	Ours     string    `json:"ours"`
	Theirs   string    `json:"theirs"`
	A        []float64 `json:"ours_all"`
	B        []float64 `json:"theirs_all"`
	// DroppedA and DroppedB count turns that are not among those, because the
	// load was not what it should have been.
	DroppedA int `json:"ours_dropped"`
	DroppedB int `json:"theirs_dropped"`
	// Ratio is the median of ours over the median of theirs, with the bounds of
	// its 95% interval by bootstrap over the turns.
	Ratio     float64 `json:"ratio"`
	RatioLow  float64 `json:"ratio_low"`
	RatioHigh float64 `json:"ratio_high"`
	// Target is what the ratio should be, 0 for no target: at most this, or at
	// least, if more is better.
	Target       float64 `json:"target,omitempty"`
	MoreIsBetter bool    `json:"more_is_better"`
	Met          bool    `json:"met"`
	// Void says why the row proves nothing; empty if it does.
	Void  string `json:"void,omitempty"`
	Notes string `json:"notes,omitempty"`
}

// leastShare of the turns has to be left for a row to prove anything.
const leastShare = 0.5

// Decide fills in the ratio and whether it meets the target: the whole of its
// interval has to.
func (r *Row) Decide() {
	for _, side := range []struct {
		label   string
		kept    []float64
		dropped int
	}{{r.Ours, r.A, r.DroppedA}, {r.Theirs, r.B, r.DroppedB}} {
		if n := len(side.kept); n == 0 || float64(n) < leastShare*float64(n+side.dropped) {
			r.Void = fmt.Sprintf("%s: %d of %d turns were dropped", side.label, side.dropped, n+side.dropped)
			return
		}
	}
	if median(r.B) == 0 {
		if r.Void = "nothing to divide by: theirs is 0"; median(r.A) == 0 {
			r.Void = "both are 0"
		}
		return
	}
	r.Ratio = median(r.A) / median(r.B)
	r.RatioLow, r.RatioHigh = interval(r.A, r.B)
	switch {
	case r.Target == 0:
	case r.MoreIsBetter:
		r.Met = r.RatioLow >= r.Target
	default:
		r.Met = r.RatioHigh <= r.Target
	}
}

// lost says whether the other side was better, as far as the interval tells.
func (r *Row) lost() bool {
	if r.Void != "" {
		return false
	}
	if r.MoreIsBetter {
		return r.RatioHigh < 1
	}
	return r.RatioLow > 1
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[n/2] + sorted[(n-1)/2]) / 2
}

// draws is how many samples the bootstrap takes.
const draws = 2000

// interval is the 95% interval of the ratio of medians. Draws in which theirs is
// 0 are left out.
func interval(a, b []float64) (low, high float64) {
	random := rand.New(rand.NewPCG(1, 2)) // the same interval from the same figures
	draw := func(from []float64) float64 {
		sample := make([]float64, len(from))
		for i := range sample {
			sample[i] = from[random.IntN(len(from))]
		}
		return median(sample)
	}
	ratios := make([]float64, 0, draws)
	for range draws {
		ours, theirs := draw(a), draw(b)
		if theirs != 0 {
			ratios = append(ratios, ours/theirs)
		}
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/40], ratios[len(ratios)-1-len(ratios)/40]
}
