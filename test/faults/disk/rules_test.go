package disk

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRuleMatches(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rule Rule
		op   Op
		name string
		want bool
	}{
		{Rule{}, OpRead, "a", true},
		{Rule{Op: OpWrite}, OpRead, "a", false},
		{Rule{Op: OpChange}, OpRead, "a", false},
		{Rule{Op: OpChange}, OpSyncDir, ".", true},
		{Rule{Path: "wal"}, OpWrite, "wal/0000000001.wal", true},
		{Rule{Path: "wal"}, OpSyncDir, "wal", true},
		{Rule{Path: "wal"}, OpWrite, "raft/log/state", false},
		{Rule{Path: "*.log"}, OpWrite, "topics/x/0/1-1.log", true},
		{Rule{Path: "topics/*/3"}, OpWrite, "topics/x/3/1-1.log", true},
		{Rule{Path: "topics/*/3"}, OpWrite, "topics/x/4/1-1.log", false},
		{Rule{Path: "checkpoint*"}, OpRename, "checkpoint", true},
	} {
		if got := tc.rule.matches(tc.op, tc.name); got != tc.want {
			t.Errorf("%+v matches %s of %s: %v", tc.rule, tc.op, tc.name, got)
		}
	}
}

func TestRuleOrder(t *testing.T) {
	t.Parallel()
	var r rules
	must := func(i *Injection, err error) *Injection {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	counts := must(r.inject(Rule{Op: OpWrite}))
	nth := must(r.inject(Rule{Op: OpWrite, Skip: 2, Times: 2, Keep: 1}))
	rest := must(r.inject(Rule{Keep: 1}))
	var hit []*Injection
	for range 6 {
		hit = append(hit, r.match(OpWrite, "f"))
	}
	if want := []*Injection{rest, rest, nth, nth, rest, rest}; !slices.Equal(hit, want) {
		t.Errorf("hit by %v", hit)
	}
	if counts.Hits() != 6 || nth.Hits() != 2 || rest.Hits() != 4 || r.count(OpChange) != 6 {
		t.Errorf("hits %d, %d, %d; %d changes", counts.Hits(), nth.Hits(), rest.Hits(), r.count(OpChange))
	}
	rest.Remove()
	select {
	case <-rest.removed:
	default:
		t.Error("removed, and what hangs is not released")
	}
	if i := r.match(OpWrite, "f"); i != nil {
		t.Errorf("hit by a removed rule: %+v", i.rule)
	}
	if _, err := r.inject(Rule{Path: "["}); err == nil {
		t.Error("took a malformed pattern")
	}
}

// TestExtents compares with a bit for each byte.
func TestExtents(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var e extents
		var bits [64]bool
		for range 20 {
			start := rng.Int64N(60)
			end := start + rng.Int64N(64-start)
			if rng.IntN(5) == 0 {
				e = e.cut(start)
				clear(bits[start:])
				continue
			}
			e = e.add(start, end)
			for i := start; i < end; i++ {
				bits[i] = true
			}
		}
		var want extents
		for i := range int64(64) {
			switch {
			case !bits[i]:
			case i > 0 && bits[i-1]:
				want[len(want)-1].end++
			default:
				want = append(want, extent{start: i, end: i + 1})
			}
		}
		if !slices.Equal(e, want) {
			t.Fatalf("seed %d: %v, want %v", seed, e, want)
		}
	}
}
