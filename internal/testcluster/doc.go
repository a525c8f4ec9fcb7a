// Package testcluster runs whole brokers in one process for tests: the parts
// that package server composes in production, on disks in memory that lose
// power and on a network whose links are cut, healed and slowed. Nothing of a
// broker is replaced but the disk and the network, and nothing waits for the
// real clock, so that a test may run in a testing/synctest bubble, where an
// hour of faults takes seconds.
//
// A [History] holds what clients saw, and says which promises it breaks.
//
// It knows nothing of what is inside a broker. The metadata log alone is on the
// operating system's file system, and keeps what it wrote in a power loss.
package testcluster
