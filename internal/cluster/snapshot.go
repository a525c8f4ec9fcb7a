package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// snapshotVersion is the version of an encoded image. Fields are only ever
// added; a change that older brokers would misread raises it.
const snapshotVersion = 1

// snapshot is an image as JSON. Brokers are sorted by id and topics by name,
// so equal images have equal bytes.
type snapshot struct {
	Version        int       `json:"v"`
	Index          uint64    `json:"index"`
	ClusterID      string    `json:"cluster_id"`
	NextProducerID int64     `json:"next_producer_id"`
	Brokers        []*Broker `json:"brokers"`
	Topics         []*Topic  `json:"topics"`
	Deleted        []UUID    `json:"deleted,omitempty"`
}

// Encode turns the image into the bytes of a snapshot.
func (i *Image) Encode() ([]byte, error) {
	data, err := json.Marshal(snapshot{
		Version:        snapshotVersion,
		Index:          i.index,
		ClusterID:      i.clusterID,
		NextProducerID: i.nextProducerID,
		Brokers:        i.brokers,
		Topics:         i.topics,
		Deleted:        i.deleted,
	})
	if err != nil {
		return nil, fmt.Errorf("encode image %d: %w", i.index, err)
	}
	return data, nil
}

// DecodeImage is the inverse of [Image.Encode]. It refuses other versions and
// what is out of order, with [ErrInvalidRequest].
func DecodeImage(data []byte) (*Image, error) {
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("decode image: %w: %w", err, ErrInvalidRequest)
	}
	if s.Version != snapshotVersion {
		return nil, fmt.Errorf("decode image: version %d, this broker knows %d: %w", s.Version, snapshotVersion, ErrInvalidRequest)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("decode image %d: %w", s.Index, err)
	}
	img := &Image{
		index:          s.Index,
		clusterID:      s.ClusterID,
		nextProducerID: s.NextProducerID,
		brokers:        s.Brokers,
		topics:         s.Topics,
		deleted:        s.Deleted,
		byID:           make(map[UUID]*Topic, len(s.Topics)),
	}
	for _, t := range s.Topics {
		img.byID[t.ID] = t
	}
	return img, nil
}

// check refuses what the lookups of an image could not cope with.
func (s *snapshot) check() error {
	if slices.Contains(s.Brokers, nil) || slices.Contains(s.Topics, nil) {
		return fmt.Errorf("an entry is null: %w", ErrInvalidRequest)
	}
	if !slices.IsSortedFunc(s.Brokers, func(a, b *Broker) int { return ascending(a.ID, b.ID) }) {
		return fmt.Errorf("brokers out of order: %w", ErrInvalidRequest)
	}
	if !slices.IsSortedFunc(s.Topics, func(a, b *Topic) int { return ascending(a.Name, b.Name) }) {
		return fmt.Errorf("topics out of order: %w", ErrInvalidRequest)
	}
	for _, t := range s.Topics {
		if len(t.Partitions) == 0 || slices.Contains(t.Partitions, nil) {
			return fmt.Errorf("topic %q lacks a partition: %w", t.Name, ErrInvalidRequest)
		}
	}
	return nil
}

// ascending makes IsSortedFunc strict: equal neighbours are out of order too.
func ascending[T cmp.Ordered](a, b T) int {
	if c := cmp.Compare(a, b); c != 0 {
		return c
	}
	return -1
}
