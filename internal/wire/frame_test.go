package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// unhex reads bytes written as hexadecimal with spaces.
func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeGoldenFrames(t *testing.T) {
	t.Parallel()
	transactionID := "tx"
	tests := []struct {
		name  string
		frame string
		want  Request
	}{
		{
			name:  "ApiVersions v0, no client id",
			frame: "0012 0000 00000001 ffff",
			want:  Request{Header: Header{18, 0, 1}, Body: kmsg.NewPtrApiVersionsRequest()},
		},
		{
			name:  "ApiVersions v3, flexible header",
			frame: "0012 0003 00000002 0003 6b676f 00 04 6b676f 04 312e30 00",
			want: Request{
				Header: Header{18, 3, 2}, ClientID: "kgo",
				Body: &kmsg.ApiVersionsRequest{Version: 3, ClientSoftwareName: "kgo", ClientSoftwareVersion: "1.0", NodeID: -1},
			},
		},
		{
			name:  "ApiVersions of a version to come, whose header cannot be read",
			frame: "0012 7fff 00000003 fffffffffffffff0",
			want:  Request{Header: Header{18, 32767, 3}, Body: kmsg.NewPtrApiVersionsRequest()},
		},
		{
			name:  "Produce v3",
			frame: "0000 0003 00000004 0001 61 0002 7478 ffff 00001388 00000001 0001 74 00000001 00000002 00000003 010203",
			want: Request{
				Header: Header{0, 3, 4}, ClientID: "a",
				Body: &kmsg.ProduceRequest{
					Version: 3, TransactionID: &transactionID, Acks: -1, TimeoutMillis: 5000,
					Topics: []kmsg.ProduceRequestTopic{{
						Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 2, Records: []byte{1, 2, 3}}},
					}},
				},
			},
		},
		{
			name:  "Produce v9",
			frame: "0000 0009 00000005 0001 61 00 00 0001 00001388 02 02 74 02 00000002 04 010203 00 00 00",
			want: Request{
				Header: Header{0, 9, 5}, ClientID: "a",
				Body: &kmsg.ProduceRequest{
					Version: 9, Acks: 1, TimeoutMillis: 5000,
					Topics: []kmsg.ProduceRequestTopic{{
						Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 2, Records: []byte{1, 2, 3}}},
					}},
				},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := decode(unhex(t, tt.frame), servedVersions)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("got %+v body %+v\nwant %+v body %+v", got, got.Body, tt.want, tt.want.Body)
			}
		})
	}
}

// servedVersions is a broker that serves ApiVersions only up to version 4.
func servedVersions(key int16) (lowest, highest int16, ok bool) {
	if key == apiVersionsKey {
		return 0, 4, true
	}
	return anyVersion(key)
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		frame string
		want  error
		text  string
	}{
		{name: "no header", frame: "0012 0000 0000", want: ErrMalformed, text: "frame of 6 bytes"},
		{name: "unknown key", frame: "7000 0000 00000001 ffff", want: ErrUnsupported, text: "key 28672 version 0, correlation id 1: decode"},
		{name: "version too high", frame: "0003 0063 00000001 ffff", want: ErrUnsupported, text: "versions 0 to 13 are served"},
		{name: "negative version", frame: "0003 ffff 00000001 ffff", want: ErrUnsupported, text: "key 3 version -1"},
		{name: "header ends in the client id", frame: "0003 0000 00000001 0009 61", want: ErrMalformed, text: "header: 9 bytes wanted, 1 are left"},
		{name: "too many header tags", frame: "0012 0003 00000001 ffff 7f" + strings.Repeat(" 01 00", 127), want: ErrMalformed, text: "header:"},
		{name: "null where it is not allowed", frame: "0003 0000 00000001 ffff 00000001 ffff", want: ErrMalformed, text: "decode"},
		{name: "empty body", frame: "0000 0003 00000001 ffff", want: ErrMalformed, text: "2 bytes wanted, 0 are left"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(unhex(t, tt.frame), anyVersion)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

func TestResponseGoldenFrames(t *testing.T) {
	t.Parallel()
	producerID := func(version int16) kmsg.Response {
		resp := kmsg.NewPtrInitProducerIDResponse()
		resp.Version, resp.ProducerID, resp.ProducerEpoch = version, 5, 1
		return resp
	}
	versions := func(version int16) kmsg.Response {
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.Version = version
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 18, MaxVersion: 4}}
		return resp
	}
	tests := []struct {
		name string
		resp kmsg.Response
		want string
	}{
		{name: "plain", resp: producerID(0), want: "00000014 00000007 00000000 0000 0000000000000005 0001"},
		{name: "flexible has header tags", resp: producerID(2), want: "00000016 00000007 00 00000000 0000 0000000000000005 0001 00"},
		{name: "ApiVersions v0", resp: versions(0), want: "00000010 00000007 0000 00000001 0012 0000 0004"},
		{name: "ApiVersions v3 has no header tags", resp: versions(3), want: "00000013 00000007 0000 02 0012 0000 0004 00 00000000 00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pieces := encodeResponse([]byte("kept"), 7, tt.resp)
			if got, want := bytes.Join(pieces, nil), append([]byte("kept"), unhex(t, tt.want)...); !bytes.Equal(got, want) {
				t.Errorf("got  % x\nwant % x", got, want)
			}
		})
	}
}

