package replication

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files: only when the wire format is meant to change")

func testKey(n byte) key {
	k := key{epoch: cluster.Epoch(n), session: 0x0102030405060700 + uint64(n)}
	for i := range k.tp.TopicID {
		k.tp.TopicID[i] = n<<4 | byte(i)
	}
	k.tp.Partition = int32(n) * 3
	return k
}

// testFrames are one frame of every kind, with every field set and different.
func testFrames() []struct {
	name  string
	bytes []byte
} {
	type row = struct {
		name  string
		bytes []byte
	}
	return []row{
		{name: "Open", bytes: appendFrame(nil, kindOpen, []open{
			{key: testKey(1), partitionEpoch: 7, metaIndex: 8, leaderEnd: 9, logStart: 10},
			{key: testKey(2), partitionEpoch: 11, metaIndex: 12, leaderEnd: 13, logStart: 14},
		})},
		{name: "OpenAck", bytes: appendFrame(nil, kindOpenAck, []openAck{
			{key: testKey(1), code: openOK, seenEpoch: cluster.NoEpoch, appliedIndex: 5, position: partition.FollowerPosition{
				BrokerEpoch: 6, LogStart: 7, LogEnd: 8, DurableEnd: 9,
				Epochs: []partition.EpochStart{{Epoch: 1, Start: 0}, {Epoch: 3, Start: 40}},
			}},
			{key: testKey(2), code: openFenced, seenEpoch: 12, appliedIndex: 13},
		})},
		{name: "Truncate", bytes: appendFrame(nil, kindTruncate, []truncate{
			{key: testKey(1), to: 77}, {key: testKey(2), reset: true, to: 78},
		})},
		{name: "Truncated", bytes: appendFrame(nil, kindTruncated, []truncated{{key: testKey(1), durableEnd: 77}})},
		{name: "Data", bytes: data{
			key: testKey(1), base: 100, prevEpoch: 4, prevCRC: 0xcafebabe, highWatermark: 90, logStart: 20,
		}.append(nil, [][]byte{[]byte("first batch"), []byte("second batch")}, nil)},
		{name: "HW", bytes: appendFrame(nil, kindHW, []watermark{{key: testKey(1), highWatermark: 91}, {key: testKey(2), highWatermark: 92}})},
		{name: "Ack", bytes: appendAcks(nil, round{fsync: 140 * time.Microsecond, queue: 33 * time.Microsecond}, []ack{
			{key: testKey(1), durableEnd: 93, appendedEnd: 95}, {key: testKey(2), durableEnd: 94, appendedEnd: 96},
		})},
		{name: "Ping", bytes: appendPing(nil, kindPing, 0x1122334455667788)},
		{name: "Pong", bytes: appendPing(nil, kindPong, 0x1122334455667788)},
		{name: "Err", bytes: appendFrame(nil, kindErr, []sessionErr{{key: testKey(1), code: errCodeDiverged, text: "gap at 95"}})},
	}
}

