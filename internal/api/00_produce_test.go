package api

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
)

func TestProduceInEveryVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		want := int64(0)
		for _, version := range versions(t, 0, 0) {
			resp := ask[*kmsg.ProduceResponse](b, produceRequest("orders", 0, -1, batch(2).Bytes()), version)
			part := resp.Topics[0].Partitions[0]
			if version < firstProduceVersion {
				wantCode(t, fmt.Sprintf("v%d", version), part.ErrorCode, codeUnsupportedVersion)
				continue
			}
			wantCode(t, fmt.Sprintf("v%d", version), part.ErrorCode, codeNone)
			if part.BaseOffset != want || part.LogAppendTime != -1 || part.Partition != 0 || resp.Topics[0].Topic != "orders" {
				t.Errorf("v%d: %+v, want base offset %d", version, part, want)
			}
			if version >= 5 && part.LogStartOffset != 0 {
				t.Errorf("v%d: log start offset %d, want 0", version, part.LogStartOffset)
			}
			want += 2
		}
	})
}

// mangled is a valid batch changed at one byte; the CRC is not adjusted.
func mangled(at int, value byte) []byte {
	b := bytes.Clone(batch(1).Bytes())
	b[at] = value
	return b
}

func TestProduceRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		version   int16
		topic     string
		partition int32
		acks      int16
		tx        string
		records   []byte
		want      code
		says      string
	}{
		{name: "unknown topic", topic: "nowhere", want: codeUnknownTopicOrPartition, says: "nowhere-0"},
		{name: "unknown partition", partition: 1, want: codeUnknownTopicOrPartition, says: "orders-1"},
		{name: "negative partition", partition: -1, want: codeUnknownTopicOrPartition},
		{name: "led elsewhere, replica here", topic: "followed", want: codeNotLeaderOrFollower},
		{name: "no replica here", topic: "remote", want: codeNotLeaderOrFollower},
		{name: "acks 2", acks: 2, want: codeInvalidRequiredAcks, says: "acks=2"},
		{name: "acks -2", acks: -2, want: codeInvalidRequiredAcks},
		{name: "transactional id", tx: "tx", want: codeInvalidTxnState, says: "transactions are not served"},
		{name: "transactional batch", records: batch(1).Producer(1, 0, 0).Transactional().Bytes(), want: codeInvalidTxnState},
		{name: "control batch", records: batch(1).Producer(1, 0, -1).Control().Bytes(), want: codeInvalidRecord, says: "control batch"},
		{name: "no records", records: []byte{}, want: codeInvalidRecord, says: "no record batch"},
		{name: "two batches", records: append(bytes.Clone(batch(1).Bytes()), batch(1).Bytes()...), want: codeInvalidRecord, says: "exactly one batch"},
		{name: "half a header", records: batch(1).Bytes()[:30], want: codeCorruptMessage},
		{name: "half a batch", records: batch(1).Bytes()[:65], want: codeCorruptMessage},
		{name: "changed byte", records: mangled(70, 99), want: codeCorruptMessage, says: "crc32c"},
		{name: "magic 1", records: mangled(16, 1), want: codeUnsupportedForMessageFormat, says: "magic 1"},
		{name: "no records in the batch", records: record.NewBuilder(0).Bytes(), want: codeInvalidRecord},
		{name: "too large", topic: "small", records: record.NewBuilder(0).Append(nil, make([]byte, 200), nil, 1).Bytes(), want: codeMessageTooLarge, says: "limit 150"},
		{name: "sequence gap", topic: "orders", records: batch(1).Producer(7, 0, 5).Bytes(), want: codeOutOfOrderSequenceNumber},
		{name: "old producer epoch", topic: "orders", records: batch(1).Producer(8, 0, 0).Bytes(), want: codeInvalidProducerEpoch},
		{name: "zstd too early", version: 6, records: zstd(), want: codeUnsupportedCompressionType, says: "produce v7"},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.topic("small", map[string]string{cluster.ConfigMaxMessageBytes: "150"}, []cluster.BrokerID{1})
		b.topic("followed", nil, []cluster.BrokerID{2, 1})
		b.topic("remote", nil, []cluster.BrokerID{3})
		b.produce("orders", 0, batch(1).Producer(7, 0, 0))
		b.produce("orders", 0, batch(1).Producer(8, 1, 0))
		before := b.replica("orders", 0).Info().LogEndOffset
		for _, tt := range tests {
			req := produceRequest("orders", tt.partition, tt.acks, tt.records)
			if tt.topic != "" {
				req.Topics[0].Topic = tt.topic
			}
			if tt.acks == 0 {
				req.Acks = -1
			}
			if tt.records == nil {
				req.Topics[0].Partitions[0].Records = batch(1).Bytes()
			}
			if tt.tx != "" {
				req.TransactionID = &tt.tx
			}
			version := tt.version
			if version == 0 {
				version = 12
			}
			part := ask[*kmsg.ProduceResponse](b, req, version).Topics[0].Partitions[0]
			wantCode(t, tt.name, part.ErrorCode, tt.want)
			if part.BaseOffset != -1 {
				t.Errorf("%s: base offset %d, want -1", tt.name, part.BaseOffset)
			}
			if version >= 8 && (part.ErrorMessage == nil || !strings.Contains(text(part.ErrorMessage), tt.says)) {
				t.Errorf("%s: message %q, want %q in it", tt.name, text(part.ErrorMessage), tt.says)
			}
		}
		if after := b.replica("orders", 0).Info().LogEndOffset; after != before {
			t.Errorf("log ends at %d, was %d: something refused was appended", after, before)
		}
	})
}

