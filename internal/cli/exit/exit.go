// Package exit ties a failure to the status the process ends with. It owns the
// table of statuses that scripts rely on; it does not end the process, only
// main does.
package exit

import (
	"context"
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/admin"
)

// Status is a process exit status. The numbers are a contract with scripts: a
// meaning may be added, never changed.
type Status int

// The statuses. docs/cli/exit-codes.md is written from Meanings.
const (
	OK                 Status = 0
	Failed             Status = 1
	Usage              Status = 2
	Unreachable        Status = 3
	CheckFailed        Status = 4
	VerificationFailed Status = 5
	TimedOut           Status = 124 // as timeout(1)
	Interrupted        Status = 130 // 128 + SIGINT
)

// Meaning is what scripts may rely on for one status.
type Meaning struct {
	Status Status
	Text   string
}

// Meanings lists every status.
func Meanings() []Meaning {
	return []Meaning{
		{OK, "done; a broker or a dev cluster that was told to stop, and stopped"},
		{Failed, "the operation failed, or any item of several"},
		{Usage, "the command line, the environment or the configuration file is wrong; nothing was done"},
		{Unreachable, "no broker answered, or it refused the credentials"},
		{CheckFailed, "`--check`, `--assert` or `--fail-if` found what it looks for"},
		{VerificationFailed, "acked data is lost, doubled, reordered or changed"},
		{TimedOut, "`--timeout` passed before the operation was done"},
		{Interrupted, "interrupted by SIGINT (Ctrl-C) or SIGTERM before it was done"},
	}
}

// Error is a failure with a status: what went wrong in Err, then the details
// that locate it, then what to do next.
type Error struct {
	Status  Status
	Err     error
	Details []string // one line each, printed indented below the error
	Hint    string   // the next command or change to try; empty for none

	// Reported says that the command has printed the failure itself, inside
	// its result: only the status is left to act on.
	Reported bool
}

// Error returns the one-line form.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Usagef returns a failure of the command line or the configuration.
func Usagef(hint, format string, args ...any) error {
	return &Error{Status: Usage, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Failedf returns a failure of the operation itself.
func Failedf(hint, format string, args ...any) error {
	return &Error{Status: Failed, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Checkf returns the failure of a check that ran and found what it looks for.
func Checkf(hint, format string, args ...any) error {
	return &Error{Status: CheckFailed, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Verificationf returns the failure of a comparison of data: loss, corruption.
func Verificationf(hint, format string, args ...any) error {
	return &Error{Status: VerificationFailed, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Reported returns a failure whose explanation is already on the screen.
func Reported(s Status) error { return &Error{Status: s, Reported: true} }

// Of returns the status that err asks for. An error that names none is a
// failed operation.
func Of(err error) Status {
	if err == nil {
		return OK
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return own.Status
	}
	switch {
	case errors.Is(err, admin.ErrInvalidOptions):
		return Usage
	case errors.Is(err, admin.ErrUnreachable), errors.Is(err, admin.ErrAuthentication):
		return Unreachable
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, context.Canceled):
		return Interrupted
	default:
		return Failed
	}
}
