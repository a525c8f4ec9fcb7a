package compare

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/bench"
)

// maxUnits bounds the memory of a series: a longer run is cut into units of
// more than a second.
const maxUnits = 600

// series is one arm of one run, as counts of times by unit of time. Blocks are
// drawn from it.
type series struct {
	sums  [][]uint32 // sums[i] counts what came before unit i; one more than units
	block int        // units of a block
}

// scale is the times, in nanoseconds, that the two sides have between them.
type scale struct {
	values []int64
	index  map[int64]int
}

func newScale(sides ...[][]bench.Interval) scale {
	seen := map[int64]bool{}
	for _, side := range sides {
		for _, run := range side {
			for i := range run {
				run[i].Response.ForEachBucket(func(value, _ int64) bool {
					seen[value] = true
					return true
				})
			}
		}
	}
	s := scale{values: slices.Sorted(maps.Keys(seen)), index: make(map[int64]int, len(seen))}
	for i, v := range s.values {
		s.index[v] = i
	}
	return s
}

// intervalsOf returns one arm's intervals of every run of a side, in order.
func intervalsOf(side Side, arm bench.Arm) [][]bench.Interval {
	runs := make([][]bench.Interval, len(side.Runs))
	for i, run := range side.Runs {
		for _, iv := range run.Report.Intervals {
			if iv.Acks == arm {
				runs[i] = append(runs[i], iv)
			}
		}
		slices.SortStableFunc(runs[i], func(a, b bench.Interval) int { return a.Start.Compare(b.Start) })
	}
	return runs
}

// newSeries counts a run's intervals, in blocks of about the given length. A
// run with less than minBlocks of those gets shorter ones.
func newSeries(s scale, run []bench.Interval, block time.Duration) series {
	var total time.Duration
	for i := range run {
		total += run[i].End.Sub(run[i].Start)
	}
	per := (len(run) + maxUnits - 1) / maxUnits // intervals of a unit
	sums := [][]uint32{make([]uint32, len(s.values))}
	for i := range run {
		if i%max(per, 1) == 0 {
			sums = append(sums, slices.Clone(sums[len(sums)-1]))
		}
		counts := sums[len(sums)-1]
		run[i].Response.ForEachBucket(func(value, count int64) bool {
			counts[s.index[value]] += uint32(min(count, math.MaxUint32))
			return true
		})
	}
	units := len(sums) - 1
	length := 1
	if total > 0 {
		length = int(math.Round(float64(block) / float64(total) * float64(units)))
	}
	return series{sums: sums, block: max(1, min(length, units/minBlocks))}
}

func (s series) units() int { return len(s.sums) - 1 }

// blocks is how many blocks the series is long.
func (s series) blocks() int { return s.units() / s.block }

// all adds every unit to counts.
func (s series) all(counts []int64) {
	for i, n := range s.sums[s.units()] {
		counts[i] += int64(n)
	}
}

// draw adds as many units as there are, in blocks that begin anywhere; a block
// that reaches the end goes on at the beginning, so that every unit is drawn
// equally often.
func (s series) draw(rng *rand.Rand, counts []int64) {
	units := s.units()
	for left := units; left > 0; left -= s.block {
		from, length := rng.IntN(units), min(s.block, left)
		to := min(from+length, units)
		s.add(counts, from, to)
		s.add(counts, 0, length-(to-from))
	}
}

func (s series) add(counts []int64, from, to int) {
	if to <= from {
		return
	}
	lower, upper := s.sums[from], s.sums[to]
	for i := range counts {
		counts[i] += int64(upper[i] - lower[i])
	}
}

// ofBlocks returns the logarithm of the time at a quantile of each block.
func (s series) ofBlocks(sc scale, q float64) []float64 {
	var values []float64
	for from := 0; from+s.block <= s.units(); from += s.block {
		counts := make([]int64, len(sc.values))
		s.add(counts, from, from+s.block)
		if v := sc.quantiles(counts, []float64{q}, 0)[0]; !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	return values
}

// quantiles returns the logarithm of the time at each quantile, NaN where the
// samples beyond it are less than beyond.
func (s scale) quantiles(counts []int64, qs []float64, beyond float64) []float64 {
	var total int64
	for _, n := range counts {
		total += n
	}
	logs := make([]float64, len(qs))
	var seen int64
	i := 0
	for k, q := range qs {
		logs[k] = math.NaN()
		if total == 0 || float64(total)*(1-q) < beyond-1e-6 {
			continue
		}
		for rank := int64(math.Ceil(float64(total) * q)); i < len(counts); i++ {
			if seen+counts[i] >= rank {
				break
			}
			seen += counts[i]
		}
		logs[k] = math.Log(float64(s.values[min(i, len(s.values)-1)]))
	}
	return logs
}
