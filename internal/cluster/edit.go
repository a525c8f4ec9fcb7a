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
	// leaderChanged is set by lead: a broker that leads again after it lost
	// the leadership within one change still gets a new epoch (R1).
	leaderChanged bool
}

func (tx *txn) edit(t *Topic, index int) *edit {
	was := t.Partitions[index]
	return &edit{tx: tx, topic: t, index: index, was: was, p: *was}
}

// store writes the change, if it is one, with its epochs (M4, M5).
func (e *edit) store() {
	if !e.leaderChanged && slices.Equal(e.p.ISR, e.was.ISR) && slices.Equal(e.p.ELR, e.was.ELR) {
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
func (e *edit) leave(id BrokerID) {
	if e.p.InISR(id) {
		e.setISR(without(e.p.ISR, id))
	}
	if e.p.Leader == id {
		e.elect()
	}
}

// dropELR takes a broker out of the eligible leader replicas: its log lost
// something.
func (e *edit) dropELR(id BrokerID) {
	if e.p.InELR(id) {
		e.p.ELR = without(e.p.ELR, id)
	}
}

// elect chooses a new leader (R12, K28): the first replica, in assignment
// order, that is in sync; if nobody is, the first that is in the ELR and
// eligible, which then is the in-sync set; else nobody. Never merely "the first
// replica".
func (e *edit) elect() {
	if id := e.first(e.p.ISR, (*Broker).Eligible); id != NoBroker {
		e.lead(id)
		return
	}
	// A draining broker that is alone in the set still holds everything.
	if id := e.first(e.p.ISR, func(b *Broker) bool { return !b.Fenced }); id != NoBroker {
		e.lead(id)
		return
	}
	if len(e.p.ISR) == 0 {
		if id := e.first(e.p.ELR, (*Broker).Eligible); id != NoBroker {
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

// first is the first replica in assignment order that is in set and whose
// broker passes.
func (e *edit) first(set []BrokerID, pass func(*Broker) bool) BrokerID {
	for _, id := range e.p.Replicas {
		if b, ok := e.tx.next.Broker(id); ok && slices.Contains(set, id) && pass(b) {
			return id
		}
	}
	return NoBroker
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
