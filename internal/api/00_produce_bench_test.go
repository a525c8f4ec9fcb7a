package api

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/wire"
)

// BenchmarkProduce is one connection that pipelines produce requests of one
// batch of about 1 KiB, acks=all, to a topic of one replica: frame, decode,
// append, acknowledge, encode. Allocations are those of both ends, of which the
// client makes none.
func BenchmarkProduce(b *testing.B) {
	const window = 32
	bed := newBed(b)
	bed.topic("orders", nil, []cluster.BrokerID{1})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	bed.run(bed.parts.RunStorage)
	bed.run(wire.New(wire.Options{Listener: listener, Handler: bed.api}).Serve)
	nc, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	req := produceRequest("orders", 0, -1, record.NewBuilder(0).Append(nil, make([]byte, 1000), nil, 1).Bytes())
	req.SetVersion(9)
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	answer := make([]byte, 1024)

	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	sent := make(chan struct{}, window)
	written := make(chan error, 1)
	go func() {
		for range b.N {
			sent <- struct{}{}
			if _, err := nc.Write(frame); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	for range b.N {
		if _, err := io.ReadFull(nc, answer[:4]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(nc, answer[:binary.BigEndian.Uint32(answer)]); err != nil {
			b.Fatal(err)
		}
		<-sent
	}
	if err := <-written; err != nil {
		b.Fatal(err)
	}
}
