package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BenchmarkDecodeProduce reads a produce request with records of so many bytes off
// a connection and decodes it: the frame is the one buffer that is as large.
func BenchmarkDecodeProduce(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			req := kmsg.NewPtrProduceRequest()
			req.Acks = -1
			req.Topics = []kmsg.ProduceRequestTopic{{
				Topic: "orders", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: make([]byte, size)}},
			}}
			frame := requestFrame(req, 9)
			frame = append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
			var r bytes.Reader
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(frame)
				n, err := frameSize(&r, len(frame))
				if err != nil {
					b.Fatal(err)
				}
				body, err := readFrame(&r, n)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := decode(body, anyVersion); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncodeProduceResponse encodes the answer for one partition.
func BenchmarkEncodeProduceResponse(b *testing.B) {
	resp := kmsg.NewPtrProduceResponse()
	resp.SetVersion(9)
	resp.Topics = []kmsg.ProduceResponseTopic{{
		Topic: "orders", Partitions: []kmsg.ProduceResponseTopicPartition{{BaseOffset: 1}},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if len(encodeResponse(nil, 7, resp)) == 0 {
			b.Fatal("nothing")
		}
	}
}
