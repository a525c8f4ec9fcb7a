package segment

import (
	"errors"
	"fmt"
)

// Sentinel causes. The errors returned say where and with which values.
var (
	// ErrGap means that a batch does not start where the log ends.
	ErrGap = errors.New("batch does not start at the log end")
	// ErrEpochOrder means that a batch is of an older leader epoch than the
	// records before it.
	ErrEpochOrder = errors.New("leader epoch goes backwards")
	// ErrOffsetOutOfRange means that an offset is not in the log.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrCorrupt means that the files do not hold what the checkpoint says, or
	// that a batch on disk is damaged.
	ErrCorrupt = errors.New("segment corrupt")
	// ErrFailed means that a write or a sync of this log failed; it stays
	// readable, but its files can no longer be trusted to become durable.
	ErrFailed = errors.New("segment failed")
	// ErrStaleMark means that the log was cut below a mark before Sync had
	// written it out. Take a new mark.
	ErrStaleMark = errors.New("log was cut below the mark")
	// ErrClockJump means that retention by time would delete more segments at
	// once than Retention.Limit allows. Nothing was deleted.
	ErrClockJump = errors.New("too many segments expired at once")
)

// Error says what failed where.
type Error struct {
	// Op is what was done.
	Op string
	// Path is the partition's directory or the file.
	Path string
	// Offset is the record offset concerned, -1 if there is none.
	Offset int64
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("segment: %s %s: %v", e.Op, e.Path, e.Err)
	}
	return fmt.Sprintf("segment: %s %s at offset %d: %v", e.Op, e.Path, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
