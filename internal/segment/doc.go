// Package segment keeps one partition on disk: segment files of record batches
// with a sparse index, and the most recent batches in memory. It owns what is
// at which offset: the files, the vector of leader epochs, truncation,
// retention, and the lookup by offset, epoch and time. It does not know who
// leads or which offsets are committed, and it never makes anything durable by
// itself: until a checkpoint, the write-ahead log is where the truth is.
//
// # Files and the checkpoint
//
// Appends go to memory. Flush writes them to segment files without a sync, and
// Sync makes them durable up to a [Mark], which a [Checkpoint] then records for
// the whole broker. Open goes back to exactly that mark; what the files hold
// behind it was never synced, is not trusted, and comes again from the
// write-ahead log. For this to work
//
//	S1  bytes below the last mark are never changed or removed: a truncation
//	    starts a new generation of files, and what it cut off is deleted after
//	    a checkpoint that no longer needs it (Committed);
//	S2  a mark names the generation, so files of a later one are left over from
//	    before a crash and are removed by Open;
//	S3  a mark carries the epoch vector, so it cannot disagree with the data.
package segment
