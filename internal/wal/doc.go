// Package wal is the broker's write-ahead log: one log on disk for the frames
// of all partitions, so that one fdatasync per round makes everything durable
// that was appended while the previous one ran. It owns the files, their
// format, the rounds and the recovery. It knows nothing of what a frame means
// to its partition, nor of the segment files that are written after it.
//
// A log is used in this order:
//
//	Open ─► Replay (once) ─► Run in a goroutine of the caller
//	                          ├─ Append   memory only, from any goroutine
//	                          └─ Release  after every checkpoint
//
// The rules that it keeps, and that its tests break on purpose:
//
//	W1  A Notifier hears of bytes only after they are on disk (or written, for
//	    an Async entry), and hears nothing more after the first failure.
//	W2  A failed write or sync is never tried again: the log has failed for
//	    the life of the process.
//	W3  Replay delivers every frame that a Notifier was told is on disk, in the
//	    order of their appends, and nothing that was not appended.
//	W4  A bad frame is a torn tail only if no frame behind it proves that it
//	    was on disk once; otherwise it is corruption and nothing is cut.
//	W5  A frame of an earlier use of a recycled file is never read as new.
package wal
