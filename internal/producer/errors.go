package producer

import (
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/record"
)

var (
	// ErrOutOfOrderSequence means that a batch is missing before this one, or
	// that this one is a repeat too old to be recognised.
	ErrOutOfOrderSequence = errors.New("out of order sequence")
	// ErrInvalidProducerEpoch means that a newer instance of the producer has
	// taken over.
	ErrInvalidProducerEpoch = errors.New("invalid producer epoch")
	// ErrTransactional refuses a batch of a transaction: there are none.
	ErrTransactional = errors.New("transactions are not supported")
	// ErrCorruptSnapshot means that a snapshot is not what was written.
	ErrCorruptSnapshot = errors.New("corrupt producer snapshot")
)

// Error says which batch was refused, and what the producer had written before.
type Error struct {
	ProducerID          int64
	Epoch, CurrentEpoch int16
	// FirstSequence is the batch's, LastSequence that of the batch before it;
	// -1 when there is none.
	FirstSequence, LastSequence int32
	Err                         error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("producer %d epoch %d sequence %d, after epoch %d sequence %d: %v",
		e.ProducerID, e.Epoch, e.FirstSequence, e.CurrentEpoch, e.LastSequence, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// refuse describes why b is refused; e is nil for a producer not known.
func refuse(b record.Batch, e *entry, cause error) error {
	err := &Error{
		ProducerID: b.ProducerID(), Epoch: b.ProducerEpoch(), FirstSequence: b.BaseSequence(),
		CurrentEpoch: -1, LastSequence: -1, Err: cause,
	}
	if e != nil {
		err.CurrentEpoch, err.LastSequence = e.epoch, e.lastSequence()
	}
	return err
}
