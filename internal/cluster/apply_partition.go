package cluster

import (
	"fmt"
	"slices"
)

func (tx *txn) alterISR(c AlterISR) Result {
	if _, err := tx.registered(c.Broker, c.BrokerEpoch); err != nil {
		return Result{Err: fmt.Errorf("alter isr: %w", err)}
	}
	res := Result{Errs: make([]error, len(c.Changes))}
	for i, change := range c.Changes {
		if err := tx.alterOne(c.Broker, change); err != nil {
			res.Errs[i] = fmt.Errorf("alter isr of %s: %w", change.TP, err)
		}
	}
	return res
}

// alterOne applies one in-sync change if its sender knew the partition as it is
// (R11, K17), or finds it applied already (R9, K20).
func (tx *txn) alterOne(leader BrokerID, c ISRChange) error {
	t, p, ok := tx.next.Partition(c.TP)
	switch {
	case !ok:
		return ErrUnknownTopic
	case c.LeaderEpoch < p.LeaderEpoch:
		return fmt.Errorf("leader epoch %d, now %d: %w", c.LeaderEpoch, p.LeaderEpoch, ErrFencedLeaderEpoch)
	case c.LeaderEpoch > p.LeaderEpoch:
		return fmt.Errorf("leader epoch %d, now %d: %w", c.LeaderEpoch, p.LeaderEpoch, ErrUnknownLeaderEpoch)
	case p.Leader != leader:
		return fmt.Errorf("broker %d asks, broker %d leads: %w", leader, p.Leader, ErrNotLeader)
	}
	if err := checkMembers(p, c.ISR); err != nil {
		return err
	}
	if c.PartitionEpoch == p.PartitionEpoch-1 && sameMembers(p, c.ISR) {
		return nil // the answer was lost and this is the repeat
	}
	if c.PartitionEpoch != p.PartitionEpoch {
		return fmt.Errorf("partition epoch %d, now %d: %w", c.PartitionEpoch, p.PartitionEpoch, ErrInvalidUpdateVersion)
	}
	e := tx.edit(t, int(c.TP.Partition))
	if err := tx.checkEligible(p, c.ISR); err != nil {
		// Its copies that are still under way must not find the member eligible
		// again later: the leader may have stopped to wait for it by then.
		e.renew = true
		e.store()
		return err
	}
	e.setISR(e.inOrder(func(id BrokerID) bool { return isMember(c.ISR, id) }))
	if b, ok := tx.next.Broker(leader); ok && b.Draining {
		e.drain(leader) // it waited for somebody to take over
	}
	e.store()
	return nil
}

// checkMembers refuses sets that no correct leader proposes.
func checkMembers(p *Partition, isr []ISRMember) error {
	for i, m := range isr {
		if !p.HasReplica(m.ID) {
			return fmt.Errorf("broker %d is no replica: %w", m.ID, ErrInvalidRequest)
		}
		if isMember(isr[:i], m.ID) {
			return fmt.Errorf("broker %d is named twice: %w", m.ID, ErrInvalidRequest)
		}
	}
	if !isMember(isr, p.Leader) {
		return fmt.Errorf("the leader %d is missing: %w", p.Leader, ErrInvalidRequest)
	}
	return nil
}

// checkEligible refuses members that are not, or not any more, what the leader
// takes them for: a broker that restarted since may have lost what it acked.
func (tx *txn) checkEligible(p *Partition, isr []ISRMember) error {
	for _, m := range isr {
		b, ok := tx.next.Broker(m.ID)
		switch {
		case !ok:
			return fmt.Errorf("broker %d is not registered: %w", m.ID, ErrIneligibleReplica)
		case b.Epoch != m.Epoch:
			return fmt.Errorf("broker %d epoch %d, registered under %d: %w", m.ID, m.Epoch, b.Epoch, ErrIneligibleReplica)
		case b.Fenced:
			return fmt.Errorf("broker %d is fenced: %w", m.ID, ErrIneligibleReplica)
		case b.Draining && !p.InISR(m.ID):
			return fmt.Errorf("broker %d is shutting down: %w", m.ID, ErrIneligibleReplica)
		}
	}
	return nil
}

func isMember(isr []ISRMember, id BrokerID) bool {
	return slices.ContainsFunc(isr, func(m ISRMember) bool { return m.ID == id })
}

// sameMembers reports whether isr, free of duplicates, is p's in-sync set.
func sameMembers(p *Partition, isr []ISRMember) bool {
	return len(isr) == len(p.ISR) && !slices.ContainsFunc(isr, func(m ISRMember) bool { return !p.InISR(m.ID) })
}

func (tx *txn) electLeaders(c ElectLeaders) Result {
	res := Result{Errs: make([]error, len(c.Changes))}
	for i, change := range c.Changes {
		if err := tx.electOne(change); err != nil {
			res.Errs[i] = fmt.Errorf("elect leader of %s: %w", change.TP, err)
		}
	}
	return res
}

func (tx *txn) electOne(c LeaderChange) error {
	t, p, ok := tx.next.Partition(c.TP)
	switch {
	case !ok:
		return ErrUnknownTopic
	case p.Leader == c.Leader && c.Leader != NoBroker:
		return nil
	case p.PartitionEpoch != c.PartitionEpoch:
		return fmt.Errorf("partition epoch %d, now %d: %w", c.PartitionEpoch, p.PartitionEpoch, ErrInvalidUpdateVersion)
	case !mayReplace(p, c):
		return fmt.Errorf("broker %d is not in sync: %w", c.Leader, ErrIneligibleReplica)
	}
	if b, ok := tx.next.Broker(c.Leader); !ok || !b.Eligible() {
		return fmt.Errorf("broker %d is fenced or shutting down: %w", c.Leader, ErrIneligibleReplica)
	}
	e := tx.edit(t, int(c.TP.Partition))
	if c.Drop {
		e.leaveTo(c.Leader)
	} else {
		e.lead(c.Leader)
	}
	e.store()
	return nil
}

// mayReplace reports whether the change names a member of the in-sync set, or an
// eligible leader replica where the set is empty without the leader (M7).
func mayReplace(p *Partition, c LeaderChange) bool {
	alone := len(p.ISR) == 1 && p.ISR[0] == p.Leader
	return p.InISR(c.Leader) || (c.Drop && alone && p.InELR(c.Leader))
}
