package compare

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// minBlocks is how many blocks a run has to have for its spread to be known.
	minBlocks = 4
	// minUnits is how many seconds: of less, nobody knows how they depend on each
	// other.
	minUnits = 12
	// beyondQuantile is how many samples have to lie beyond a quantile.
	beyondQuantile = 10
	// confidence is that all intervals of an arm hold at once.
	confidence = 0.95
	// outside is the share that each of them leaves out at either end: three
	// quantiles have three chances to differ by accident (Bonferroni).
	outside = (1 - confidence) / 2 / 3
	// strongRuns is how many runs of each side tell how runs differ.
	strongRuns = 3
)

// estimate is what is known of the change of one quantile. All but the times
// are logarithms of ratios.
type estimate struct {
	base, next float64 // log time of each side; NaN: too few samples
	low, high  float64 // NaN: the runs are too short to tell
	floor      float64 // what the baseline differs from itself; NaN: not known
	floorOf    string
}

func (e estimate) change() float64 { return e.next - e.base }

// pool is the runs of one side.
type pool []series

func (p pool) counts(s scale, draw func(series, []int64)) []int64 {
	counts := make([]int64, len(s.values))
	for _, run := range p {
		draw(run, counts)
	}
	return counts
}

func (p pool) total(s scale) []int64 {
	return p.counts(s, func(run series, counts []int64) { run.all(counts) })
}

func (p pool) draw(s scale, rng *rand.Rand) []int64 {
	return p.counts(s, func(run series, counts []int64) { run.draw(rng, counts) })
}

// blocks is how many blocks all runs have; 0 when one is too short.
func (p pool) blocks() int {
	n := 0
	for _, run := range p {
		if run.units() < minUnits {
			return 0
		}
		n += run.blocks()
	}
	return n
}

// estimates compares two sides at every quantile, drawing resamples times.
func estimates(s scale, base, next pool, qs []float64, resamples int, rng *rand.Rand) []estimate {
	result := make([]estimate, len(qs))
	from, to := s.quantiles(base.total(s), qs, beyondQuantile), s.quantiles(next.total(s), qs, beyondQuantile)
	for k := range qs {
		result[k] = estimate{base: from[k], next: to[k], low: math.NaN(), high: math.NaN(), floor: math.NaN()}
	}
	if min(base.blocks(), next.blocks()) >= minBlocks {
		within(result, s, base, next, qs, resamples, rng)
	}
	between(result, s, base, next, qs)
	return result
}

// within fills in the intervals from the spread inside of the runs.
func within(result []estimate, s scale, base, next pool, qs []float64, resamples int, rng *rand.Rand) {
	changes, same := make([][]float64, len(qs)), make([][]float64, len(qs))
	for range resamples {
		a, b := s.quantiles(base.draw(s, rng), qs, 1), s.quantiles(next.draw(s, rng), qs, 1)
		again := s.quantiles(base.draw(s, rng), qs, 1)
		for k := range qs {
			changes[k] = append(changes[k], b[k]-a[k])
			same[k] = append(same[k], math.Abs(again[k]-a[k]))
		}
	}
	few := fewBlocks(min(base.blocks(), next.blocks()))
	for k := range result {
		e := &result[k]
		wider := few * math.Sqrt(1+2*max(0, dependence(s, qs, k, base, next)))
		slices.Sort(changes[k])
		slices.Sort(same[k])
		e.low = e.change() + wider*min(0, percentile(changes[k], outside)-e.change())
		e.high = e.change() + wider*max(0, percentile(changes[k], 1-outside)-e.change())
		e.floor, e.floorOf = wider*percentile(same[k], confidence), FloorWithin
	}
}

