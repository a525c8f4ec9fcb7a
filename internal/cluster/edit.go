package cluster

import "slices"

// edit is one change of one partition under way. Its methods are the rules of
// elections and of the eligible leader replicas; store is the only place where
// epochs grow.
type edit struct {
	tx    *txn
	topic *Topic
	index int
	was   *Partition
	p     Partition
	// leaderChanged is set by lead, or where sessions must end; it costs a new
	// leader epoch.
	leaderChanged bool
	// renew makes the partition epoch grow though nothing else changes.
	renew bool
}

func (tx *txn) edit(t *Topic, index int) *edit {
	was := t.Partitions[index]
	return &edit{tx: tx, topic: t, index: index, was: was, p: *was}
}

// tp names the partition.
func (e *edit) tp() TopicPartition { return e.topic.TopicPartition(e.index) }

// store writes the change, if it is one or renews, with its epochs (M4, M5).
func (e *edit) store() {
	if !e.leaderChanged && !e.renew && slices.Equal(e.p.ISR, e.was.ISR) && slices.Equal(e.p.ELR, e.was.ELR) {
		return
	}
	if e.leaderChanged {
		e.p.LeaderEpoch++
	}
	e.p.PartitionEpoch++
	p := e.p
	e.tx.own(e.topic.ID).Partitions[e.index] = &p
}

// setISR replaces the in-sync set and keeps the ELR rule (K29): a full set
// needs no ELR, and who leaves one that is not full stays electable, because
// the high watermark cannot move without it.
func (e *edit) setISR(isr []BrokerID) {
	old := e.p.ISR
	e.p.ISR = isr
	if len(isr) >= EffectiveMinISR(e.topic, &e.p) {
		e.p.ELR = nil
		return
	}
	e.p.ELR = e.inOrder(func(id BrokerID) bool {
		return (e.p.InELR(id) || slices.Contains(old, id)) && !slices.Contains(isr, id)
	})
}

// leave takes a broker out of the in-sync set and, if it leads, elects another.
// If its log lost something it leaves the ELR as well, before the election.
func (e *edit) leave(id BrokerID, lost bool) {
	if e.p.InISR(id) {
		e.setISR(without(e.p.ISR, id))
	}
	if lost {
		e.p.ELR = without(e.p.ELR, id)
	}
	if e.p.Leader == id {
		e.elect()
	}
}

// leaveTo takes the leader out of the in-sync set and lets id follow it: a member
// of the set or, if there is none left, of the ELR.
func (e *edit) leaveTo(id BrokerID) {
	e.setISR(without(e.p.ISR, e.p.Leader))
	if len(e.p.ISR) == 0 {
		e.setISR([]BrokerID{id})
	}
	e.lead(id)
}

// elect chooses a new leader (R12, K28): the first replica, in assignment
// order, that is in sync; if nobody is, the first of the ELR whose broker is
// eligible, which then is the in-sync set; else nobody. Never merely "the first
// replica".
func (e *edit) elect() {
	if len(e.p.ISR) > 0 {
		e.lead(e.p.ISR[0]) // alive (M3), and in assignment order
		return
	}
	for _, id := range e.p.ELR {
		if b, ok := e.tx.next.Broker(id); ok && b.Eligible() {
			e.setISR([]BrokerID{id})
			e.lead(id)
			return
		}
	}
	e.lead(NoBroker)
}

func (e *edit) lead(id BrokerID) {
	if id == NoBroker && e.p.Leader == NoBroker {
		return
	}
	e.p.Leader = id
	e.leaderChanged = true
}

// inOrder is the replicas that pass, in assignment order; nil if none does.
func (e *edit) inOrder(pass func(BrokerID) bool) []BrokerID {
	var ids []BrokerID
	for _, id := range e.p.Replicas {
		if pass(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// without returns a copy of ids that lacks id.
func without(ids []BrokerID, id BrokerID) []BrokerID {
	var rest []BrokerID
	for _, have := range ids {
		if have != id {
			rest = append(rest, have)
		}
	}
	return rest
}
