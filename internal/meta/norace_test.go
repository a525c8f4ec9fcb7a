//go:build !race

package meta

// storeStride is from one operation that fails to the next one that does.
const storeStride = 1
