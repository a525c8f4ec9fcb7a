package cluster

import "fmt"

func (tx *txn) registerBroker(c RegisterBroker) Result {
	b := c.Broker
	if b.ID < 0 || b.Incarnation == ZeroUUID {
		return Result{Err: fmt.Errorf("register broker %d, incarnation %s: %w", b.ID, b.Incarnation, ErrInvalidRequest)}
	}
	failed := partitionSet(c.FailedReplicas)
	was, known := tx.next.Broker(b.ID)
	if known && was.Incarnation == b.Incarnation && was.Directory == b.Directory {
		// The same process again, because an answer was lost: it never stopped,
		// so its positions still count.
		b.Epoch, b.Fenced, b.Draining = was.Epoch, was.Fenced, was.Draining
		tx.setBroker(b)
		tx.eachReplica(b.ID, func(e *edit) { e.fail(b.ID, failed) })
		return Result{BrokerEpoch: b.Epoch}
	}
	sameDisk := known && b.Directory != ZeroUUID && was.Directory == b.Directory
	b.Epoch, b.Fenced, b.Draining = BrokerEpoch(tx.next.index), true, false
	tx.setBroker(b) // before the elections, which must see it fenced
	tx.eachReplica(b.ID, func(e *edit) {
		lost := !sameDisk || failed[e.tp()] || (c.Unclean && e.topic.Config().Flush == FlushAsync)
		e.leave(b.ID, lost)
	})
	return Result{BrokerEpoch: b.Epoch}
}

// fail takes the broker out of ISR and ELR if the partition is in failed.
func (e *edit) fail(id BrokerID, failed map[TopicPartition]bool) {
	if failed[e.tp()] {
		e.leave(id, true)
	}
}

func (tx *txn) fenceBroker(c FenceBroker) error {
	b, err := tx.registered(c.ID, c.Epoch)
	if err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	if b.Fenced {
		return nil
	}
	fenced := *b
	fenced.Fenced = true
	tx.setBroker(fenced)
	tx.eachReplica(c.ID, func(e *edit) { e.leave(c.ID, false) })
	return nil
}

func (tx *txn) unfenceBroker(c UnfenceBroker) error {
	b, err := tx.registered(c.ID, c.Epoch)
	if err != nil {
		return fmt.Errorf("unfence: %w", err)
	}
	if !b.Fenced {
		return nil
	}
	live := *b
	live.Fenced = false
	tx.setBroker(live)
	tx.eachReplica(c.ID, func(e *edit) {
		if e.p.Leader == NoBroker {
			e.elect()
		}
	})
	return nil
}

func (tx *txn) drainBroker(c DrainBroker) error {
	b, err := tx.registered(c.ID, c.Epoch)
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if !b.Draining {
		draining := *b
		draining.Draining = true
		tx.setBroker(draining)
	}
	tx.eachReplica(c.ID, func(e *edit) { e.drain(c.ID) })
	return nil
}

// drain takes a draining broker out of the in-sync set unless it is alone in
// it: then it leads until it stops, as nobody else could (M8, K38).
func (e *edit) drain(id BrokerID) {
	if e.p.InISR(id) && len(e.p.ISR) > 1 {
		e.leave(id, false)
	}
}

func (tx *txn) failReplicas(c FailReplicas) error {
	if _, err := tx.registered(c.ID, c.Epoch); err != nil {
		return fmt.Errorf("fail replicas: %w", err)
	}
	failed := partitionSet(c.Partitions)
	tx.eachReplica(c.ID, func(e *edit) {
		e.fail(c.ID, failed)
		// The broker keeps its registration and starts the replica anew: no session,
		// acknowledgement or proposal from before may count for the empty log.
		e.leaderChanged = e.leaderChanged || failed[e.tp()]
	})
	return nil
}

func partitionSet(tps []TopicPartition) map[TopicPartition]bool {
	set := make(map[TopicPartition]bool, len(tps))
	for _, tp := range tps {
		set[tp] = true
	}
	return set
}
