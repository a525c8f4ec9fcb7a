// Package history is the record of a run under faults: what every client sent,
// was answered and read, what the brokers said of themselves, what was done to
// them, and what each replica held in the end. It is pure: it knows no broker
// and no client library. Package check judges what it holds.
//
// A history takes tens of bytes per operation in memory, and JSON lines on
// disk, so that a run that failed can be checked again.
package history
