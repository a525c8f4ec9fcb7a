package cluster

import "fmt"

// Result is the outcome of a command.
type Result struct {
	// Err refuses the whole command; nothing but the index changed.
	Err error
	// Errs has one entry per change of AlterISR and ElectLeaders, nil where it
	// was applied.
	Errs []error
	// Index is the command's index: images from it on show its effect.
	Index uint64
	// BrokerEpoch is granted by RegisterBroker.
	BrokerEpoch BrokerEpoch
	// FirstProducerID opens the block that AllocateProducerIDs granted.
	FirstProducerID int64
	// TopicID is the topic that CreateTopic made or DeleteTopic removed.
	TopicID UUID
}

// Apply is the cluster's state machine: the image after cmd, which stands at
// index in the metadata log. It is deterministic and total, and leaves img as
// it is. Every broker calls it with the same commands in the same order and so
// holds the same images.
func Apply(img *Image, index uint64, cmd Command) (*Image, Result) {
	return img, Result{Index: index, Err: fmt.Errorf("%T: %w", cmd, ErrInvalidRequest)}
}