// TestFramesAreStable pins the wire format. If it fails, brokers of different
// versions no longer understand each other.
func TestFramesAreStable(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for _, f := range testFrames() {
		text.WriteString(f.name + "\n" + hex.Dump(f.bytes) + "\n")
	}
	golden := filepath.Join("testdata", "frames.golden")
	if *rewrite {
		if err := os.WriteFile(golden, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := text.String(); got != string(want) {
		t.Errorf("frames differ from %s\ngot:\n%s\nwant:\n%s", golden, got, want)
	}
}

// TestFramesRoundTrip reads every frame back from one stream and compares what
// its entries say.
func TestFramesRoundTrip(t *testing.T) {
	t.Parallel()
	var stream []byte
	for _, f := range testFrames() {
		stream = append(stream, f.bytes...)
	}
	r := newFrameReader(bytes.NewReader(stream), 1<<20)
	for _, want := range testFrames() {
		f, err := r.next()
		if err != nil {
			t.Fatalf("%s: %v", want.name, err)
		}
		if f.kind.String() != want.name {
			t.Fatalf("kind = %s, want %s", f.kind, want.name)
		}
		again, err := reencode(f)
		if err != nil {
			t.Fatalf("%s: %v", want.name, err)
		}
		if !bytes.Equal(again, want.bytes) {
			t.Errorf("%s: decoded and encoded again:\n%s\nwant:\n%s", want.name, hex.Dump(again), hex.Dump(want.bytes))
		}
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v, want EOF", err)
	}
}

// reencode decodes a frame with the decoder of its kind and encodes the result.
func reencode(f frame) ([]byte, error) {
	switch f.kind {
	case kindOpen:
		list, err := decodeOpens(f, nil)
		return appendFrame(nil, f.kind, list), err
	case kindOpenAck:
		list, err := decodeOpenAcks(f, nil)
		return appendFrame(nil, f.kind, list), err
	case kindTruncate:
		list, err := decodeTruncates(f, nil)
		return appendFrame(nil, f.kind, list), err
	case kindTruncated:
		list, err := decodeTruncateds(f, nil)
		return appendFrame(nil, f.kind, list), err
	case kindData:
		d, batches, err := decodeData(f)
		return d.append(nil, [][]byte{batches}, nil), err
	case kindHW:
		list, err := decodeWatermarks(f, nil)
		return appendFrame(nil, f.kind, list), err
	case kindAck:
		r, list, err := decodeAcks(f, nil)
		return appendAcks(nil, r, list), err
	case kindPing, kindPong:
		sent, err := decodePing(f)
		return appendPing(nil, f.kind, sent), err
	case kindErr:
		list, err := decodeSessionErrs(f, nil)
		return appendFrame(nil, f.kind, list), err
	default:
		return nil, errFrameVersion
	}
}

// TestDataOutsideTheBuffer checks that a frame whose batches are written from
// where they lie is the same as one that holds them.
func TestDataOutsideTheBuffer(t *testing.T) {
	t.Parallel()
	d := data{key: testKey(3), base: 5, prevEpoch: 1, prevCRC: 2, highWatermark: 3, logStart: 4}
	batches := [][]byte{[]byte("one"), []byte("two")}
	inside := d.append(nil, batches, nil)
	got := d.append(nil, nil, batches)
	for _, b := range batches {
		got = append(got, b...)
	}
	if !bytes.Equal(got, inside) {
		t.Errorf("outside = %x, inside = %x", got, inside)
	}
}

func TestBadFrames(t *testing.T) {
	t.Parallel()
	good := appendFrame(nil, kindTruncated, []truncated{{key: testKey(1), durableEnd: 7}})
	mutate := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	// sealed completes a frame with whatever header and body it is given.
	sealed := func(k kind, version byte, count int, body []byte) []byte {
		start, b := beginFrame(nil, k)
		b = append(b, body...)
		b[9] = version
		endFrame(b, start, count)
		return b
	}
	tests := []struct {
		name  string
		bytes []byte
		want  error
	}{
		{name: "header cut short", bytes: good[:frameHeaderBytes-1], want: io.ErrUnexpectedEOF},
		{name: "body cut short", bytes: good[:len(good)-1], want: io.ErrUnexpectedEOF},
		{name: "one bit of the body", bytes: mutate(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), want: errFrame},
		{name: "one bit of the count", bytes: mutate(func(b []byte) []byte { b[11] ^= 1; return b }), want: errFrame},
		{name: "length below the header", bytes: mutate(func(b []byte) []byte { b[3] = 3; return b }), want: errFrame},
		{name: "length beyond the limit", bytes: mutate(func(b []byte) []byte { b[0] = 0x7f; return b }), want: errFrameTooLarge},
		{name: "unknown kind", bytes: sealed(99, frameVersion, 1, nil), want: errFrameVersion},
		{name: "unknown version", bytes: sealed(kindPing, 2, 1, make([]byte, 8)), want: errFrameVersion},
		{name: "no entries", bytes: sealed(kindAck, frameVersion, 0, make([]byte, roundBytes)), want: errFrame},
		{name: "Ack without a round", bytes: sealed(kindAck, frameVersion, 1, make([]byte, 3)), want: errFrame},
		{name: "more entries than fit", bytes: sealed(kindHW, frameVersion, 3, make([]byte, 2*watermarkBytes)), want: errFrame},
		{name: "fewer entries than there are", bytes: sealed(kindHW, frameVersion, 1, make([]byte, 2*watermarkBytes)), want: errFrame},
		{name: "Truncate mode", bytes: sealed(kindTruncate, frameVersion, 1, bytes.Repeat([]byte{9}, truncateBytes)), want: errFrame},
		{name: "OpenAck code", bytes: sealed(kindOpenAck, frameVersion, 1, bytes.Repeat([]byte{9}, openAckBytes)), want: errFrame},
		{name: "OpenAck vector beyond the body", bytes: sealed(kindOpenAck, frameVersion, 1, append(make([]byte, 35), append([]byte{9}, make([]byte, openAckBytes-36)...)...)), want: errFrame},
		{name: "Err text beyond the body", bytes: sealed(kindErr, frameVersion, 1, append(make([]byte, 35), 9)), want: errFrame},
		{name: "Err text beyond the limit", bytes: sealed(kindErr, frameVersion, 1, append(make([]byte, 34), bytes.Repeat([]byte{0xff}, 70000)...)), want: errFrame},
		{name: "Data without batches", bytes: sealed(kindData, frameVersion, 1, make([]byte, dataBytes)), want: errFrame},
		{name: "two Data in one", bytes: sealed(kindData, frameVersion, 2, make([]byte, dataBytes+1)), want: errFrame},
		{name: "long Ping", bytes: sealed(kindPing, frameVersion, 1, make([]byte, 9)), want: errFrame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := newFrameReader(bytes.NewReader(tt.bytes), 1<<20).next()
			if err == nil {
				_, err = reencode(f)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

// TestLargeBodyFollowsArrival checks that a frame which says it is large costs
// memory only as its bytes arrive.
func TestLargeBodyFollowsArrival(t *testing.T) {
	t.Parallel()
	const size = 5 << 20
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	got, err := readBody(bytes.NewReader(body), nil, size)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("read %d bytes, error %v", len(got), err)
	}
	got, err = readBody(bytes.NewReader(body[:10]), nil, size)
	if !errors.Is(err, io.ErrUnexpectedEOF) || cap(got) > trustedBodyBytes {
		t.Errorf("after 10 of %d bytes: error %v, capacity %d", size, err, cap(got))
	}
}

// TestDataBodyIsNotReused checks the promise that batches can be kept.
func TestDataBodyIsNotReused(t *testing.T) {
	t.Parallel()
	one := data{key: testKey(1)}.append(nil, [][]byte{[]byte("aaaa")}, nil)
	two := data{key: testKey(1)}.append(nil, [][]byte{[]byte("bbbb")}, nil)
	r := newFrameReader(bytes.NewReader(append(one, two...)), 1<<20)
	first, err := r.next()
	if err != nil {
		t.Fatal(err)
	}
	_, batches, err := decodeData(first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.next(); err != nil || string(batches) != "aaaa" {
		t.Errorf("first batches = %q after the second read (%v)", batches, err)
	}
}

// TestManyEntriesSplit checks that a frame is never larger than one can be.
func TestManyEntriesSplit(t *testing.T) {
	t.Parallel()
	acks := make([]ack, 70_000)
	for i := range acks {
		acks[i] = ack{key: testKey(1), durableEnd: int64(i), appendedEnd: int64(i)}
	}
	b := appendAcks(nil, round{fsync: time.Millisecond}, acks)
	r := newFrameReader(bytes.NewReader(b), 2<<20)
	var got []ack
	for {
		f, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rd, list, err := decodeAcks(f, nil)
		if err != nil || rd.fsync != time.Millisecond {
			t.Fatalf("round %+v, error %v", rd, err)
		}
		got = append(got, list...)
	}
	if !reflect.DeepEqual(got, acks) {
		t.Errorf("%d entries came back, sent %d", len(got), len(acks))
	}
}

func TestErrTextIsCutAtARune(t *testing.T) {
	t.Parallel()
	e := sessionErr{key: testKey(1), text: strings.Repeat("ä", maxErrTextBytes)[1:]}
	e.text = "x" + strings.Repeat("ä", maxErrTextBytes)
	f, err := newFrameReader(bytes.NewReader(appendFrame(nil, kindErr, []sessionErr{e})), 1<<20).next()
	if err != nil {
		t.Fatal(err)
	}
	list, err := decodeSessionErrs(f, nil)
	if err != nil || len(list[0].text) != maxErrTextBytes-1 || !strings.HasPrefix(e.text, list[0].text) {
		t.Errorf("text of %d bytes, error %v", len(list[0].text), err)
	}
}

// FuzzFrames feeds arbitrary bytes to the reader and every decoder. Whatever is
// accepted must encode to the same bytes, apart from what is reserved.
func FuzzFrames(f *testing.F) {
	for _, frame := range testFrames() {
		f.Add(frame.bytes, false)
		f.Add(frame.bytes[frameCRCStart:], true)
	}
	f.Fuzz(func(t *testing.T, p []byte, seal bool) {
		if seal { // give the decoders a chance: complete length and checksum
			p = append(make([]byte, frameCRCStart), p...)
			if len(p) < frameHeaderBytes {
				return
			}
			endFrame(p, 0, int(p[10])<<8|int(p[11]))
		}
		r := newFrameReader(bytes.NewReader(p), 1<<20)
		for {
			got, err := r.next()
			if err != nil {
				return
			}
			again, err := reencode(got)
			if err != nil {
				continue
			}
			second, err := newFrameReader(bytes.NewReader(again), 2<<20).next()
			if err != nil {
				t.Fatalf("%s encoded again cannot be read: %v", got.kind, err)
			}
			if third, err := reencode(second); err != nil || !bytes.Equal(third, again) {
				t.Fatalf("%s does not round-trip: %v\n%x\n%x", got.kind, err, again, third)
			}
		}
	})
}

func BenchmarkDataEncode(b *testing.B) {
	d := data{key: testKey(1), base: 100, prevEpoch: 4, prevCRC: 1, highWatermark: 90}
	for _, size := range []int{1 << 10, 64 << 10} {
		batches := [][]byte{make([]byte, size)}
		b.Run(byteSize(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				out = d.append(out[:0], batches, nil)
			}
		})
	}
}

func BenchmarkDataDecode(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		p := data{key: testKey(1), base: 100}.append(nil, [][]byte{make([]byte, size)}, nil)
		b.Run(byteSize(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			r := newFrameReader(&endless{p: p}, 1<<20)
			for b.Loop() {
				f, err := r.next()
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := decodeData(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAckRound(b *testing.B) {
	for _, n := range []int{1, 48} {
		acks := make([]ack, n)
		for i := range acks {
			acks[i] = ack{key: testKey(byte(i)), durableEnd: 10, appendedEnd: 20}
		}
		rd := round{fsync: time.Millisecond}
		b.Run(fmt.Sprintf("encode/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				out = appendAcks(out[:0], rd, acks)
			}
		})
		b.Run(fmt.Sprintf("decode/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			r := newFrameReader(&endless{p: appendAcks(nil, rd, acks)}, 1<<20)
			var dst []ack
			for b.Loop() {
				f, err := r.next()
				if err != nil {
					b.Fatal(err)
				}
				if _, dst, err = decodeAcks(f, dst[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func byteSize(n int) string { return map[int]string{1 << 10: "1KiB", 64 << 10: "64KiB"}[n] }

// endless reads p again and again.
type endless struct {
	p  []byte
	at int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.p[e.at:])
	e.at = (e.at + n) % len(e.p)
	return n, nil
}
