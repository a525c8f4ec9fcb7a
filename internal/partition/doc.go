// Package partition is what a partition is on this broker: the table of local
// replicas, a replica's role in its current epoch, appends as leader and as
// follower, the acknowledgements that producers wait for, and reads. It ties
// one partition's log (segment), the broker's write-ahead log (wal), the
// in-sync state (isr) and the idempotence windows (producer) together under one
// mutex per replica. It never sees a socket and never waits for consensus:
// package replication calls down into it, and metadata reaches it as images.
package partition
