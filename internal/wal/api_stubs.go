package wal

import (
	"context"
	"errors"
	"time"
)

var errStub = errors.New("not written yet")

// Log is a write-ahead log. Its methods are safe for concurrent use.
type Log struct{}

// ReplayResult says what [Log.Replay] found at the end of the log.
type ReplayResult struct {
	// End is where the log ends and the next frame goes.
	End LSN
	// TornBytes is how much was cut behind End: frames of a round that power
	// loss interrupted, which nobody was told of.
	TornBytes int64
	// Corrupt says that frames from CorruptAt on were on disk once and cannot
	// be read any more. What was replayed up to there is sound, but every
	// partition may miss acknowledged records. The log can be appended to, far
	// behind the damage; until a checkpoint lies behind it too, each Replay
	// reports it again.
	Corrupt bool
	// CorruptAt is where the first such frame starts.
	CorruptAt LSN
}

// Open finds the files of a log. It writes nothing and starts nothing.
func Open(o Options) (*Log, error) { return nil, errStub }

// Replay calls fn with every frame from from on, which is a position that a
// checkpoint holds or zero, cuts a torn tail, and makes what it delivered
// durable. It must be called exactly once, before anything is appended. An
// error of fn ends it.
func (l *Log) Replay(from LSN, fn func(Frame) error) (ReplayResult, error) {
	return ReplayResult{}, errStub
}

// Append puts an entry into the round that is being gathered and returns where
// its frame ends. It copies the payload and touches memory only. It takes the
// room of a KindAppend from what [Log.Reserve] reserved, and fails with ErrFull
// only if that was not enough; other kinds are small and need no reservation.
//
// Errors: ErrFull, ErrTooLarge, ErrNoSpace (KindAppend only), ErrFailed,
// ErrClosed.
func (l *Log) Append(e Entry) (LSN, error) { return 0, errStub }

// Reserve waits for room for a payload of n bytes. Whoever reserved either
// appends a KindAppend of that size or calls [Log.Unreserve]. Reserve before
// taking locks that others need: this is where a slow disk pushes back.
//
// Errors: ErrTooLarge, ErrNoSpace, ErrFailed, ErrClosed, and that of ctx.
func (l *Log) Reserve(ctx context.Context, n int) error { return errStub }

// Unreserve gives back n reserved bytes that were not appended.
func (l *Log) Unreserve(n int) {}

// AfterRound registers fn, before Run, to be called each time a batch of
// notifications has been made: once per round, twice in one that mixes async
// and synced entries. It must not block.
func (l *Log) AfterRound(fn func()) {}

// Run writes and syncs rounds until ctx ends; then it writes what is left,
// syncs, closes the files and returns. It returns early, with an error that is
// ErrFailed, after the first write or sync that failed.
func (l *Log) Run(ctx context.Context) error { return errStub }

// WaitSynced waits until the log is durable up to lsn.
func (l *Log) WaitSynced(ctx context.Context, lsn LSN) error { return errStub }

// Durable is the position up to which the log is on disk.
func (l *Log) Durable() LSN { return 0 }

// End is the position at which the next frame goes.
func (l *Log) End() LSN { return 0 }

// Err is nil until the log has failed, and then wraps ErrFailed and the cause.
func (l *Log) Err() error { return nil }

// Failed is closed when the log fails.
func (l *Log) Failed() <-chan struct{} { return nil }

// Release lets the files go that lie wholly below upTo, which a checkpoint on
// disk must have passed. They are recycled in the background.
func (l *Log) Release(upTo LSN) error { return nil }

// Close closes the files of a log that is not run. After Run it does nothing.
func (l *Log) Close() error { return nil }

// Stats describes a log since it was opened; latencies are those of the last
// minute or so.
type Stats struct {
	// Rounds and Syncs count writes to disk and fdatasyncs in the foreground.
	Rounds, Syncs uint64
	// Entries and Bytes count what was written, frames with their headers.
	Entries, Bytes uint64
	// SyncP50, SyncP99 and SyncMax are latencies of fdatasync.
	SyncP50, SyncP99, SyncMax time.Duration
	// SyncInFlight is the age of the sync that is going on, zero if none is.
	SyncInFlight time.Duration
	// Buffered is the payload that is reserved or not yet written.
	Buffered int
	// Files are the log files in use, Ready those prepared to be used next.
	Files, Ready int
	// End and Durable are the positions.
	End, Durable LSN
	// NoSpace says that no further log file could be created.
	NoSpace bool
}

// Stats returns a snapshot.
func (l *Log) Stats() Stats { return Stats{} }