// between widens the intervals to what the runs of each side differ by, when
// there are enough of them, by Welch's t-interval on the logarithms.
func between(result []estimate, s scale, base, next pool, qs []float64) {
	a, b := base.each(s, qs), next.each(s, qs)
	for k := range result {
		e := &result[k]
		for _, runs := range [][][]float64{a, b} {
			if spread := extent(runs, k); len(runs) > 1 && (spread > e.floor || math.IsNaN(e.floor)) {
				e.floor, e.floorOf = spread, FloorBetween
			}
		}
		if min(len(base), len(next)) < strongRuns {
			continue
		}
		half := welch(column(a, k), column(b, k))
		e.low, e.high = math.Min(e.low, e.change()-half), math.Max(e.high, e.change()+half)
	}
}

// each returns the quantiles of every run by itself.
func (p pool) each(s scale, qs []float64) [][]float64 {
	var all [][]float64
	for _, run := range p {
		all = append(all, s.quantiles(pool{run}.total(s), qs, 1))
	}
	return all
}

func column(rows [][]float64, k int) []float64 {
	var values []float64
	for _, row := range rows {
		values = append(values, row[k])
	}
	return values
}

func extent(rows [][]float64, k int) float64 {
	values := column(rows, k)
	if slices.ContainsFunc(values, math.IsNaN) {
		return math.NaN()
	}
	return slices.Max(values) - slices.Min(values)
}

// welch returns half the width of the interval for the difference of two means.
func welch(a, b []float64) float64 {
	va, vb := variance(a)/float64(len(a)), variance(b)/float64(len(b))
	if va+vb == 0 {
		return 0
	}
	freedom := (va + vb) * (va + vb) / (va*va/float64(len(a)-1) + vb*vb/float64(len(b)-1))
	return student(freedom) * math.Sqrt(va+vb)
}

func variance(values []float64) float64 {
	var mean, sum float64
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return sum / float64(len(values)-1)
}

// fewBlocks is how much wider an interval has to be because its spread comes
// from few blocks: drawing from n blocks shows too little of it, by n/(n-1),
// and what it shows is uncertain itself, as Student's t says.
func fewBlocks(n int) float64 {
	return student(float64(n-1)) / normal * math.Sqrt(float64(n)/float64(n-1))
}

// dependence is how much a block tells of the next one: the correlation of one
// quantile of neighbouring blocks. Drawing blocks apart from each other leaves
// it out of the spread.
func dependence(s scale, qs []float64, k int, pools ...pool) float64 {
	var together, alone, blocks float64
	for _, p := range pools {
		for _, run := range p {
			values := run.ofBlocks(s, qs[k])
			mean := 0.0
			for _, v := range values {
				mean += v / float64(len(values))
			}
			for i, v := range values {
				alone += (v - mean) * (v - mean)
				if i > 0 {
					together += (v - mean) * (values[i-1] - mean)
				}
			}
			blocks += float64(len(values))
		}
	}
	if alone == 0 {
		return 0
	}
	// Around their own mean few values seem to be opposed to each other.
	return together/alone + float64(len(pools))/blocks
}

// normal is the percentile at 1-outside of the normal distribution; studentTable
// those of Student's t for 1 to 20 degrees of freedom.
const normal = 2.394

var studentTable = [...]float64{
	38.188, 7.649, 4.857, 3.961, 3.534, 3.287, 3.128, 3.016, 2.933, 2.870,
	2.820, 2.779, 2.746, 2.718, 2.694, 2.673, 2.655, 2.639, 2.625, 2.613,
}

// student returns the percentile at 1-outside of Student's t.
func student(freedom float64) float64 {
	if freedom >= float64(len(studentTable)) {
		return normal + 4.38/freedom // meets the table, and is off by less than 0.01 beyond
	}
	low := max(int(freedom), 1)
	from := studentTable[low-1]
	return from + (studentTable[low]-from)*max(0, freedom-float64(low))
}

// percentile is of sorted values.
func percentile(sorted []float64, q float64) float64 {
	i := int(math.Round(q * float64(len(sorted)-1)))
	return sorted[i]
}
