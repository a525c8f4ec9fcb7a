//go:build faults && linux

package powercut

import (
	"fmt"
	"slices"
	"testing"
)

// ledger is what the parent knows of one topic: what was acknowledged to it.
type ledger struct {
	partitions [partitions][]claim
}

// claim says that a life's records are at [first, end) for good.
type claim struct {
	life       uint64
	first, end int64
}

// run is a row of records that one life wrote, as the next one found them.
type run claim

// found compares what a process found with what was acknowledged before. It
// returns how many acknowledged records are lost, and everything that must not
// be.
func (l *ledger) found(runs [partitions][]run) (lost int64, violations []string) {
	for p, found := range runs {
		end := int64(0)
		for _, r := range found {
			if r.first != end {
				violations = append(violations, fmt.Sprintf("partition %d: records from %d on, expected %d", p, r.first, end))
			}
			end = r.end
		}
		if !slices.IsSortedFunc(found, func(a, b run) int { return int(a.life) - int(b.life) }) {
			violations = append(violations, fmt.Sprintf("partition %d: a record of an earlier life comes back: %v", p, found))
		}
		for i, c := range l.partitions[p] {
			missing := c.end - c.first
			for _, r := range found {
				if r.life == c.life {
					missing -= max(0, min(r.end, c.end)-max(r.first, c.first))
				}
			}
			if missing > 0 {
				lost += missing
				violations = append(violations, fmt.Sprintf("partition %d: %d records of life %d are lost, acknowledged were [%d, %d), found is %v",
					p, missing, c.life, c.first, c.end, found))
				l.partitions[p][i].end = c.first // reported once
			}
		}
	}
	return lost, violations
}

// ends are where the found records end, which is where a life goes on.
func ends(runs [partitions][]run) (at [partitions]int64) {
	for p, found := range runs {
		if len(found) > 0 {
			at[p] = found[len(found)-1].end
		}
	}
	return at
}

// acknowledge notes what a life was told, and returns how many records that is.
func (l *ledger) acknowledge(life uint64, from, acked [partitions]int64) (records int64) {
	for p := range partitions {
		if acked[p] > from[p] {
			l.partitions[p] = append(l.partitions[p], claim{life: life, first: from[p], end: acked[p]})
			records += acked[p] - from[p]
		}
	}
	return records
}

func TestLedger(t *testing.T) {
	for name, tc := range map[string]struct {
		found []run
		lost  int64
		wrong int
	}{
		"all":                  {[]run{{1, 0, 12}, {3, 12, 20}}, 0, 0},
		"more than was acked":  {[]run{{1, 0, 12}, {3, 12, 25}}, 0, 0},
		"the end is lost":      {[]run{{1, 0, 12}, {3, 12, 17}}, 3, 1},
		"one life is lost":     {[]run{{1, 0, 12}}, 8, 1},
		"overwritten":          {[]run{{1, 0, 8}, {3, 8, 20}}, 2, 1},
		"a gap":                {[]run{{1, 0, 12}, {3, 13, 20}}, 1, 2},
		"an older life behind": {[]run{{1, 0, 12}, {3, 12, 20}, {2, 20, 21}}, 0, 1},
		"nothing":              {nil, 18, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var l ledger
			// Life 1 wrote two more records than it was told of, life 2 none that stayed.
			if n := l.acknowledge(1, [partitions]int64{}, [partitions]int64{1: 10}); n != 10 {
				t.Fatalf("acknowledged %d records", n)
			}
			l.acknowledge(3, [partitions]int64{1: 12}, [partitions]int64{1: 20})
			lost, violations := l.found([partitions][]run{1: tc.found})
			if lost != tc.lost || len(violations) != tc.wrong {
				t.Errorf("%d lost, %q; want %d and %d violations", lost, violations, tc.lost, tc.wrong)
			}
		})
	}
}
