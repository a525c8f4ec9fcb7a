//go:build !race

package harness

// raceFlags build the brokers like the tests: without the race detector.
var raceFlags []string
