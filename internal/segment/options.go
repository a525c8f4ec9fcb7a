package segment

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/chronik-project/chronik/internal/vfs"
)

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
	// batch that crosses the limit still goes into the old segment. It can be
	// changed with [Log.SetSegmentBytes].
	//
	// The default is 128 MiB.
	SegmentBytes int64
	// IndexIntervalBytes is how much log lies between two index entries.
	//
	// The default is 4096.
	IndexIntervalBytes int64
	// Logger receives state changes; nil discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 128<<20)
	o.IndexIntervalBytes = cmp.Or(o.IndexIntervalBytes, 4096)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	switch {
	case o.FS == nil || o.Dir == "":
		return errors.New("segment: Options.FS and Options.Dir are required")
	case o.SegmentBytes < 0 || o.SegmentBytes > math.MaxInt32: // positions in the index have 32 bits
		return fmt.Errorf("segment: segments of %d bytes, the largest are %d", o.SegmentBytes, math.MaxInt32)
	case o.IndexIntervalBytes < 0:
		return fmt.Errorf("segment: index interval of %d bytes", o.IndexIntervalBytes)
	default:
		return o.Mark.validate()
	}
}