// zstd is a batch that claims to be compressed; nobody looks inside.
func zstd() []byte {
	b := batch(1).Bytes()
	b[22] |= codecZstd
	b.StampLogAppendTime(1) // computes the CRC anew
	return b
}

func TestProduceTellsWhoLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2, 3})
		b.topic("remote", nil, []cluster.BrokerID{3})
		b.lead("orders", 0, 2)
		for _, version := range versions(t, 0, firstProduceVersion) {
			req := produceRequest("orders", 0, -1, batch(1).Bytes())
			req.Topics = append(req.Topics, produceRequest("remote", 0, -1, batch(1).Bytes()).Topics...)
			resp := ask[*kmsg.ProduceResponse](b, req, version)
			for i, leader := range []kmsg.ProduceResponseTopicPartitionCurrentLeader{{LeaderID: 2, LeaderEpoch: 1}, {LeaderID: 3, LeaderEpoch: 0}} {
				if version < firstLeaderHintProduce {
					leader.LeaderID, leader.LeaderEpoch = -1, -1
				}
				part := resp.Topics[i].Partitions[0]
				wantCode(t, fmt.Sprintf("v%d", version), part.ErrorCode, codeNotLeaderOrFollower)
				if got := part.CurrentLeader; got.LeaderID != leader.LeaderID || got.LeaderEpoch != leader.LeaderEpoch {
					t.Errorf("v%d: current leader %+v, want %+v", version, got, leader)
				}
			}
			if version < firstLeaderHintProduce {
				continue
			}
			if len(resp.Brokers) != 2 || resp.Brokers[0].NodeID != 2 || resp.Brokers[0].Host != "host-2" || resp.Brokers[1].Port != 9093 {
				t.Errorf("v%d: node endpoints %+v, want brokers 2 and 3", version, resp.Brokers)
			}
		}
	})
}

func TestAcksAllWaitsForTheHighWatermark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2, 3})
		req := produceRequest("orders", 0, -1, batch(3).Bytes())
		reply, err := b.begin(req, 9)
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan kmsg.Response, 1)
		go func() { answered <- b.finish(reply, req) }()
		b.acked("orders", 0, 2, 3)
		synctest.Wait()
		if len(answered) != 0 {
			t.Error("answered although broker 3, which is in sync, has nothing")
		}
		b.acked("orders", 0, 3, 3)
		part := (<-answered).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		wantCode(t, "acknowledged", part.ErrorCode, codeNone)
	})
}

func TestAcksAllFailsWithTheReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", map[string]string{cluster.ConfigMinInsyncReplicas: "3"}, []cluster.BrokerID{1, 2, 3})

		began := time.Now()
		resp := ask[*kmsg.ProduceResponse](b, produceRequest("orders", 0, -1, batch(1).Bytes()), 9)
		part := resp.Topics[0].Partitions[0]
		wantCode(t, "nobody acknowledges", part.ErrorCode, codeRequestTimedOut)
		if took := time.Since(began); took < 1500*time.Millisecond || took > 1600*time.Millisecond {
			t.Errorf("timed out after %v, want the request's 1.5 s", took)
		}
		if got := text(part.ErrorMessage); !strings.Contains(got, "broker 2") || !strings.Contains(got, "broker 3") {
			t.Errorf("message %q does not name who holds it back", got)
		}

		b.fence(3)
		resp = ask[*kmsg.ProduceResponse](b, produceRequest("orders", 0, -1, batch(1).Bytes()), 9)
		part = resp.Topics[0].Partitions[0]
		wantCode(t, "too few in sync", part.ErrorCode, codeNotEnoughReplicas)
		if got := text(part.ErrorMessage); !strings.Contains(got, "2 of 3 replicas in sync, min.insync.replicas 3") || !strings.Contains(got, "broker 3") {
			t.Errorf("message %q does not say what is missing", got)
		}
	})
}

func TestWaitingProducersLearnOfALeaderChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1, 2, 3})
		req := produceRequest("orders", 0, -1, batch(1).Bytes())
		reply, err := b.begin(req, 10)
		if err != nil {
			t.Fatal(err)
		}
		b.lead("orders", 0, 3)
		began := time.Now()
		part := b.finish(reply, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		wantCode(t, "leadership lost", part.ErrorCode, codeNotLeaderOrFollower)
		if part.CurrentLeader.LeaderID != 3 || part.CurrentLeader.LeaderEpoch != 1 {
			t.Errorf("current leader %+v, want broker 3 in epoch 1", part.CurrentLeader)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("answered after %v, want at once", took)
		}
	})
}

func TestADuplicateAnswersItsFirstOffset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.produce("orders", 0, batch(1))
		first := b.produce("orders", 0, batch(2).Producer(5, 0, 0))
		b.produce("orders", 0, batch(3).Producer(5, 0, 2))
		if again := b.produce("orders", 0, batch(2).Producer(5, 0, 0)); again != first {
			t.Errorf("the repeat has offset %d, want %d", again, first)
		}
		if end := b.replica("orders", 0).Info().LogEndOffset; end != 6 {
			t.Errorf("log ends at %d, want 6", end)
		}
	})
}

func TestAcksNoneAnswersOnlyByClosing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		req := produceRequest("orders", 0, 0, batch(1).Bytes())
		reply, err := b.begin(req, 9)
		if err != nil {
			t.Fatal(err)
		}
		if resp := b.finish(reply, req); resp != nil {
			t.Errorf("answered %+v, want nothing", resp)
		}
		if end := b.replica("orders", 0).Info().LogEndOffset; end != 1 {
			t.Errorf("log ends at %d, want 1", end)
		}
		if _, err := b.begin(produceRequest("nowhere", 0, 0, batch(1).Bytes()), 9); err == nil {
			t.Error("a failure with acks=0 does not close the connection")
		}
	})
}

func TestProduceAnswersEveryPartitionInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("a", nil, []cluster.BrokerID{1}, []cluster.BrokerID{1})
		b.topic("b", nil, []cluster.BrokerID{1})
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 1000
		part := func(index int32) kmsg.ProduceRequestTopicPartition {
			return kmsg.ProduceRequestTopicPartition{Partition: index, Records: batch(1).Bytes()}
		}
		req.Topics = []kmsg.ProduceRequestTopic{
			{Topic: "b", Partitions: []kmsg.ProduceRequestTopicPartition{part(0), part(7)}},
			{Topic: "c", Partitions: []kmsg.ProduceRequestTopicPartition{part(0)}},
			{Topic: "a", Partitions: []kmsg.ProduceRequestTopicPartition{part(1), part(0)}},
		}
		resp := ask[*kmsg.ProduceResponse](b, req, 9)
		var got []string
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				got = append(got, fmt.Sprintf("%s-%d:%d", topic.Topic, p.Partition, p.ErrorCode))
			}
		}
		if want := "b-0:0 b-7:3 c-0:3 a-1:0 a-0:0"; strings.Join(got, " ") != want {
			t.Errorf("answered %q, want %q", strings.Join(got, " "), want)
		}
	})
}

func TestLogAppendTimeIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", map[string]string{cluster.ConfigMessageTimestampType: "LogAppendTime"}, []cluster.BrokerID{1})
		resp := ask[*kmsg.ProduceResponse](b, produceRequest("orders", 0, -1, batch(1).Bytes()), 9)
		part := resp.Topics[0].Partitions[0]
		wantCode(t, "append", part.ErrorCode, codeNone)
		if want := time.Now().UnixMilli(); part.LogAppendTime != want {
			t.Errorf("log append time %d, want %d", part.LogAppendTime, want)
		}
	})
}
