//go:build race

package harness

// raceFlags build the brokers like the tests: under the race detector.
var raceFlags = []string{"-race"}
