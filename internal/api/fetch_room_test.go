package api

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/wire"
)

// fetchVersion is the version that these tests fetch with.
const fetchVersion = 12

// bigBatch is one record of so many bytes.
func bigBatch(bytes int) *record.Builder {
	return record.NewBuilder(0).Append(nil, make([]byte, bytes), nil, 1)
}

// greedy asks for all of a topic's records, waiting for so long at most.
func greedy(wait time.Duration) *kmsg.FetchRequest {
	req := fetchRequest(fetchVersion, fetchFrom{"orders", 0, 0})
	req.MaxBytes, req.MaxWaitMillis = 50<<20, int32(wait.Milliseconds())
	req.Topics[0].Partitions[0].PartitionMaxBytes = 50 << 20
	return req
}

// slowFetch fetches for a client that does not take the response: until the
// returned function is called, it holds its records.
func slowFetch(b *bed, req *kmsg.FetchRequest) (records int, release func()) {
	b.t.Helper()
	reply, err := b.begin(req, fetchVersion)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := reply.Wait(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, chunks := range resp.(*fetchResponse).batches {
		for _, chunk := range chunks {
			records += len(chunk)
		}
	}
	return records, reply.(wire.Holder).Release
}

// Consumers that ask for everything and take nothing hold no more than the
// budget, and one that does take what it gets still gets something each time.
func TestSlowConsumersHoldNoMoreThanTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit, slow = 4 << 20, 20
		b := newBed(t, func(o *Options) { o.FetchBytes = limit })
		b.topic("orders", nil, []cluster.BrokerID{1})
		for range 100 {
			b.produce("orders", 0, bigBatch(60<<10))
		}
		total := 0
		var releases []func()
		for i := range slow {
			records, release := slowFetch(b, greedy(0))
			total += records
			releases = append(releases, release)
			if records == 0 {
				t.Fatalf("nothing for slow consumer %d, while others hold %d of %d bytes", i+1, total, limit)
			}
		}
		if used, _ := b.api.room.Used(); used != total || total > limit {
			t.Errorf("%d bytes held, %d counted; want the same, and %d at most", total, used, limit)
		}
		at := int64(0)
		for range 50 {
			part := fetchOne(b, fetchRequest(fetchVersion, fetchFrom{"orders", 0, at}), fetchVersion)
			got := offsets(t, part.RecordBatches)
			if len(got) == 0 {
				t.Fatalf("no progress at offset %d beside %d slow consumers", at, slow)
			}
			at = got[len(got)-1] + 1
		}
		for _, release := range releases {
			release()
		}
		if used, waiting := b.api.room.Used(); used != 0 || waiting != 0 {
			t.Errorf("%d bytes held and %d fetches waiting at the end, want none", used, waiting)
		}
	})
}

// With nothing left a fetch waits its turn; when its time is over it is answered
// without records, and with the offsets that clients go by.
func TestAFetchWithoutRoomWaitsItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) { o.FetchBytes = 100 << 10 })
		b.topic("orders", nil, []cluster.BrokerID{1})
		for range 2 {
			b.produce("orders", 0, bigBatch(80<<10))
		}
		records, release := slowFetch(b, greedy(0)) // larger than its share
		if records < 80<<10 {
			t.Fatalf("%d bytes for the first one, want a batch", records)
		}
		began := time.Now()
		part := fetchOne(b, greedy(0), fetchVersion)
		if len(part.RecordBatches) > 0 || part.ErrorCode != 0 || part.HighWatermark != 2 || time.Since(began) != roomPatience {
			t.Errorf("%d bytes, code %d, high watermark %d after %v; want none, 0, 2 and %v",
				len(part.RecordBatches), part.ErrorCode, part.HighWatermark, time.Since(began), roomPatience)
		}
		got := make(chan kmsg.FetchResponseTopicPartition, 1)
		go func() { got <- fetchOne(b, greedy(time.Minute), fetchVersion) }()
		synctest.Wait()
		tip := fetchRequest(fetchVersion, fetchFrom{"orders", 0, 2}) // needs no room: there is nothing
		tip.MaxWaitMillis = 100
		began = time.Now()
		if part := fetchOne(b, tip, fetchVersion); len(part.RecordBatches) > 0 || time.Since(began) != 100*time.Millisecond {
			t.Errorf("%d bytes after %v at the end of the log, want none after 100ms", len(part.RecordBatches), time.Since(began))
		}
		if len(got) > 0 {
			t.Error("answered while there is no room")
		}
		release()
		if part := <-got; len(part.RecordBatches) < 80<<10 {
			t.Errorf("%d bytes once there is room, want a batch", len(part.RecordBatches))
		}
	})
}

