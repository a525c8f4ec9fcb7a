// Package cluster is what the brokers agree on: identifiers, the immutable
// metadata image, the commands that change it and the pure function that
// applies them. It has no clock, lock, goroutine or IO, and knows nothing of
// raft: package meta replicates the commands.
package cluster

import (
	"encoding/base64"
	"fmt"
	"io"
)

// BrokerID identifies a broker; it is chosen by the operator and never reused
// for another data directory.
type BrokerID int32

// NoBroker stands for "no leader" and "unknown broker", as -1 does in the
// Kafka protocol.
const NoBroker BrokerID = -1

// BrokerEpoch identifies one registration of a broker: the index of its
// registration in the metadata log (KIP-631). Zero means "not registered".
type BrokerEpoch int64

// Epoch is a partition's leader epoch: it grows by one with every change of
// leader (KIP-101).
type Epoch int32

// NoEpoch is the leader epoch of a log that has never had a leader.
const NoEpoch Epoch = -1

// PartitionEpoch grows by one with every change of a partition's metadata and
// is the value that in-sync changes are compared and swapped on (KIP-497).
type PartitionEpoch int32

// UUID is a 128-bit identifier of a topic, a data directory or an incarnation.
type UUID [16]byte

// ZeroUUID is the UUID that stands for "none".
var ZeroUUID UUID

// NewUUID reads a random UUID from r. It never returns the zero UUID, nor one
// whose text starts with a dash, which command lines would read as a flag.
func NewUUID(r io.Reader) (UUID, error) {
	for {
		var id UUID
		if _, err := io.ReadFull(r, id[:]); err != nil {
			return ZeroUUID, fmt.Errorf("read random bytes for a uuid: %w", err)
		}
		if id != ZeroUUID && id.String()[0] != '-' {
			return id, nil
		}
	}
}

// String is the URL-safe base64 text that Kafka's tools print: 22 characters.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// ParseUUID reads the text form written by [UUID.String].
func ParseUUID(s string) (UUID, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != len(ZeroUUID) {
		return ZeroUUID, fmt.Errorf("uuid %q: want 22 characters of URL-safe base64", s)
	}
	return UUID(raw), nil
}

// MarshalText makes a UUID a readable JSON string and map key.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (u *UUID) UnmarshalText(text []byte) error {
	id, err := ParseUUID(string(text))
	if err != nil {
		return err
	}
	*u = id
	return nil
}

// TopicPartition names a partition by its topic's id, so that a topic which is
// deleted and created again under the same name is never confused with the old
// one (KIP-516).
type TopicPartition struct {
	TopicID   UUID  `json:"topic_id"`
	Partition int32 `json:"partition"`
}

// String is "topic-id/partition", for logs and errors.
func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.TopicID, tp.Partition) }
