package bench

import (
	"math"
	"testing"
	"time"
)

// arrivals takes every arrival of s before end.
func arrivals(s *Schedule, end time.Duration) []time.Duration {
	var all []time.Duration
	for s.Peek() < end {
		all = append(all, s.Peek())
		s.Advance()
	}
	return all
}

func TestUniformArrivalsAreEvenAndDoNotDrift(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		rate  float64
		phase float64
		end   time.Duration
		want  int
		first time.Duration
	}{
		{name: "1,000 a second for a second", rate: 1000, end: time.Second, want: 1000},
		{name: "a rate that does not divide a second", rate: 3, end: 10 * time.Second, want: 30},
		{name: "less than one a second", rate: 0.5, end: 10 * time.Second, want: 5},
		{name: "an hour of 1,000 a second", rate: 1000, end: time.Hour, want: 3_600_000},
		{name: "half a gap later", rate: 1000, phase: 0.5, end: time.Second, want: 1000, first: 500 * time.Microsecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := arrivals(NewSchedule(Uniform, tt.rate, tt.phase, 1), tt.end)
			if len(got) != tt.want {
				t.Fatalf("got %d arrivals before %s, want %d", len(got), tt.end, tt.want)
			}
			if got[0] != tt.first {
				t.Errorf("the first arrival is at %s, want %s", got[0], tt.first)
			}
			gap := float64(time.Second) / tt.rate
			last := float64(len(got)-1)*gap + float64(tt.first)
			if off := math.Abs(float64(got[len(got)-1]) - last); off > 1 {
				t.Errorf("the last arrival is off by %v ns", off)
			}
		})
	}
}

func TestProducersInterleave(t *testing.T) {
	t.Parallel()
	const rate, producers = 1000, 4
	seen := map[time.Duration]int{}
	for i := range producers {
		for _, at := range arrivals(NewSchedule(Uniform, rate/producers, float64(i)/producers, 1), time.Second) {
			seen[at]++
		}
	}
	for at := time.Duration(0); at < time.Second; at += time.Second / rate {
		if seen[at] != 1 {
			t.Fatalf("%d arrivals at %s, want 1", seen[at], at)
		}
	}
}

func TestPoissonGapsAreExponential(t *testing.T) {
	t.Parallel()
	const rate, seconds, seed = 2000, 50, 7
	got := arrivals(NewSchedule(Poisson, rate, 0, seed), seconds*time.Second)
	mean := float64(len(got)) / seconds
	if math.Abs(mean-rate) > 0.02*rate {
		t.Errorf("seed %d: %v arrivals a second, want about %d", seed, mean, rate)
	}
	var sum, squares, last float64
	for _, at := range got {
		gap := float64(at) - last
		sum, squares, last = sum+gap, squares+gap*gap, float64(at)
	}
	n := float64(len(got))
	deviation := math.Sqrt(squares/n - (sum/n)*(sum/n))
	// Of an exponential distribution, the deviation is the mean.
	if ratio := deviation / (sum / n); math.Abs(ratio-1) > 0.03 {
		t.Errorf("seed %d: deviation is %v of the mean gap, want 1", seed, ratio)
	}
}

func TestPoissonRepeatsWithItsSeed(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) time.Duration {
		all := arrivals(NewSchedule(Poisson, 100, 0, seed), time.Minute)
		return all[len(all)-1]
	}
	if a, b := draw(3), draw(3); a != b {
		t.Errorf("seed 3 gave %s, then %s", a, b)
	}
	if a, b := draw(3), draw(4); a == b {
		t.Errorf("seeds 3 and 4 both gave %s", a)
	}
}
