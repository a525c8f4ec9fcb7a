package server

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow further between collections than Go's default:
// most of it is the tail of recent batches, which collections only walk past.
const gcPercent = 400

// limitMemory makes the collector work harder before the heap outgrows the
// memory budget. Whoever set GOGC or GOMEMLIMIT knows better.
func limitMemory(budget int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(budget)
	}
}
