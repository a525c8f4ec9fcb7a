package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/history"
)

// TestClassify pins what each answer means. A record that is called failed and
// was written after all makes the checker accuse the broker; one that is called
// unknown only costs power.
func TestClassify(t *testing.T) {
	t.Parallel()
	const ok, fail, info = history.OK, history.Fail, history.Info
	tests := []struct {
		name        string
		err         error
		once, often history.Outcome
	}{
		{"acknowledged", nil, ok, ok},
		{"never buffered", kgo.ErrMaxBuffered, fail, fail},
		{"refused before the append", kerr.NotEnoughReplicas, fail, info},
		{"too large", fmt.Errorf("%w (uncompressed_bytes=3)", kerr.MessageTooLarge), fail, info},
		{"bytes damaged on the way", kerr.CorruptMessage, fail, info},
		{"not a valid record", kerr.InvalidRecord, fail, info},
		{"not allowed", kerr.TopicAuthorizationFailed, fail, info},
		{"wrong acks", kerr.InvalidRequiredAcks, fail, info},
		{"appended, too few in sync", kerr.NotEnoughReplicasAfterAppend, info, info},
		{"not acknowledged in time", kerr.RequestTimedOut, info, info},
		{"not the leader, or not any more", kerr.NotLeaderForPartition, info, info},
		{"no leader", kerr.LeaderNotAvailable, info, info},
		{"older epoch", kerr.FencedLeaderEpoch, info, info},
		{"removed, maybe while it waited", kerr.UnknownTopicOrPartition, info, info},
		{"recreated", kerr.UnknownTopicID, info, info},
		{"disk failed", kerr.KafkaStorageError, info, info},
		{"who knows", kerr.UnknownServerError, info, info},
		{"sequence gap", kerr.OutOfOrderSequenceNumber, info, info},
		{"producer forgotten", kerr.UnknownProducerID, info, info},
		{"newer producer epoch", kerr.InvalidProducerEpoch, info, info},
		{"given up by time", fmt.Errorf("%w, last err: %w", kgo.ErrRecordTimeout, kerr.NotEnoughReplicas), info, info},
		{"given up by count", kgo.ErrRecordRetries, info, info},
		{"client closed", kgo.ErrClientClosed, info, info},
		{"client aborts", kgo.ErrAborting, info, info},
		{"cancelled", context.Canceled, info, info},
		{"deadline", context.DeadlineExceeded, info, info},
		{"connection broke", io.EOF, info, info},
		{"anything else", errors.New("new in the next version"), info, info},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := classify(tt.err, true); got != tt.once {
				t.Errorf("sent once: %d, want %d", got, tt.once)
			}
			if got := classify(tt.err, false); got != tt.often {
				t.Errorf("maybe sent more than once: %d, want %d", got, tt.often)
			}
		})
	}
}

// TestFatal pins after which answers an idempotent producer is made anew.
func TestFatal(t *testing.T) {
	t.Parallel()
	for _, err := range []error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch, kerr.ProducerFenced, fmt.Errorf("wrapped: %w", kerr.InvalidProducerIDMapping)} {
		if !isFatal(err) {
			t.Errorf("%v is not fatal", err)
		}
	}
	for _, err := range []error{nil, kgo.ErrRecordTimeout, kgo.ErrMaxBuffered, kerr.NotEnoughReplicas, kerr.RequestTimedOut} {
		if isFatal(err) {
			t.Errorf("%v is fatal", err)
		}
	}
}

// TestPayload flips every bit of a record once: none goes unnoticed.
func TestPayload(t *testing.T) {
	t.Parallel()
	want := history.ValueOf(7, 123456789)
	for _, size := range []int{valueBytes, valueBytes + 3, 100} {
		key, body := encode(want, size)
		if got := decode(key, body); got != want || len(body) != size {
			t.Fatalf("%d bytes: value %d of %d bytes, want %d", size, got, len(body), want)
		}
		for _, part := range [][]byte{key, body} {
			for i := range len(part) * 8 {
				part[i/8] ^= 1 << (i % 8)
				if got := decode(key, body); got != history.Garbled {
					t.Errorf("%d bytes, bit %d: value %d", size, i, got)
				}
				part[i/8] ^= 1 << (i % 8)
			}
		}
		if decode(key, body[:valueBytes-1]) != history.Garbled || decode(nil, body) != history.Garbled {
			t.Errorf("%d bytes: a part of the record passes", size)
		}
	}
}
