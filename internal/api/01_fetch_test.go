package api

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
)

// fetchFrom is where to read a partition from.
type fetchFrom struct {
	topic string
	index int32
	at    int64
}

// fetchRequest asks for partitions, by topic id from v13 on.
func fetchRequest(version int16, from ...fetchFrom) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxWaitMillis, req.MaxBytes = 1, 500, 1<<20
	for _, f := range from {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = f.index, f.at, 1<<20
		topic := kmsg.FetchRequestTopic{Topic: f.topic, Partitions: []kmsg.FetchRequestTopicPartition{p}}
		if version >= firstTopicIDFetch {
			topic.Topic, topic.TopicID = "", topicID(f.topic)
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// fetchOne fetches one partition and returns its part of the response.
func fetchOne(b *bed, req *kmsg.FetchRequest, version int16) kmsg.FetchResponseTopicPartition {
	b.t.Helper()
	resp := ask[*kmsg.FetchResponse](b, req, version)
	wantCode(b.t, "fetch", resp.ErrorCode, codeNone)
	return only(b.t, only(b.t, resp.Topics).Partitions)
}

// offsets lists the offsets of the records in a response.
func offsets(t *testing.T, records []byte) []int64 {
	t.Helper()
	var got []int64
	for rest := records; len(rest) > 0; {
		var batch record.Batch
		var err error
		if batch, rest, err = record.Next(rest); err != nil {
			t.Fatal(err)
		}
		for o := batch.BaseOffset(); o < batch.NextOffset(); o++ {
			got = append(got, o)
		}
	}
	return got
}

func wantOffsets(t *testing.T, what string, records []byte, first, end int64) {
	t.Helper()
	got := offsets(t, records)
	if int64(len(got)) != end-first || len(got) > 0 && (got[0] != first || got[len(got)-1] != end-1) {
		t.Errorf("%s: offsets %v, want [%d, %d)", what, got, first, end)
	}
}

func TestFetchInEveryVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.produce("orders", 0, batch(2))
		b.produce("orders", 0, batch(3))
		for _, version := range versions(t, 1, 0) {
			for level := range int8(2) {
				req := fetchRequest(version, fetchFrom{"orders", 0, 2})
				req.IsolationLevel = level
				p := fetchOne(b, req, version)
				what := fmt.Sprintf("v%d", version)
				wantCode(t, what, p.ErrorCode, codeNone)
				wantOffsets(t, what, p.RecordBatches, 2, 5)
				if p.HighWatermark != 5 || p.LastStableOffset != 5 {
					t.Errorf("%s: high watermark %d, last stable offset %d, want 5", what, p.HighWatermark, p.LastStableOffset)
				}
				if version >= 5 && p.LogStartOffset != 0 {
					t.Errorf("%s: log start offset %d, want 0", what, p.LogStartOffset)
				}
				if version >= 11 && p.PreferredReadReplica != -1 {
					t.Errorf("%s: preferred read replica %d, want none", what, p.PreferredReadReplica)
				}
				if (p.AbortedTransactions != nil) != (level == readCommitted) {
					t.Errorf("%s: aborted transactions %v with isolation level %d", what, p.AbortedTransactions, level)
				}
			}
		}
	})
}

func TestFetchFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		version int16 // 12 if zero
		from    fetchFrom
		change  func(*kmsg.FetchRequest)
		want    code
	}{
		{name: "below the log", from: fetchFrom{"orders", 0, -5}, want: codeOffsetOutOfRange},
		{name: "beyond the log", from: fetchFrom{"orders", 0, 9}, want: codeOffsetOutOfRange},
		{name: "unknown topic", from: fetchFrom{"nowhere", 0, 0}, want: codeUnknownTopicOrPartition},
		{name: "unknown topic id", version: 13, from: fetchFrom{"nowhere", 0, 0}, want: codeUnknownTopicID},
		{name: "unknown partition", from: fetchFrom{"orders", 3, 0}, want: codeUnknownTopicOrPartition},
		{name: "unknown partition by id", version: 13, from: fetchFrom{"orders", 3, 0}, want: codeUnknownTopicOrPartition},
		{name: "no replica here", from: fetchFrom{"remote", 0, 0}, want: codeNotLeaderOrFollower},
		{name: "follower, client too old", version: 10, from: fetchFrom{"followed", 0, 0}, want: codeNotLeaderOrFollower},
		{name: "older epoch", from: fetchFrom{"moved", 0, 0}, want: codeFencedLeaderEpoch, change: func(req *kmsg.FetchRequest) {
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = 0
		}},
		{name: "newer epoch", from: fetchFrom{"moved", 0, 0}, want: codeUnknownLeaderEpoch, change: func(req *kmsg.FetchRequest) {
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = 9
		}},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.topic("remote", nil, []cluster.BrokerID{3})
		b.topic("followed", nil, []cluster.BrokerID{2, 1})
		b.topic("moved", nil, []cluster.BrokerID{1, 2})
		b.lead("moved", 0, 2)
		b.lead("moved", 0, 1)
		b.produce("orders", 0, batch(3))
		for _, tt := range tests {
			version := max(tt.version, 10)
			if tt.version == 0 {
				version = 12
			}
			req := fetchRequest(version, tt.from)
			if tt.change != nil {
				tt.change(req)
			}
			began := time.Now()
			p := fetchOne(b, req, version)
			wantCode(t, tt.name, p.ErrorCode, tt.want)
			if took := time.Since(began); took != 0 {
				t.Errorf("%s: answered after %v, want at once", tt.name, took)
			}
			if len(p.RecordBatches) > 0 || p.HighWatermark != -1 {
				t.Errorf("%s: %d bytes, high watermark %d; want none and -1", tt.name, len(p.RecordBatches), p.HighWatermark)
			}
		}
	})
}

func TestFetchTellsWhoLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("remote", nil, []cluster.BrokerID{3})
		for _, version := range versions(t, 1, firstLeaderHintFetch) {
			resp := ask[*kmsg.FetchResponse](b, fetchRequest(version, fetchFrom{"remote", 0, 0}), version)
			p := resp.Topics[0].Partitions[0]
			wantCode(t, fmt.Sprintf("v%d", version), p.ErrorCode, codeNotLeaderOrFollower)
			if p.CurrentLeader.LeaderID != 3 || p.CurrentLeader.LeaderEpoch != 0 {
				t.Errorf("v%d: current leader %+v, want 3 in epoch 0", version, p.CurrentLeader)
			}
			if nodes := len(resp.Brokers); (nodes == 1) != (version >= firstEndpointsFetch) {
				t.Errorf("v%d: %d node endpoints", version, nodes)
			}
		}
	})
}

func TestFetchNeverReturnsMoreThanIsCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2})
		b.produce("orders", 0, batch(2))
		b.acked("orders", 0, 2, 2)
		b.produce("orders", 0, batch(3))
		p := fetchOne(b, fetchRequest(12, fetchFrom{"orders", 0, 0}), 12)
		wantOffsets(t, "committed", p.RecordBatches, 0, 2)
		if p.HighWatermark != 2 {
			t.Errorf("high watermark %d, want 2", p.HighWatermark)
		}
	})
}

func TestFetchReportsDivergence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2})
		b.produce("orders", 0, batch(2)) // epoch 0: [0, 2)
		b.lead("orders", 0, 2)
		b.lead("orders", 0, 1)
		b.produce("orders", 0, batch(2)) // epoch 2: [2, 4)
		req := fetchRequest(12, fetchFrom{"orders", 0, 3})
		req.Topics[0].Partitions[0].LastFetchedEpoch = 1 // an epoch that wrote nothing here
		p := fetchOne(b, req, 12)
		if p.DivergingEpoch.Epoch != 0 || p.DivergingEpoch.EndOffset != 2 || len(p.RecordBatches) > 0 {
			t.Errorf("diverging epoch %+v with %d bytes, want epoch 0 up to 2 and none", p.DivergingEpoch, len(p.RecordBatches))
		}
	})
}

