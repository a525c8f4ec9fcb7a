//go:build race

package meta

// The race detector has nothing to find in one goroutine and takes its time: one
// operation of several shows that the tests work under it.
const storeStride = 16
