package wal

import (
	"encoding/binary"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
)

// LSN is a position in the log: the number of bytes of frames before it. It is
// a multiple of eight and never reused, whatever happens to the files.
type LSN int64

// Kind says what a frame does to its partition.
type Kind uint8

// The kinds of frames. The numbers are part of the format.
const (
	// KindAppend appends the payload: whole record batches.
	KindAppend Kind = 1
	// KindTruncate cuts the partition's log; the payload is its new end.
	KindTruncate Kind = 2
	// KindReset empties the partition's log; the payload is its new start.
	KindReset Kind = 3
	// KindDelete removes the partition from this broker; it has no payload.
	KindDelete Kind = 4
)

// Frame is one entry of the log as [Log.Replay] delivers it.
type Frame struct {
	// LSN is where the frame starts, End where the next one does.
	LSN, End LSN
	// Kind says what to do.
	Kind Kind
	// TP is the partition to do it to.
	TP cluster.TopicPartition
	// Payload belongs to the receiver.
	Payload []byte
}

// Notifier hears that entries have reached the disk.
type Notifier interface {
	// Synced says that the entries of a generation are on disk up to end, or
	// written, if they were Async. It is called by the goroutine of [Log.Run]
	// with no lock held, at most once per generation and round, and must not
	// block.
	Synced(generation uint64, end int64)
}

// Entry is one frame to append.
type Entry struct {
	// Kind and TP say what the frame does, and to which partition.
	Kind Kind
	TP   cluster.TopicPartition
	// Payload is copied.
	Payload []byte
	// Async entries are reported once they are written, and synced in the
	// background.
	Async bool
	// Notify, if not nil, is called with Generation and End after the round
	// that wrote the entry. Entries of one notifier and generation are folded
	// into one call with the largest End.
	Notify     Notifier
	Generation uint64
	End        int64
}

// offsetBytes is the size of the payload of KindTruncate and KindReset.
const offsetBytes = 8

// EncodeOffset makes the payload of KindTruncate and KindReset.
func EncodeOffset(offset int64) []byte {
	return binary.LittleEndian.AppendUint64(nil, uint64(offset))
}

// DecodeOffset reads the payload of KindTruncate and KindReset.
func DecodeOffset(payload []byte) (int64, error) {
	if len(payload) != offsetBytes {
		return 0, fmt.Errorf("offset of %d bytes, want %d: %w", len(payload), offsetBytes, ErrCorrupt)
	}
	return int64(binary.LittleEndian.Uint64(payload)), nil
}
