package replication

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/partition"
)

// TestOutFramesGather writes small and large frames over TCP, where the large
// ones' batches are not copied, and over a pipe, where all are.
func TestOutFramesGather(t *testing.T) {
	t.Parallel()
	var chunks []partition.Chunk
	for i, size := range []int{10, minGatherBytes, 100, 3 * minGatherBytes, minGatherBytes - 1} {
		half := bytes.Repeat([]byte{byte(i)}, size/2)
		chunks = append(chunks, partition.Chunk{Base: int64(i), Next: int64(i + 1), Batches: [][]byte{half, half}})
	}
	write := func(near, far net.Conn) []byte {
		out := newOutFrames(near)
		got := make(chan []byte)
		go func() {
			all, _ := io.ReadAll(far)
			got <- all
		}()
		for range 2 { // the second time with used memory
			out.reset()
			for i, c := range chunks {
				out.data(testKey(byte(i)), c)
			}
			out.buf = appendPing(out.buf, kindPing, 7)
			if n, err := out.write(time.Now().Add(time.Second)); err != nil || n != out.len() {
				t.Errorf("wrote %d of %d: %v", n, out.len(), err)
			}
		}
		if _, tcp := near.(*net.TCPConn); tcp != (len(out.splits) > 0) {
			t.Errorf("%T: %d frames gathered", near, len(out.splits))
		}
		_ = near.Close()
		return <-got
	}
	near, far := net.Pipe()
	want := write(near, far)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if got := write(near, far); !bytes.Equal(got, want) {
		t.Errorf("%d bytes over TCP, %d over a pipe, or they differ", len(got), len(want))
	}
	frames := newFrameReader(bytes.NewReader(want), 1<<20)
	for i := range 2 * (len(chunks) + 1) {
		if _, err := frames.next(); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
}
