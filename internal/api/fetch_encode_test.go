package api

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/wire"
)

var _ wire.Gatherer = (*fetchResponse)(nil)

// randomFetchResponse returns a response with everything that this broker may
// put into one, and the same as the generated code wants it.
func randomFetchResponse(rng *rand.Rand, version int16) (ours *fetchResponse, theirs *kmsg.FetchResponse) {
	ours, theirs = &fetchResponse{}, kmsg.NewPtrFetchResponse()
	theirs.Version = version
	theirs.ThrottleMillis, theirs.ErrorCode, theirs.SessionID = rng.Int32(), int16(rng.IntN(100)), rng.Int32()
	rack := "rack"
	for i := range rng.IntN(3) {
		b := kmsg.FetchResponseBroker{NodeID: int32(i), Host: "host", Port: 9092}
		if i > 0 {
			b.Rack = &rack
		}
		theirs.Brokers = append(theirs.Brokers, b)
	}
	for range rng.IntN(4) {
		topic := kmsg.FetchResponseTopic{Topic: "topic", TopicID: [16]byte{1, 2, 3}}
		for range rng.IntN(4) {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.ErrorCode, p.HighWatermark = rng.Int32(), int16(rng.IntN(100)), rng.Int64()
			p.LastStableOffset, p.LogStartOffset, p.PreferredReadReplica = rng.Int64(), rng.Int64(), -1
			if rng.IntN(2) == 0 {
				p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
			}
			if rng.IntN(2) == 0 {
				p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = rng.Int32(), rng.Int64()
			}
			if rng.IntN(2) == 0 {
				p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = rng.Int32(), rng.Int32()
			}
			batches := randomBatches(rng)
			ours.batches = append(ours.batches, batches)
			p.RecordBatches = append([]byte{}, bytes.Join(batches, nil)...)
			topic.Partitions = append(topic.Partitions, p)
		}
		theirs.Topics = append(theirs.Topics, topic)
	}
	ours.FetchResponse = *theirs
	return ours, theirs
}

func randomBatches(rng *rand.Rand) [][]byte {
	var batches [][]byte
	for range rng.IntN(4) {
		b := make([]byte, rng.IntN(3*copyBytes))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		batches = append(batches, b)
	}
	return batches
}

func TestFetchResponsesEncodeLikeTheGeneratedCode(t *testing.T) {
	t.Parallel()
	for _, version := range versions(t, 1, 0) {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(50) {
				ours, theirs := randomFetchResponse(rand.New(rand.NewPCG(seed, 1)), version)
				want := theirs.AppendTo([]byte("head"))
				if got := ours.AppendTo([]byte("head")); !bytes.Equal(got, want) {
					t.Fatalf("seed %d: AppendTo\ngot  % x\nwant % x", seed, got, want)
				}
				if got := bytes.Join(ours.AppendPieces([]byte("head")), nil); !bytes.Equal(got, want) {
					t.Fatalf("seed %d: AppendPieces\ngot  % x\nwant % x", seed, got, want)
				}
			}
		})
	}
}

func TestLargeBatchesAreNotCopied(t *testing.T) {
	t.Parallel()
	large := make([]byte, copyBytes+1)
	resp := &fetchResponse{batches: [][][]byte{{large}}}
	resp.Version = 12
	resp.Topics = []kmsg.FetchResponseTopic{{Topic: "t", Partitions: []kmsg.FetchResponseTopicPartition{kmsg.NewFetchResponseTopicPartition()}}}
	for _, piece := range resp.AppendPieces(nil) {
		if len(piece) == len(large) && &piece[0] == &large[0] {
			return
		}
	}
	t.Error("no piece is the batch itself")
}
