package wal

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

// Options configures a [Log]. Zero means the default.
type Options struct {
	// FS holds the files. It is required.
	FS vfs.FS
	// Dir is the directory of the log; it is created if it does not exist.
	Dir string
	// FileBytes is the size of a log file. Files are written full of zeros
	// before they are used, because syncing an overwrite costs a third less
	// than syncing growth, and are recycled for the same reason.
	//
	// The default is 64 MiB.
	FileBytes int64
	// FirstFileBytes is the size of a file that is needed at once: the first
	// one of a new log, and one that the writer outran the preparation of. It
	// bounds the wait for it.
	//
	// The default is 4 MiB, and never more than FileBytes.
	FirstFileBytes int64
	// RecycleFiles is how many released files are kept for reuse. Those beyond
	// it are unlinked, which disturbs the syncs that go on meanwhile.
	//
	// The default is 8.
	RecycleFiles int
	// MaxBufferedBytes bounds the payload that is reserved, waits for its
	// round, or is being written. Appends beyond it wait in [Log.Reserve].
	//
	// The default is 32 MiB.
	MaxBufferedBytes int
	// MaxReplayBytes bounds the log behind what was released, which the next
	// start may have to replay. Appends beyond it wait in [Log.Reserve] for the
	// next [Log.Release].
	//
	// The default is 1 GiB.
	MaxReplayBytes int64
	// BackgroundSyncInterval is how long async entries may stay unsynced.
	//
	// The default is 100 ms.
	BackgroundSyncInterval time.Duration
	// Logger receives state changes; nil discards them.
	Logger *slog.Logger
	// Now is the clock that sync latencies are measured with.
	//
	// The default is time.Now.
	Now func() time.Time
}

// minFileBytes leaves room for a few frames.
const minFileBytes = 2 * fileHeaderBytes

func (o Options) validate() error {
	switch {
	case o.FS == nil || o.Dir == "":
		return errors.New("wal: Options.FS and Options.Dir are required")
	case o.FileBytes < minFileBytes || o.FirstFileBytes < minFileBytes:
		return fmt.Errorf("wal: files of %d bytes, the smallest are %d", o.FirstFileBytes, minFileBytes)
	default:
		return nil
	}
}

func (o Options) withDefaults() Options {
	o.FileBytes = cmp.Or(o.FileBytes, 64<<20)
	o.FirstFileBytes = min(cmp.Or(o.FirstFileBytes, 4<<20), o.FileBytes)
	o.RecycleFiles = cmp.Or(o.RecycleFiles, 8)
	o.MaxBufferedBytes = cmp.Or(o.MaxBufferedBytes, 32<<20)
	o.MaxReplayBytes = cmp.Or(o.MaxReplayBytes, 1<<30)
	o.BackgroundSyncInterval = cmp.Or(o.BackgroundSyncInterval, 100*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
