// Package trace keeps what a broker remembers of single produced batches: when
// each was received, appended, synced here and by each follower, committed and
// answered. All times are on the broker's own monotonic clock, so that no
// clocks have to agree; what a follower says of itself are durations.
//
// A [Batch] travels with the acknowledgement that it belongs to and is filled
// in under the locks that the produce path takes anyway. A [Ring] keeps the
// newest of them for whoever asks. The shape that HTTP serves is in report.go.
package trace