// trickle is a client that sends at most n bytes at a time.
type trickle struct {
	r io.Reader
	n int
}

func (t trickle) Read(p []byte) (int, error) { return t.r.Read(p[:min(len(p), t.n)]) }

func TestReadFrameAllocatesWhatArrives(t *testing.T) {
	const announced = 64 << 20
	tests := []struct {
		name  string
		sent  int
		limit uint64
	}{
		{name: "nothing sent", sent: 0, limit: 2 * firstReadBytes},
		{name: "a little sent", sent: 100, limit: 2 * firstReadBytes},
		{name: "a mebibyte sent", sent: 1 << 20, limit: 2 * (1 + growth) << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent := make([]byte, tt.sent)
			var err error
			took := allocated(func() {
				_, err = readFrame(trickle{bytes.NewReader(sent), 1000}, announced)
			})
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v, want ErrUnexpectedEOF", err)
			}
			if took > tt.limit {
				t.Errorf("%d bytes allocated for %d received, want at most %d", took, tt.sent, tt.limit)
			}
		})
	}
}

func TestReadFrameReturnsTheBytes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, firstReadBytes, firstReadBytes + 1, growth*firstReadBytes + 1, 1 << 20} {
		sent := make([]byte, size)
		rng := rand.New(rand.NewPCG(1, uint64(size)))
		for i := range sent {
			sent[i] = byte(rng.Uint32())
		}
		got, err := readFrame(trickle{bytes.NewReader(append(sent, "next frame"...)), 4097}, size)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("size %d: %d bytes, error %v; want the bytes sent", size, len(got), err)
		}
	}
}

// FuzzDecode feeds frames to the decoder. It must refuse or decode them, in
// either case without panicking and at a cost that the frame justifies; what it
// accepts must survive being encoded and decoded again.
func FuzzDecode(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for key := range shapes {
		for version := range kmsg.RequestForKey(key).MaxVersion() + 1 {
			f.Add(requestFrame(randomRequest(rng, key, version), version))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		req, err := decode(frame, anyVersion)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error %v is neither ErrMalformed nor ErrUnsupported", err)
			}
			return
		}
		if got := int16(binary.BigEndian.Uint16(frame)); req.Body.Key() != got || req.Key != got {
			t.Fatalf("key %d decoded as %d", got, req.Body.Key())
		}
		again := kmsg.RequestForKey(req.Key)
		again.SetVersion(req.Body.GetVersion())
		if err := again.ReadFrom(req.Body.AppendTo(nil)); err != nil {
			t.Fatalf("accepted, and not readable once encoded again: %v", err)
		}
	})
}

// gathered is a response in many pieces.
type gathered struct {
	kmsg.ApiVersionsResponse
	pieces [][]byte
}

func (g *gathered) AppendTo(dst []byte) []byte { return append(dst, bytes.Join(g.pieces, nil)...) }

func (g *gathered) AppendPieces(dst []byte) [][]byte {
	return append([][]byte{append(dst, g.pieces[0]...)}, g.pieces[1:]...)
}

func TestPiecesMakeTheSameFrame(t *testing.T) {
	t.Parallel()
	g := &gathered{pieces: [][]byte{[]byte("head"), []byte("records"), nil, []byte("tail")}}
	got := bytes.Join(encodeResponse(make([]byte, 0, 100), 7, g), nil)
	if want := "\x00\x00\x00\x13\x00\x00\x00\x07headrecordstail"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSplitKeepsAllBytes(t *testing.T) {
	t.Parallel()
	pieces := [][]byte{[]byte("ab"), nil, []byte("cdefg"), []byte("h")}
	for n := 1; n <= 10; n++ {
		var chunks []string
		for rest := pieces; len(rest) > 0; {
			var first [][]byte
			first, rest = split(rest, n)
			chunks = append(chunks, string(bytes.Join(first, nil)))
		}
		for i, chunk := range chunks {
			if len(chunk) > n || (len(chunk) < n && i < len(chunks)-1) {
				t.Errorf("chunks of at most %d bytes: %q", n, chunks)
			}
		}
		if all := strings.Join(chunks, ""); all != "abcdefgh" {
			t.Errorf("chunks of at most %d bytes: %q", n, chunks)
		}
	}
}
