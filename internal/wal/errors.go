package wal

import (
	"errors"
	"fmt"
)

// Sentinel causes. The errors returned say where and with which values.
var (
	// ErrFailed means that a write or a sync failed. Nothing that was not
	// reported durable before may be acknowledged, and nothing can be appended
	// until the process has started anew.
	ErrFailed = errors.New("write-ahead log failed")
	// ErrFull means that the buffer has no room for a frame that nobody
	// reserved room for.
	ErrFull = errors.New("write-ahead log buffer full")
	// ErrNoSpace means that the disk has no room for another log file. The log
	// recovers by itself once there is room.
	ErrNoSpace = errors.New("no disk space for the write-ahead log")
	// ErrTooLarge means that a frame exceeds Options.MaxBufferedBytes.
	ErrTooLarge = errors.New("frame too large")
	// ErrClosed means that the log was stopped.
	ErrClosed = errors.New("write-ahead log closed")
	// ErrCorrupt means that bytes which were on disk once cannot be read back.
	ErrCorrupt = errors.New("write-ahead log corrupt")
)

// Error says which operation on which file failed.
type Error struct {
	// Op is what was done: "write", "sync", "create", "open", "read".
	Op string
	// File is the name of the file.
	File string
	// LSN is the position in the log, if there is one.
	LSN LSN
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("wal: %s %s at lsn %d: %v", e.Op, e.File, e.LSN, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
