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
//
// These invariants hold in every image, whatever the commands were:
//
//	M1  The leader is in the in-sync set, and nobody leads exactly when the
//	    set is empty.
//	M2  ISR and ELR are subsets of the replicas, without a common member.
//	M3  A fenced broker is in no in-sync set.
//	M4  The leader epoch grows by one with every change of leader, also to
//	    nobody, and with every replica that a running broker gives up, and
//	    never otherwise.
//	M5  The partition epoch grows by one with every change of the partition,
//	    and with every in-sync change refused because a member is ineligible:
//	    other copies of it must not succeed when the member is eligible again.
//	M6  ELR is empty unless the in-sync set is below its effective minimum.
//	M7  A new leader comes from the ISR, or from the ELR if the ISR is empty
//	    without the leader that it replaces.
//	M8  A draining broker is in an in-sync set only if it is alone in it.
func Apply(img *Image, index uint64, cmd Command) (*Image, Result) {
	if index <= img.index {
		err := fmt.Errorf("%T at index %d, image is at %d: %w", cmd, index, img.index, ErrInvalidRequest)
		return img, Result{Index: index, Err: err}
	}
	tx := newTxn(img, index)
	res := tx.apply(cmd)
	res.Index = index
	if res.Err != nil {
		tx = newTxn(img, index) // forget what was done before the refusal
	}
	return tx.commit(), res
}

func (tx *txn) apply(cmd Command) Result {
	switch c := cmd.(type) {
	case InitCluster:
		return Result{Err: tx.initCluster(c)}
	case RegisterBroker:
		return tx.registerBroker(c)
	case FenceBroker:
		return Result{Err: tx.fenceBroker(c)}
	case UnfenceBroker:
		return Result{Err: tx.unfenceBroker(c)}
	case DrainBroker:
		return Result{Err: tx.drainBroker(c)}
	case FailReplicas:
		return Result{Err: tx.failReplicas(c)}
	case CreateTopic:
		return tx.createTopic(c)
	case DeleteTopic:
		return tx.deleteTopic(c)
	case SetTopicConfigs:
		return tx.setTopicConfigs(c)
	case AlterISR:
		return tx.alterISR(c)
	case ElectLeaders:
		return tx.electLeaders(c)
	case AllocateProducerIDs:
		return tx.allocateProducerIDs(c)
	default:
		return Result{Err: fmt.Errorf("command %T: %w", cmd, ErrInvalidRequest)}
	}
}

// maxClusterID bounds the cluster id, which every frame between brokers carries.
const maxClusterID = 64

func (tx *txn) initCluster(c InitCluster) error {
	switch {
	case c.ClusterID == "" || len(c.ClusterID) > maxClusterID:
		return fmt.Errorf("cluster id of %d characters, want 1 to %d: %w", len(c.ClusterID), maxClusterID, ErrInvalidRequest)
	case tx.next.clusterID == "":
		tx.next.clusterID = c.ClusterID
		return nil
	case tx.next.clusterID != c.ClusterID:
		return fmt.Errorf("cluster id %q, have %q: %w", c.ClusterID, tx.next.clusterID, ErrClusterInitialized)
	default:
		return nil
	}
}

// maxProducerIDBlock bounds what one broker may take at once, so that a broken
// one cannot use up the 63 bits.
const maxProducerIDBlock = 100_000

func (tx *txn) allocateProducerIDs(c AllocateProducerIDs) Result {
	if _, err := tx.registered(c.Broker, c.BrokerEpoch); err != nil {
		return Result{Err: fmt.Errorf("allocate producer ids: %w", err)}
	}
	if c.Count < 1 || c.Count > maxProducerIDBlock {
		return Result{Err: fmt.Errorf("allocate %d producer ids, want 1 to %d: %w", c.Count, maxProducerIDBlock, ErrInvalidRequest)}
	}
	first := tx.next.nextProducerID
	if first+int64(c.Count) < first {
		return Result{Err: fmt.Errorf("allocate producer ids: none left: %w", ErrInvalidRequest)}
	}
	tx.next.nextProducerID = first + int64(c.Count)
	return Result{FirstProducerID: first}
}
