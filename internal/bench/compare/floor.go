package compare

import (
	"math"

	"github.com/chronik-project/chronik/internal/bench"
)

// FloorAA is that runs which should not differ were made to find out by how much
// they do.
const FloorAA = "A/A runs"

// minAA is how many runs tell.
const minAA = 2

// raise lifts the floor of each quantile to what A/A runs of the same arm differ
// by.
func raise(estimates []estimate, s scale, runs pool, qs []float64) {
	if len(runs) < minAA {
		return
	}
	each := runs.each(s, qs)
	for k := range estimates {
		e := &estimates[k]
		if spread := extent(each, k); spread > e.floor || math.IsNaN(e.floor) {
			e.floor, e.floorOf = spread, FloorAA
		}
	}
}

// Floor is what runs that should not differ do differ by, of one arm.
type Floor struct {
	Acks     bench.Arm `json:"acks"`
	Quantile string    `json:"quantile"`
	// Micros are the quantile in each run; nil: too few samples.
	Micros []*float64 `json:"us"`
	// Percent is the largest of them over the smallest; nil: not known.
	Percent *float64 `json:"noise_floor_percent"`
	// Shown is how many of the pairs of neighbouring runs a comparison calls
	// different, wrongly.
	Pairs int `json:"pairs"`
	Shown int `json:"differences_shown"`
}

// Floors measures the noise floor of a machine and a cluster: what runs of the
// same thing differ by.
func Floors(side Side, o Options) []Floor {
	o = o.withDefaults()
	qs := make([]float64, len(quantiles))
	for k := range quantiles {
		qs[k] = quantiles[k].share
	}
	var floors []Floor
	for _, arm := range side.arms() {
		if !arm.Acknowledged() {
			continue
		}
		runs := intervalsOf(side, arm)
		s := newScale(runs)
		each := pooled(s, runs, o).each(s, qs)
		for k := range quantiles {
			f := Floor{Acks: arm, Quantile: quantiles[k].name, Percent: percent(extent(each, k))}
			for _, v := range column(each, k) {
				f.Micros = append(f.Micros, micros(v))
			}
			floors = append(floors, f)
		}
		own := floors[len(floors)-len(quantiles):]
		for i := 1; i < len(side.Runs); i++ {
			a, b := Side{Name: "a", Runs: side.Runs[i-1 : i]}, Side{Name: "b", Runs: side.Runs[i : i+1]}
			for k, c := range arms(a, b, arm, Options{Block: o.Block, Resamples: o.Resamples, Seed: o.Seed, AllowInvalid: true}) {
				own[k].Pairs++
				if c.Verdict == Faster || c.Verdict == Slower {
					own[k].Shown++
				}
			}
		}
	}
	return floors
}
