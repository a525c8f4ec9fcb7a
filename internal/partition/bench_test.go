package partition

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// newBenchReplica is the only replica of a partition, on a disk in memory. Its
// lease outlives any benchmark.
func newBenchReplica(b *testing.B) *Replica {
	b.Helper()
	disk := vfs.NewMem()
	log, err := wal.Open(wal.Options{FS: disk, Dir: "data/wal", FileBytes: 4 << 20, FirstFileBytes: 64 << 10, MaxReplayBytes: math.MaxInt64})
	if err != nil {
		b.Fatal(err)
	}
	table := NewTable(Options{Self: 1, Incarnation: cluster.UUID{1}, FS: disk, Dir: "data", WAL: log, Lease: time.Hour, TailBytes: 8 << 20, CheckpointBytes: 8 << 20})
	if _, err := table.Recover(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = log.Run(ctx) })
	running.Go(func() { _ = table.Run(ctx) })
	running.Go(func() { _ = table.RunStorage(ctx) })
	b.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return leadOnly(b, table, 1)[0]
}

// append1KiB appends a batch of one record.
func append1KiB(b *testing.B, r *Replica, batch record.Batch) *Pending {
	p, err := r.Append(context.Background(), AppendRequest{
		Batch: append(record.Batch(nil), batch...), Acks: AcksAll, Deadline: time.Now().Add(time.Minute), Epoch: cluster.NoEpoch,
	})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// BenchmarkAppend is from an append to its acknowledgement with so many in flight,
// on a disk that takes no time: lock, window of the producer, write-ahead log,
// high watermark, waiter. One allocation of a KiB is the batch's own.
func BenchmarkAppend(b *testing.B) {
	batch := record.NewBuilder(0).Append(nil, make([]byte, 1000), nil, 1).Bytes()
	for _, inFlight := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(inFlight), func(b *testing.B) {
			r := newBenchReplica(b)
			pending := make([]*Pending, inFlight)
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if p := pending[i%inFlight]; p != nil {
					if <-p.Done(); p.Err() != nil {
						b.Fatal(p.Err())
					}
				}
				pending[i%inFlight] = append1KiB(b, r, batch)
			}
		})
	}
}

// BenchmarkRead is a consumer's read of what was just written, in batches of 1 KiB.
func BenchmarkRead(b *testing.B) {
	const batches = 1024
	r := newBenchReplica(b)
	batch := record.NewBuilder(0).Append(nil, make([]byte, 950), nil, 1).Bytes()
	var last *Pending
	for range batches {
		last = append1KiB(b, r, batch)
	}
	<-last.Done()
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				res, err := r.Read(ReadRequest{
					Offset: int64(i % (batches / 2)), MaxBytes: size, MinOne: true,
					CurrentEpoch: cluster.NoEpoch, LastFetchedEpoch: cluster.NoEpoch,
				})
				if err != nil || len(res.Batches) == 0 {
					b.Fatal(len(res.Batches), err)
				}
			}
		})
	}
}
