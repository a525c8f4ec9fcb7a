package host

import (
	"slices"
	"strings"
	"testing"
)

// sees returns whom each host can still exchange packets with, itself included.
func sees(d drop, hosts []int) map[int][]int {
	seen := map[int][]int{}
	for _, a := range hosts {
		for _, b := range hosts {
			if !slices.Contains(d, oneWay(a, b)) && !slices.Contains(d, oneWay(b, a)) {
				seen[a] = append(seen[a], b)
			}
		}
	}
	return seen
}

func TestRingLeavesEachHostAnotherMajority(t *testing.T) {
	t.Parallel()
	for size := 3; size <= 9; size++ {
		hosts := make([]int, size)
		for i := range hosts {
			hosts[i] = i + 1
		}
		views := map[string]bool{}
		for host, view := range sees(ring(hosts), hosts) {
			if len(view) < size/2+1 {
				t.Errorf("of %d, host %d sees %v: no majority", size, host, view)
			}
			views[asText(view)] = true
		}
		if size > 4 && len(views) != size {
			t.Errorf("%d hosts have %d views, want each its own", size, len(views))
		}
	}
}

func asText(view []int) string {
	var s strings.Builder
	for _, host := range view {
		s.WriteByte(byte('0' + host))
	}
	return s.String()
}

func TestPartitionKeepsGroupsTogether(t *testing.T) {
	t.Parallel()
	hosts := []int{1, 2, 3, 4, 5}
	seen := sees(partition([][]int{{1, 2}, {4, 5}}), hosts)
	for host, want := range map[int]string{1: "123", 2: "123", 3: "12345", 4: "345", 5: "345"} {
		if got := asText(seen[host]); got != want {
			t.Errorf("host %d sees %s, want %s: 3 is the bridge", host, got, want)
		}
	}
}

func TestRulesetReplacesAllRules(t *testing.T) {
	t.Parallel()
	text := ruleset(map[int]drop{2: {"second"}, 1: {"first"}})
	if !strings.HasPrefix(text, "add table bridge faults\ndelete table bridge faults\ntable bridge faults {") {
		t.Errorf("rules begin with %q", text[:60])
	}
	if strings.Index(text, "first") > strings.Index(text, "second") {
		t.Error("rules are not in the order in which faults were made")
	}
}