// TestALargeBatchHoldsUpOthersBriefly: a fetch that needs more than there is keeps
// its place at the front of the queue for roomPatience, not for its own time.
func TestALargeBatchHoldsUpOthersBriefly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) { o.FetchBytes = 200 << 10 })
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.topic("small", nil, []cluster.BrokerID{1})
		b.produce("orders", 0, bigBatch(110<<10))
		b.produce("small", 0, bigBatch(10<<10))
		records, release := slowFetch(b, greedy(0))
		if records < 110<<10 {
			t.Fatalf("%d bytes for the first one, want a batch", records)
		}
		large := make(chan kmsg.FetchResponseTopicPartition, 1)
		go func() { large <- fetchOne(b, greedy(time.Minute), fetchVersion) }()
		synctest.Wait()
		req := greedy(time.Minute)
		req.Topics[0].Topic = "small"
		began := time.Now()
		part := fetchOne(b, req, fetchVersion)
		if took := time.Since(began); took > roomPatience || len(part.RecordBatches) < 10<<10 {
			t.Errorf("%d bytes after %v, want the batch that there was room for all the time", len(part.RecordBatches), took)
		}
		if part := <-large; len(part.RecordBatches) > 0 || part.HighWatermark != 1 {
			t.Errorf("%d bytes for the large one, want none", len(part.RecordBatches))
		}
		release()
		if part := fetchOne(b, greedy(0), fetchVersion); len(part.RecordBatches) < 110<<10 {
			t.Errorf("%d bytes once there is room, want the batch", len(part.RecordBatches))
		}
	})
}

// Who waits for room leaves nothing behind when the client goes away.
func TestAFetchThatWaitsForRoomEndsWithItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) { o.FetchBytes = 100 << 10 })
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.produce("orders", 0, bigBatch(80<<10))
		_, release := slowFetch(b, greedy(0))
		reply, err := b.begin(greedy(time.Minute), fetchVersion)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if _, err := reply.Wait(ctx); err == nil {
				reply.(wire.Holder).Release()
			}
		}()
		synctest.Wait()
		cancel()
		<-ended
		release()
		if used, waiting := b.api.room.Used(); used != 0 || waiting != 0 {
			t.Errorf("%d bytes held and %d fetches waiting at the end, want none", used, waiting)
		}
	})
}

// A client that wants to wait for more than there is room for gets what fits,
// and does not wait.
func TestAFetchDoesNotWaitForMoreThanItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) { o.FetchBytes = 4 << 20 })
		b.topic("orders", nil, []cluster.BrokerID{1})
		for range 20 {
			b.produce("orders", 0, bigBatch(60<<10))
		}
		req := greedy(time.Minute)
		req.MinBytes = 1 << 20
		began := time.Now()
		part := fetchOne(b, req, fetchVersion)
		if took := time.Since(began); took != 0 || len(part.RecordBatches) < 100<<10 {
			t.Errorf("%d bytes after %v, want a share at once", len(part.RecordBatches), took)
		}
	})
}

// A client that waits for more records than there are holds none meanwhile.
func TestAFetchThatWaitsForRecordsHoldsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.produce("orders", 0, bigBatch(60<<10))
		req := greedy(time.Minute)
		req.MinBytes = 1 << 20
		got := make(chan kmsg.FetchResponseTopicPartition, 1)
		go func() { got <- fetchOne(b, req, fetchVersion) }()
		synctest.Wait()
		if used, _ := b.api.room.Used(); used != 0 || len(got) > 0 {
			t.Errorf("%d bytes held, %d answers while it waits, want none", used, len(got))
		}
		if part := <-got; len(part.RecordBatches) < 60<<10 {
			t.Errorf("%d bytes when its time is over, want the batch", len(part.RecordBatches))
		}
	})
}
