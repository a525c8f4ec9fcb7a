package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// txn builds the image that follows base. It copies what it changes, once, and
// shares the rest; base is never written to.
type txn struct {
	base *Image
	next Image
	// touched holds the topics that are this txn's own copies.
	touched map[UUID]*Topic
	// ownBrokers says that next.brokers is a copy.
	ownBrokers bool
	// resort says that topics came or went.
	resort bool
}

func newTxn(base *Image, index uint64) *txn {
	tx := &txn{base: base, next: *base, touched: map[UUID]*Topic{}}
	tx.next.index = index
	return tx
}

// commit returns the new image. It is a copy of its own: a pointer into the txn
// would keep base, and so every older image, alive.
func (tx *txn) commit() *Image {
	if tx.resort || len(tx.touched) > 0 {
		tx.rebuildTopics()
	}
	img := tx.next
	return &img
}

func (tx *txn) rebuildTopics() {
	byName := func(a, b *Topic) int { return cmp.Compare(a.Name, b.Name) }
	if tx.resort {
		tx.next.topics = slices.SortedFunc(maps.Values(tx.next.byID), byName)
		return
	}
	tx.next.topics = slices.Clone(tx.base.topics)
	for _, t := range tx.touched {
		at, _ := tx.base.searchTopic(t.Name)
		tx.next.topics[at] = t
	}
}

// ownTopics makes next.byID this txn's own.
func (tx *txn) ownTopics() {
	if len(tx.touched) == 0 && !tx.resort {
		tx.next.byID = maps.Clone(tx.base.byID)
	}
}

// own returns a copy of the topic that may be written to until the commit. Its
// partitions are still shared: replace them, never write to them.
func (tx *txn) own(id UUID) *Topic {
	if t, ok := tx.touched[id]; ok {
		return t
	}
	tx.ownTopics()
	c := *tx.next.byID[id]
	c.Partitions = slices.Clone(c.Partitions)
	tx.next.byID[id], tx.touched[id] = &c, &c
	return &c
}

// addTopic and removeTopic are the only ways in which topics come and go.
func (tx *txn) addTopic(t *Topic) {
	tx.ownTopics()
	tx.resort = true
	tx.next.byID[t.ID] = t
}

func (tx *txn) removeTopic(id UUID) {
	tx.ownTopics()
	tx.resort = true
	delete(tx.next.byID, id)
	delete(tx.touched, id)
	older := tx.next.deleted[max(0, len(tx.next.deleted)+1-maxDeleted):]
	tx.next.deleted = append(slices.Clone(older), id) // images share it
}

// setBroker stores a registration, a new one or in place of the old.
func (tx *txn) setBroker(b Broker) {
	if !tx.ownBrokers {
		tx.next.brokers = slices.Clone(tx.next.brokers)
		tx.ownBrokers = true
	}
	at, known := tx.next.searchBroker(b.ID)
	if known {
		tx.next.brokers[at] = &b
		return
	}
	tx.next.brokers = slices.Insert(tx.next.brokers, at, &b)
}

// registered finds the broker and checks that epoch is its current one.
func (tx *txn) registered(id BrokerID, epoch BrokerEpoch) (*Broker, error) {
	b, ok := tx.next.Broker(id)
	if !ok {
		return nil, fmt.Errorf("broker %d: %w", id, ErrUnknownBroker)
	}
	if b.Epoch != epoch {
		return nil, fmt.Errorf("broker %d epoch %d, registered under %d: %w", id, epoch, b.Epoch, ErrStaleBrokerEpoch)
	}
	return b, nil
}

// eachReplica calls fn with an edit of every partition that has the broker as
// a replica and stores what fn changed.
func (tx *txn) eachReplica(id BrokerID, fn func(e *edit)) {
	// The order does not matter to the outcome, as partitions are independent,
	// but a fixed one keeps runs comparable.
	for _, t := range tx.base.topics {
		for i, p := range t.Partitions {
			if p.HasReplica(id) {
				e := tx.edit(t, i)
				fn(e)
				e.store()
			}
		}
	}
}
