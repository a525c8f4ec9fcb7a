package segment

import (
	"errors"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

var errStub = errors.New("not written yet")

// Options configures a [Log]. Zero means the default.
type Options struct {
	// FS holds the files. It is required.
	FS vfs.FS
	// Dir is the partition's directory. It is created with the first Flush.
	Dir string
	// Mark is what the last checkpoint says of the partition. The zero Mark is
	// an empty log that starts at offset zero.
	Mark Mark
	// SegmentBytes is the size at which the active segment is sealed. The
	// batch that crosses the limit still goes into the old segment.
	//
	// The default is 128 MiB.
	SegmentBytes int64
	// IndexIntervalBytes is how much log lies between two index entries.
	//
	// The default is 4096.
	IndexIntervalBytes int
	// Logger receives state changes; nil discards them.
	Logger *slog.Logger
}

// EpochStart is an entry of the epoch vector: the offset at which a leader
// epoch starts.
type EpochStart struct {
	Epoch cluster.Epoch
	Start int64
}

// Mark is the state of one partition that a checkpoint has made durable.
type Mark struct {
	// LSN is the position in the write-ahead log that the mark was taken at:
	// frames of this partition below it are part of the mark, others are not.
	LSN int64
	// Start and End are the offsets that the log spans.
	Start, End int64
	// HighWatermark is for the caller, who sets it.
	HighWatermark int64
	// Generation names the files that hold it.
	Generation uint32
	// Epochs is the epoch vector.
	Epochs []EpochStart
}

// Checkpoint is what the broker's checkpoint file holds.
type Checkpoint struct {
	// LSN is where replay of the write-ahead log starts: the smallest LSN of
	// the marks, or any position passed by all partitions without a mark.
	LSN int64
	// Partitions are the marks.
	Partitions map[cluster.TopicPartition]Mark
}

// WriteCheckpoint replaces the checkpoint file in dir. The write-ahead log must
// be durable up to the LSN of every mark before.
func WriteCheckpoint(fsys vfs.FS, dir string, c Checkpoint) error { return errStub }

// ReadCheckpoint reads the checkpoint file in dir. If there is none the error
// wraps [io/fs.ErrNotExist]; if it is damaged, [ErrCorrupt].
func ReadCheckpoint(fsys vfs.FS, dir string) (Checkpoint, error) { return Checkpoint{}, errStub }

// Log is one partition's log. Its methods are safe for concurrent use, with one
// rule: Append, TruncateTo, ResetTo, AdvanceStart, AssignEpoch and Mark are
// called by one goroutine at a time, as the partition's mutex has it anyway.
type Log struct{}

// Open opens a partition's log as of Options.Mark. Anything behind the mark is
// removed. ErrCorrupt: the files do not reach the mark.
func Open(o Options) (*Log, error) { return nil, errStub }

// Append adds one or more whole, stamped batches. It touches memory only, and
// keeps b: the caller must not change it any more.
//
// Errors: ErrGap, ErrEpochOrder, and those of record.Next.
func (l *Log) Append(b []byte) error { return errStub }

// StartOffset is the first offset of the log.
func (l *Log) StartOffset() int64 { return 0 }

// EndOffset is the offset that the next record gets.
func (l *Log) EndOffset() int64 { return 0 }

// Last tells the epoch and the CRC of the last batch; ok is false if the log
// has never held one.
func (l *Log) Last() (epoch cluster.Epoch, crc uint32, ok bool) { return 0, 0, false }

// Preceding is Last for the batch that ends at offset; ok is false if the log
// does not hold it.
func (l *Log) Preceding(offset int64) (epoch cluster.Epoch, crc uint32, ok bool, err error) {
	return 0, 0, false, errStub
}

// Read returns whole batches, from the one that holds offset up to those that
// end at limit at most, of maxBytes in all; with minOne the first one may
// exceed maxBytes. It returns nothing at the end of the log and at limit. Recent
// batches come from memory, older ones with one read of a file, and a call does
// not go beyond the end of a file. The bytes are shared: do not change them.
func (l *Log) Read(offset int64, maxBytes int, limit int64, minOne bool) ([][]byte, error) {
	return nil, errStub
}

// Epochs returns a copy of the epoch vector.
func (l *Log) Epochs() []EpochStart { return nil }

// EpochAt is the leader epoch that the record at offset was written in.
func (l *Log) EpochAt(offset int64) (cluster.Epoch, bool) { return 0, false }

// EndOffsetForEpoch returns the largest epoch not above e and where it ends
// (K6). If e is older than the whole vector it returns e and the start of the
// first known epoch (K7); for an empty vector, NoEpoch and the start of the log.
func (l *Log) EndOffsetForEpoch(e cluster.Epoch) (epoch cluster.Epoch, end int64) { return 0, 0 }

// AssignEpoch starts a leader epoch at an offset, even if no record follows
// (K4).
func (l *Log) AssignEpoch(e cluster.Epoch, start int64) error { return errStub }

// TruncateTo cuts the log so that it ends at offset, or at the start of the
// batch that holds offset. Files are left as they are until a checkpoint.
func (l *Log) TruncateTo(offset int64) error { return errStub }

// ResetTo empties the log and lets it start at an offset.
func (l *Log) ResetTo(start int64) error { return errStub }

// AdvanceStart moves the start of the log up to offset, at most to its end.
func (l *Log) AdvanceStart(offset int64) {}

// Flush writes the batches that are only in memory to segment files, without
// making them durable.
func (l *Log) Flush() error { return errStub }

// Mark describes the log as it is now, for a checkpoint. It belongs to the
// position lsn of the write-ahead log, so the caller holds the lock that it
// appends to both under.
func (l *Log) Mark(lsn int64) Mark { return Mark{} }

// Dirty reports whether Sync would have anything to do for a mark taken now.
func (l *Log) Dirty() bool { return false }

// Sync makes everything up to a mark durable: it flushes and syncs the files
// and directories. ErrStaleMark: take another one.
func (l *Log) Sync(m Mark) error { return errStub }

// Committed says that a checkpoint with this mark is on disk. It deletes the
// files that only older marks needed.
func (l *Log) Committed(m Mark) error { return errStub }

// Unflushed counts the bytes that are only in memory.
func (l *Log) Unflushed() int64 { return 0 }

// TailBytes counts the bytes held in memory.
func (l *Log) TailBytes() int64 { return 0 }

// TrimTail lets go of flushed batches until at most keepBytes are in memory.
func (l *Log) TrimTail(keepBytes int64) {}

// Retention says what to keep.
type Retention struct {
	// Time is the age at which segments are deleted; zero or less keeps all.
	Time time.Duration
	// Bytes is the size that the log is cut down to; zero or less keeps all.
	Bytes int64
	// Limit refuses to delete more than so many segments by age in one call,
	// for use when the wall clock cannot be trusted; zero is no limit.
	Limit int
}

// Retain moves the start of the log past whole segments that the retention
// does not keep and that end at below or before. The files go with the next
// checkpoint. It returns how many segments were dropped.
func (l *Log) Retain(now time.Time, keep Retention, below int64) (deleted int, err error) {
	return 0, errStub
}

// TimestampOffset is a record found by time.
type TimestampOffset struct {
	Offset          int64
	TimestampMillis int64
	Epoch           cluster.Epoch
}

// OffsetForTimestamp finds the first record below limit whose timestamp is at
// least millis. In a compressed batch it settles for the first record.
func (l *Log) OffsetForTimestamp(millis, limit int64) (TimestampOffset, bool, error) {
	return TimestampOffset{}, false, errStub
}

// MaxTimestamp finds the first record below limit with the largest timestamp.
func (l *Log) MaxTimestamp(limit int64) (TimestampOffset, bool, error) {
	return TimestampOffset{}, false, errStub
}

// SizeBytes is the size of the log, in files and in memory.
func (l *Log) SizeBytes() int64 { return 0 }

// BytesBetween estimates the size of a range of offsets, without IO.
func (l *Log) BytesBetween(from, to int64) int64 { return 0 }

// Info describes a segment.
type Info struct {
	// Base and End are the offsets it spans.
	Base, End int64
	// Bytes is its size.
	Bytes int64
	// MaxTimestampMillis is the largest timestamp in it, -1 if there is none.
	MaxTimestampMillis int64
}

// Segments describes the segment files, oldest first.
func (l *Log) Segments() []Info { return nil }

// Close closes the files. What was not flushed is in the write-ahead log.
func (l *Log) Close() error { return errStub }

// Delete closes the log and removes its directory.
func (l *Log) Delete() error { return errStub }