func TestFollowersServeWhatTheyKnowToBeCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2})
		b.produce("orders", 0, batch(2))
		b.acked("orders", 0, 2, 2)
		b.produce("orders", 0, batch(3))
		b.lead("orders", 0, 2) // and this broker follows, with five records and two committed
		for _, version := range versions(t, 1, firstFollowerFetch) {
			p := fetchOne(b, fetchRequest(version, fetchFrom{"orders", 0, 0}), version)
			what := fmt.Sprintf("v%d", version)
			wantCode(t, what, p.ErrorCode, codeNone)
			wantOffsets(t, what, p.RecordBatches, 0, 2)
		}
	})
}

func TestFetchLimits(t *testing.T) {
	t.Parallel()
	size := int32(len(batch(1).Bytes()))
	tests := []struct {
		name           string
		maxBytes, a, b int32 // of the response, of partition a-0, of b-0
		server         int
		fromA, fromB   int64 // where each starts
		wantA, wantB   int64 // the end of what each got
	}{
		{name: "everything fits", maxBytes: 100 * size, a: 100 * size, b: 100 * size, wantA: 3, wantB: 3},
		{name: "limit of a partition", maxBytes: 100 * size, a: 2 * size, b: size, wantA: 2, wantB: 1},
		{name: "limit of the response", maxBytes: 4 * size, a: 100 * size, b: 100 * size, wantA: 3, wantB: 1},
		{name: "the first batch is larger than all limits", maxBytes: 1, a: 1, b: 1, wantA: 1, wantB: 0},
		{name: "the first batch is elsewhere", maxBytes: 1, a: 1, b: 1, fromA: 3, wantA: 3, wantB: 1},
		{name: "zero limits", wantA: 1, wantB: 0},
		{name: "negative limits", maxBytes: -1, a: -1, b: -1, wantA: 1, wantB: 0},
		{name: "limit of the server", maxBytes: 100 * size, a: 100 * size, b: 100 * size, server: int(2 * size), wantA: 2, wantB: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, func(o *Options) { o.MaxFetchBytes = tt.server })
				for _, name := range []string{"a", "b"} {
					b.topic(name, nil, []cluster.BrokerID{1})
					for range 3 {
						b.produce(name, 0, batch(1))
					}
				}
				req := fetchRequest(12, fetchFrom{"a", 0, tt.fromA}, fetchFrom{"b", 0, tt.fromB})
				req.MaxBytes = tt.maxBytes
				req.Topics[0].Partitions[0].PartitionMaxBytes = tt.a
				req.Topics[1].Partitions[0].PartitionMaxBytes = tt.b
				resp := ask[*kmsg.FetchResponse](b, req, 12)
				wantOffsets(t, "a", resp.Topics[0].Partitions[0].RecordBatches, tt.fromA, tt.wantA)
				wantOffsets(t, "b", resp.Topics[1].Partitions[0].RecordBatches, tt.fromB, tt.wantB)
			})
		})
	}
}

