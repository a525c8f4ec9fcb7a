// Package faults holds the tests of whole clusters under faults: real brokers,
// on hosts and disks that the tests make and break. They need Linux and root,
// and the build tag faults; docs/testing.md says how to run one.
package faults
