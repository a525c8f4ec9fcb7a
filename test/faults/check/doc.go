// Package check judges a history: which promise was broken, where, and whether
// the run proves anything at all. It is pure: the same history and replicas
// give the same report, whatever the machine.
//
// The classes of anomalies are those of Jepsen's checker for Kafka, as far as
// it has them. What cannot be told for certain from the history is not an
// anomaly: a report of one is a bug of the broker, or of the recorder.
//
// # Version order
//
// The offsets of a partition at which anyone ever saw or was acknowledged a
// record, in order and without the holes between them, are its dense index.
// Producers and consumers are judged by the index, so that control records and
// compaction, which leave holes, are no anomalies. A record below the log start
// that some broker named may be missing anywhere: retention took it.
package check
