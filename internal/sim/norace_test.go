//go:build !race

package sim

// slowdown divides the number of schedules, maxBudget bounds that of a mutation.
const (
	slowdown  = 1
	maxBudget = 1_000_000
)
