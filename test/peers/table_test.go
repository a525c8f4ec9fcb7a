//go:build peers

package peers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// row is one comparison: what was measured of each, in the order of the turns,
// and the ratio of chronik to the other.
type row struct {
	Name  string    `json:"name"`
	Unit  string    `json:"unit"`
	Ours  string    `json:"ours"`
	Their string    `json:"theirs"`
	A     []float64 `json:"ours_all"`
	B     []float64 `json:"theirs_all"`
	// Ratio is the median of ours over the median of theirs, with the bounds of
	// its 95% interval by bootstrap over the turns.
	Ratio    float64 `json:"ratio"`
	RatioLow float64 `json:"ratio_low"`
	RatioTop float64 `json:"ratio_high"`
	// Target is what the ratio should be: at most this, or at least if Least.
	Target float64 `json:"target"`
	Least  bool    `json:"target_is_least"`
	Met    bool    `json:"met"`
	Notes  string  `json:"notes,omitempty"`
}

// rows collects all of a run.
var rows struct {
	sync.Mutex
	all []row
}

// target is a bound on a ratio.
type target struct {
	ratio float64
	least bool
}

func atMost(ratio float64) target  { return target{ratio: ratio} }
func atLeast(ratio float64) target { return target{ratio: ratio, least: true} }

// compare computes and keeps a row. A ratio meets its target if the whole of its
// interval does.
func compare(t *testing.T, r row, want target) {
	t.Helper()
	if len(r.A) == 0 || len(r.B) == 0 {
		t.Errorf("%s: %d and %d measurements", r.Name, len(r.A), len(r.B))
		return
	}
	r.Ratio = median(r.A) / median(r.B)
	r.RatioLow, r.RatioTop = interval(r.A, r.B)
	r.Target, r.Least = want.ratio, want.least
	if r.Met = r.RatioTop <= want.ratio; want.least {
		r.Met = r.RatioLow >= want.ratio
	}
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
	rows.Lock()
	defer rows.Unlock()
	rows.all = append(rows.all, r)
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[n/2] + sorted[(n-1)/2]) / 2
}

// interval is the 95% interval of the ratio of medians.
func interval(a, b []float64) (low, high float64) {
	random := rand.New(rand.NewPCG(1, 2)) // the same interval from the same figures
	draw := func(from []float64) float64 {
		sample := make([]float64, len(from))
		for i := range sample {
			sample[i] = from[random.IntN(len(from))]
		}
		return median(sample)
	}
	ratios := make([]float64, 2000)
	for i := range ratios {
		ratios[i] = draw(a) / draw(b)
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/40], ratios[len(ratios)-1-len(ratios)/40]
}

// markdown writes the table of all rows, if a file was asked for.
func markdown(path string) error {
	rows.Lock()
	defer rows.Unlock()
	if path == "" || len(rows.all) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("| what | chronik | the other | ratio (95 %) | target | met |\n|---|---|---|---|---|---|\n")
	for _, r := range rows.all {
		bound, met := "≤", "no"
		if r.Least {
			bound = "≥"
		}
		if r.Met {
			met = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s: %s %s | %s: %s %s | %.2f (%.2f-%.2f) | %s %.2f | %s |\n",
			r.Name, r.Ours, spread(r.A), r.Unit, r.Their, spread(r.B), r.Unit, r.Ratio, r.RatioLow, r.RatioTop, bound, r.Target, met)
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}

// spread is the median, and the least and greatest in brackets.
func spread(all []float64) string {
	return fmt.Sprintf("%.3g [%.3g-%.3g]", median(all), slices.Min(all), slices.Max(all))
}
