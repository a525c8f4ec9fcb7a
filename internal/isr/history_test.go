package isr

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestHistoryLookup adds a log's ends at a steady and at a random pace, and asks
// for positions of every age: the answer may be early by a third of the age and
// is never late.
func TestHistoryLookup(t *testing.T) {
	t.Parallel()
	const lagTimeMax = 10 * time.Second
	for _, tt := range []struct {
		name string
		pace func(*rand.Rand) time.Duration
	}{
		{"100 a second", func(*rand.Rand) time.Duration { return 10 * time.Millisecond }},
		{"20,000 a second", func(*rand.Rand) time.Duration { return 50 * time.Microsecond }},
		{"one every 3 seconds", func(*rand.Rand) time.Duration { return 3 * time.Second }},
		{"bursts", func(r *rand.Rand) time.Duration {
			return time.Duration(math.Pow(10, 3+6*r.Float64())) // 1 µs to 1 s
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const seed = 7
			r := rand.New(rand.NewPCG(seed, 0))
			h := newHistory(lagTimeMax)
			var untils []time.Duration // of every end, from 0 on
			now := time.Duration(0)
			for end := int64(0); now < 60*time.Second && end < 200_000; end++ {
				now += tt.pace(r)
				h.add(end, now)
				untils = append(untils, now)
			}
			for position, until := range untils {
				age := now - until
				if age > lagTimeMax {
					continue
				}
				got, ok := h.lookup(int64(position))
				// Samples lie a quarter of their age apart, and the pace itself
				// may be slower than that.
				slack := age/3 + 3*time.Second
				if tt.name != "one every 3 seconds" {
					slack = age/3 + 10*time.Millisecond
				}
				if !ok || got > until || until-got > slack {
					t.Fatalf("seed %d: position %d, whole log until %s ago: found %t, %s ago", seed, position, age, ok, now-got)
				}
			}
		})
	}
}

func TestHistoryKnowsNothingAtFirst(t *testing.T) {
	t.Parallel()
	h := newHistory(time.Second)
	if _, ok := h.lookup(5); ok {
		t.Error("an empty history has an answer")
	}
	h.add(10, 3)
	if _, ok := h.lookup(9); ok {
		t.Error("a position below every sample has an answer")
	}
	if at, ok := h.lookup(10); !ok || at != 3 {
		t.Errorf("position of the sample: %d, %t", at, ok)
	}
}