func TestLongPolls(t *testing.T) {
	t.Parallel()
	const wait = 500 * time.Millisecond
	size := int32(len(batch(1).Bytes()))
	tests := []struct {
		name     string
		minBytes int32
		during   func(b *bed) // after 100 ms
		want     time.Duration
		wantEnd  int64
	}{
		{name: "nothing happens", minBytes: 1, during: func(*bed) {}, want: wait},
		{name: "a record is committed", minBytes: 1, want: 100 * time.Millisecond, wantEnd: 1, during: func(b *bed) {
			b.produce("orders", 0, batch(1))
		}},
		{name: "in the other partition", minBytes: 1, want: 100 * time.Millisecond, during: func(b *bed) {
			b.produce("orders", 1, batch(1))
		}},
		{name: "not enough bytes", minBytes: 3 * size, want: wait, wantEnd: 2, during: func(b *bed) {
			b.produce("orders", 0, batch(1))
			b.produce("orders", 0, batch(1))
		}},
		{name: "enough bytes together", minBytes: 2 * size, want: 100 * time.Millisecond, wantEnd: 1, during: func(b *bed) {
			b.produce("orders", 0, batch(1))
			b.produce("orders", 1, batch(1))
		}},
		{name: "an answer at once if that is asked", minBytes: 0, during: func(*bed) {}, want: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.topic("orders", nil, []cluster.BrokerID{1}, []cluster.BrokerID{1})
				req := fetchRequest(11, fetchFrom{"orders", 0, 0}, fetchFrom{"orders", 1, 0})
				req.MinBytes, req.MaxWaitMillis = tt.minBytes, int32(wait.Milliseconds())
				began := time.Now()
				reply, err := b.begin(req, 11)
				if err != nil {
					t.Fatal(err)
				}
				answered := make(chan kmsg.Response, 1)
				go func() { answered <- b.finish(reply, req) }()
				<-time.After(100 * time.Millisecond)
				tt.during(b)
				resp := (<-answered).(*kmsg.FetchResponse)
				if took := time.Since(began); took != tt.want && tt.want != 0 {
					t.Errorf("answered after %v, want %v", took, tt.want)
				}
				wantOffsets(t, "orders-0", resp.Topics[0].Partitions[0].RecordBatches, 0, tt.wantEnd)
			})
		})
	}
}

func TestALongPollEndsWithItsLeadership(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2})
		req := fetchRequest(10, fetchFrom{"orders", 0, 0}) // too old to be served by a follower
		req.MaxWaitMillis = 30_000
		reply, err := b.begin(req, 10)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		answered := make(chan kmsg.Response, 1)
		go func() { answered <- b.finish(reply, req) }()
		synctest.Wait()
		b.lead("orders", 0, 2)
		resp := (<-answered).(*kmsg.FetchResponse)
		wantCode(t, "orders-0", resp.Topics[0].Partitions[0].ErrorCode, codeNotLeaderOrFollower)
		if took := time.Since(began); took != 0 {
			t.Errorf("answered after %v, want at once", took)
		}
	})
}

func TestALongPollEndsWithItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		req := fetchRequest(10, fetchFrom{"orders", 0, 0})
		reply, err := b.begin(req, 10)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := reply.Wait(ctx)
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
}

func TestBrokersDoNotReplicateByFetching(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		for _, version := range versions(t, 1, 7) {
			req := fetchRequest(version, fetchFrom{"orders", 0, 0})
			req.ReplicaID, req.ReplicaState.ID = 2, 2
			resp := ask[*kmsg.FetchResponse](b, req, version)
			wantCode(t, fmt.Sprintf("v%d", version), resp.ErrorCode, codeInvalidRequest)
		}
	})
}

func TestOldClientsGetNoZstd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		part := ask[*kmsg.ProduceResponse](b, produceRequest("orders", 0, -1, zstd()), 9).Topics[0].Partitions[0]
		wantCode(t, "produce", part.ErrorCode, codeNone)
		for _, version := range versions(t, 1, 0) {
			want := codeNone
			if version < firstZstdFetch {
				want = codeUnsupportedCompressionType
			}
			p := fetchOne(b, fetchRequest(version, fetchFrom{"orders", 0, 0}), version)
			wantCode(t, fmt.Sprintf("v%d", version), p.ErrorCode, want)
			if (len(p.RecordBatches) > 0) != (want == codeNone) {
				t.Errorf("v%d: %d bytes of records", version, len(p.RecordBatches))
			}
		}
	})
}
