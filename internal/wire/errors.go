package wire

import (
	"errors"
	"fmt"
)

// Causes for which a connection is closed.
var (
	// ErrFrameTooLarge says that a frame announced more bytes than are allowed,
	// or a negative number of them. A client that speaks TLS or HTTP to this
	// port is the usual reason.
	ErrFrameTooLarge = errors.New("frame size out of bounds")
	// ErrMalformed says that a frame is not a request of the version it claims.
	ErrMalformed = errors.New("malformed request")
	// ErrUnsupported says that the API key, or this version of it, is not served.
	// The protocol has no answer to that: the connection is closed.
	ErrUnsupported = errors.New("api key or version not served")

	errTimedOut = errors.New("no complete request in time")
	errStopped  = errors.New("server stopped")
)

// RequestError says which request of a connection failed.
type RequestError struct {
	Header
	Op  string // decode, handle, wait or write
	Err error  // the cause
}

// Error is "key 0 version 9, correlation id 7: decode: cause".
func (e *RequestError) Error() string {
	return fmt.Sprintf("key %d version %d, correlation id %d: %s: %v",
		e.Key, e.Version, e.CorrelationID, e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *RequestError) Unwrap() error { return e.Err }
