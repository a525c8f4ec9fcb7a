//go:build race

package sim

// The race detector has nothing to find in one goroutine and takes its time:
// a few schedules show that the tests work under it.
const (
	slowdown  = 20
	maxBudget = 2_000
)
