package api

import (
	"context"
	"fmt"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/wire"
)

// BenchmarkFetch handles a fetch of recent batches of 1 KiB and encodes the answer,
// as a connection does.
func BenchmarkFetch(b *testing.B) {
	bed := newBed(b)
	bed.topic("orders", nil, []cluster.BrokerID{1})
	const batches = 512
	for range batches {
		bed.produce("orders", 0, record.NewBuilder(0).Append(nil, make([]byte, 950), nil, 1))
	}
	for _, size := range []int32{1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			req := fetchRequest(13, fetchFrom{"orders", 0, 0})
			req.SetVersion(13)
			part := &req.Topics[0].Partitions[0]
			part.PartitionMaxBytes = size
			head := make([]byte, 0, 256)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				part.FetchOffset = int64(i % (batches / 2))
				reply, err := bed.api.Handle(context.Background(), &wire.Request{Header: wire.Header{Key: 1, Version: 13}, Body: req})
				if err != nil {
					b.Fatal(err)
				}
				resp, err := reply.Wait(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				reply.(wire.Holder).Release()
				n := 0
				for _, piece := range resp.(wire.Gatherer).AppendPieces(head) {
					n += len(piece)
				}
				if n < int(size)-2048 { // whole batches
					b.Fatalf("%d bytes", n)
				}
			}
		})
	}
}
