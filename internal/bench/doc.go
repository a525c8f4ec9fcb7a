// Package bench measures Kafka-compatible clusters and does not let itself be
// fooled: a Config goes in, Run drives load until it is done or cancelled, and
// a Report comes out. It parses no flags and prints nothing.
//
// The parts, each in files of its own:
//
//   - A Schedule says when records are due, whatever the cluster does (open
//     loop), and the pacer wakes at those times. Response time counts from the
//     time a record was due, so a stalled broker cannot slow the load down and
//     hide its stall (coordinated omission). How late the pacer itself was is
//     recorded too, and a run in which that matters is marked invalid.
//   - A lane is one acks setting under test. Lanes take turns in short blocks
//     on one topic, so that drift of the machine hits all of them alike.
//   - A producer stamps each record with run, producer, sequence and checksum,
//     and a ledger remembers what became of it.
//   - A recorder keeps times in HDR histograms of nanoseconds, which are
//     merged, never averaged.
//   - The verifier reads everything back and holds it against the ledgers:
//     what was acked must be there, once, in order, where the ack said, intact.
//   - The environment says what was measured on what; unknown is nil.
package bench
