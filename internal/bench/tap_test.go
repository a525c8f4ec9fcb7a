package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// replay is a connection that has the given bytes to read, a few at a time.
type replay struct {
	net.Conn
	in   *bytes.Reader
	step int
}

func (r *replay) Read(p []byte) (int, error)  { return r.in.Read(p[:min(r.step, len(p))]) }
func (r *replay) Write(p []byte) (int, error) { return len(p), nil }

// response frames a produce response that has one error.
func response(id int32, version int16, partition int32, code int16) []byte {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = version
	topic, p := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
	p.Partition, p.ErrorCode = partition, code
	topic.Partitions = append(topic.Partitions, p)
	resp.Topics = append(resp.Topics, topic)
	body := binary.BigEndian.AppendUint32(nil, uint32(id))
	if resp.IsFlexible() {
		body = append(body, 0)
	}
	body = resp.AppendTo(body)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// request is the header of a request, which is all that the tap looks at.
func request(id int32, key, version int16) []byte {
	p := binary.BigEndian.AppendUint32(nil, 8)
	p = binary.BigEndian.AppendUint16(p, uint16(key))
	p = binary.BigEndian.AppendUint16(p, uint16(version))
	return binary.BigEndian.AppendUint32(p, uint32(id))
}

func TestTapHearsProduceErrorsHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	notLeader, notEnough := kerr.NotLeaderForPartition, kerr.NotEnoughReplicasAfterAppend
	stream := bytes.Join([][]byte{
		response(1, 8, 3, notLeader.Code),
		{0, 0, 0, 6, 0, 0, 0, 9, 'x', 'y'}, // to a request of another kind
		binary.BigEndian.AppendUint32(nil, maxTapped+1), make([]byte, maxTapped+1),
		{0, 0, 0, 0}, // empty
		response(2, 12, 4, notEnough.Code),
		response(7, 12, 5, notEnough.Code), // nobody asked
		response(3, 12, 6, 0),
		{0, 0, 0, 5, 0, 0, 0, 4, 0xff}, // not a response
	}, nil)
	for _, step := range []int{1, 3, 1 << 16} {
		listener := newTap()
		conn := &tappedConn{Conn: &replay{in: bytes.NewReader(stream), step: step}, tap: listener, asked: map[int32]awaited{}}
		before := time.Now().Add(-time.Second)
		for _, p := range [][]byte{request(1, 0, 8), request(9, 3, 12), request(2, 0, 12), request(3, 0, 12), request(4, 0, 12), {1, 2}} {
			if _, err := conn.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		var passed []byte
		buf := make([]byte, 1<<16)
		for n, err := conn.Read(buf); err == nil; n, err = conn.Read(buf) {
			passed = append(passed, buf[:n]...)
		}
		if !bytes.Equal(passed, stream) {
			t.Fatalf("step %d: the client got other bytes than were sent", step)
		}
		for _, tt := range []struct {
			name      string
			partition int32
			sent      time.Time
			want      error
		}{
			{name: "old version", partition: 3, sent: before, want: notLeader},
			{name: "flexible version", partition: 4, sent: before, want: notEnough},
			{name: "nobody asked", partition: 5, sent: before},
			{name: "no error", partition: 6, sent: before},
			{name: "an error from before the record was sent", partition: 3, sent: time.Now().Add(time.Second)},
		} {
			if got := listener.errorSince(tt.partition, tt.sent); !errors.Is(got, tt.want) {
				t.Errorf("step %d, %s: got %v, want %v", step, tt.name, got, tt.want)
			}
		}
		if len(conn.asked) != 0 {
			t.Errorf("step %d: %d requests are still waited for", step, len(conn.asked))
		}
	}
}

func FuzzTap(f *testing.F) {
	f.Add(response(1, 12, 3, 6))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(_ *testing.T, p []byte) {
		conn := &tappedConn{tap: newTap(), asked: map[int32]awaited{1: {version: 12}, 0: {version: 3}}}
		conn.listen(p)
	})
}
