package cluster

import (
	"cmp"
	"slices"
)

// Image is all metadata of the cluster as of one index of the metadata log. It
// never changes: [Apply] returns a new one that shares what stayed the same, so
// a goroutine may keep an image as long as it likes, without a lock.
type Image struct {
	index          uint64
	clusterID      string
	nextProducerID int64
	brokers        []*Broker       // sorted by id
	topics         []*Topic        // sorted by name
	byID           map[UUID]*Topic // the same topics
	// deleted are the ids of topics that were deleted last, oldest first.
	deleted []UUID
}

// maxDeleted bounds the ids that are remembered: a request is repeated for
// seconds, and so many topics are not deleted meanwhile.
const maxDeleted = 1000

// NewImage is the image before any command.
func NewImage() *Image { return &Image{byID: map[UUID]*Topic{}} }

// Index is the index of the last command that was applied, refused ones included.
func (i *Image) Index() uint64 { return i.index }

// ClusterID is empty until the first leader has chosen it.
func (i *Image) ClusterID() string { return i.clusterID }

// NextProducerID is the first producer id that nobody was given.
func (i *Image) NextProducerID() int64 { return i.nextProducerID }

// Broker finds a registration.
func (i *Image) Broker(id BrokerID) (*Broker, bool) {
	at, ok := i.searchBroker(id)
	if !ok {
		return nil, false
	}
	return i.brokers[at], true
}

// Brokers lists all registrations by id, fenced ones included. The slice is
// the image's own: do not write to it.
func (i *Image) Brokers() []*Broker { return i.brokers }

// Topic finds a topic by name.
func (i *Image) Topic(name string) (*Topic, bool) {
	at, ok := i.searchTopic(name)
	if !ok {
		return nil, false
	}
	return i.topics[at], true
}

// TopicByID finds a topic by its id.
func (i *Image) TopicByID(id UUID) (*Topic, bool) {
	t, ok := i.byID[id]
	return t, ok
}

// Deleted reports whether a topic of that id was deleted lately.
func (i *Image) Deleted(id UUID) bool { return slices.Contains(i.deleted, id) }

// Topics lists all topics by name. The slice is the image's own: do not write
// to it.
func (i *Image) Topics() []*Topic { return i.topics }

// Partition finds a partition and the topic it belongs to.
func (i *Image) Partition(tp TopicPartition) (*Topic, *Partition, bool) {
	t, ok := i.byID[tp.TopicID]
	if !ok || tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) {
		return nil, nil, false
	}
	return t, t.Partitions[tp.Partition], true
}

func (i *Image) searchBroker(id BrokerID) (int, bool) {
	return slices.BinarySearchFunc(i.brokers, id, func(b *Broker, id BrokerID) int { return cmp.Compare(b.ID, id) })
}

func (i *Image) searchTopic(name string) (int, bool) {
	return slices.BinarySearchFunc(i.topics, name, func(t *Topic, name string) int { return cmp.Compare(t.Name, name) })
}
