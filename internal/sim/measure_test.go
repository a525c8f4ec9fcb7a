package sim

import (
	"flag"
	"fmt"
	"slices"
	"testing"
)

var (
	measureFlag = flag.Int("sim.measure", 0, "in how many ranges of seeds to measure how soon broken rules are found; for the budgets in the table of mutations")
	onlyFlag    = flag.String("sim.only", "", "with -sim.measure: only this rule")
)

// rangeLength keeps ranges of seeds apart.
const rangeLength = 10_000_000

// TestMeasure prints, if asked to, after how many schedules each broken rule is
// found in several ranges of seeds that have nothing in common.
func TestMeasure(t *testing.T) {
	for _, m := range mutations {
		if *measureFlag == 0 || *onlyFlag != "" && m.name != *onlyFlag {
			continue
		}
		var found []uint64
		for i := range uint64(*measureFlag) {
			var sum summary
			first := (i + 1) * rangeLength
			seed, failure := explore(m.rule, first, 1_000_000, &sum)
			if failure == nil {
				seed = first + 1_000_000
			}
			found = append(found, seed-first+1)
		}
		fmt.Printf("| %s | %d | %v |\n", m.name, slices.Max(found), found)
	}
}
