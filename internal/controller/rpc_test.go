package controller

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/peer"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

// sampleMessages holds requests and answers with every field set.
func sampleMessages() []any {
	tp := cluster.TopicPartition{TopicID: cluster.UUID{9}, Partition: 3}
	return []any{
		request{TimeoutMillis: 1000, Command: json.RawMessage(`{"v":1}`)},
		request{TimeoutMillis: 1000, Heartbeat: &Heartbeat{
			Broker: 2, Epoch: 7, AppliedIndex: 8, WantFence: true, OldestFsyncAge: time.Second,
			FailedReplicas: []cluster.TopicPartition{tp}, LowSpace: true,
			NoLeaderStream: []Silence{{Broker: 1, For: 3 * time.Second}}, NoFollowerStream: []Silence{{Broker: 3, For: 4 * time.Second}},
		}},
		request{TimeoutMillis: 1000, Create: &createRequest{ID: cluster.UUID{9}, Spec: TopicSpec{
			Name: "t", Partitions: 3, ReplicationFactor: 2, Assignment: [][]cluster.BrokerID{{1, 2}}, Configs: map[string]string{"a": "b"},
		}}},
		request{TimeoutMillis: 100, NewerThan: new(uint64)},
		response{Image: json.RawMessage(`{"index":7}`)},
		response{NotController: true, Leader: 3},
		response{Again: "busy", Uncertain: true},
		response{Err: &wireError{Cause: "unknown_topic", Text: "no such topic"}},
		response{Result: wireResult{
			Errs: []*wireError{nil, {Cause: "not_leader", Text: "no"}}, Index: 9, BrokerEpoch: 7, FirstProducerID: 1000, TopicID: cluster.UUID{9},
		}},
	}
}

// TestMessagesGolden pins the wire format: if it fails, brokers of different
// versions no longer understand each other.
func TestMessagesGolden(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, m := range sampleMessages() {
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(data)
		got.WriteByte('\n')
		back := reflect.New(reflect.TypeOf(m))
		if err := json.Unmarshal(data, back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), m) {
			t.Errorf("%s comes back as %+v, error %v", data, back.Elem(), err)
		}
	}
	path := filepath.Join("testdata", "messages.golden")
	if *rewrite {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("messages are\n%s\nwant\n%s", got.String(), want)
	}
}

// TestErrorsKeepTheirIdentity sends every cause there and back.
func TestErrorsKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range causes() {
		err := fmt.Errorf("broker 3: %w", c.err)
		back := encodeError(err).decode()
		if !errors.Is(back, c.err) || back.Error() != err.Error() {
			t.Errorf("%v comes back as %v", err, back)
		}
	}
	if back := encodeError(nil).decode(); back != nil {
		t.Errorf("no error comes back as %v", back)
	}
	for _, w := range []*wireError{encodeError(errors.New("disk full")), {Cause: "from the future", Text: "disk full"}} {
		if back := w.decode(); back == nil || back.Error() != "disk full" || errors.Unwrap(back) != nil {
			t.Errorf("%+v comes back as %v, want an error without identity", w, back)
		}
	}
	res := cluster.Result{Index: 1, Errs: []error{nil, cluster.ErrNotLeader}}
	back := encodeResult(res).decode()
	if len(back.Errs) != 2 || back.Errs[0] != nil || !errors.Is(back.Errs[1], cluster.ErrNotLeader) {
		t.Errorf("result comes back as %+v", back)
	}
}

func TestMessagesOnTheWire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		deadline := time.Now().Add(time.Second)
		sent := make(chan error, 1)
		go func() { sent <- writeMessage(near, request{TimeoutMillis: 5}, deadline) }()
		var req request
		if err := readMessage(far, &req, deadline); err != nil || req.TimeoutMillis != 5 {
			t.Errorf("read %+v, error %v", req, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if err := readMessage(far, &req, deadline); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nothing sent: error %v, want %v", err, os.ErrDeadlineExceeded)
		}
		huge := request{Command: json.RawMessage(`"` + strings.Repeat("x", maxMessageBytes) + `"`)}
		if err := writeMessage(near, huge, deadline); !errors.Is(err, cluster.ErrInvalidRequest) {
			t.Errorf("too large: error %v, want %v", err, cluster.ErrInvalidRequest)
		}
	})
}

// bytesConn is a connection that has received some bytes and then ended.
type bytesConn struct {
	net.Conn
	io.Reader
}

func (c bytesConn) Read(p []byte) (int, error)    { return c.Reader.Read(p) }
func (bytesConn) SetReadDeadline(time.Time) error { return nil }

func TestReadMessageRefusesGarbage(t *testing.T) {
	t.Parallel()
	frame := func(length uint32, body string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, length), body...)
	}
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{name: "nothing", want: io.EOF},
		{name: "half a length", data: []byte{0, 0}, want: io.ErrUnexpectedEOF},
		{name: "less than promised", data: frame(100, "{}"), want: io.ErrUnexpectedEOF},
		{name: "a gigabyte promised", data: frame(1<<30, "{}"), want: cluster.ErrInvalidRequest},
		{name: "no json", data: frame(3, "GET"), want: nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var req request
			err := readMessage(bytesConn{Reader: bytes.NewReader(tt.data)}, &req, time.Time{})
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// FuzzAnswer looks for requests that panic the controller.
func FuzzAnswer(f *testing.F) {
	for _, m := range sampleMessages() {
		data, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"create":{"spec":{"name":"t","partitions":2147483647,"replication_factor":1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var req request
		if json.Unmarshal(data, &req) != nil {
			return
		}
		n := peer.NewMemNetwork()
		defer n.Close()
		c := New(Options{Self: 1, Store: meta.NewMemory(1), Network: n.Host("a")})
		c.term.Store(newTerm(c.o))
		req.TimeoutMillis = min(req.TimeoutMillis, 10)
		c.answer(t.Context(), caller{broker: 2}, req)
	})
}
