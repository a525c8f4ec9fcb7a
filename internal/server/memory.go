package server

import (
	"math"
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow further between collections than Go's default:
// most of it is the tail of recent batches, which collections only walk past.
const gcPercent = 400

// limitMemory tells the collector about the memory budget. Buffers that the
// budget does not count, stacks and the runtime take as much again. Whoever set
// GOGC or GOMEMLIMIT knows better.
func limitMemory(budget int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" && budget < math.MaxInt64/2 {
		debug.SetMemoryLimit(2 * budget)
	}
}
