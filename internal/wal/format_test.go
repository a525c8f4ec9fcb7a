package wal

import (
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

// If one of these golden tests fails, logs written by earlier versions can no
// longer be read.
const (
	goldenFileHeader = "" +
		"6368726f6e77616c 01000000 00000000" + // magic, version, reserved
		"0700000000000000 e803000000000000" + // sequence 7, start 1000
		"17c4d6ad" // CRC
	goldenFrame = "" +
		"2cd690d6 05000000 e803000000000000" + // CRC, length, LSN 1000
		"e003000000000000 01000000 07000000" + // durable 992, kind, partition
		"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf" + // topic
		"68656c6c6f 000000" // payload, padding
)

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	must(t, err)
	return string(b)
}

func TestGoldenFileHeader(t *testing.T) {
	t.Parallel()
	p := encodeFileHeader(7, 1000)
	want := unhex(t, goldenFileHeader)
	if got := string(p[:headerEnd]); got != want || len(p) != fileHeaderBytes {
		t.Errorf("header is\n%x, want\n%x", got, want)
	}
	state, start, err := decodeFileHeader(p, 7)
	if state != headerUsed || start != 1000 || err != nil {
		t.Errorf("decoded %v, %v, %v", state, start, err)
	}
}

func TestGoldenFrame(t *testing.T) {
	t.Parallel()
	e := Entry{Kind: KindAppend, TP: testTP, Payload: []byte("hello")}
	p := make([]byte, frameBytes(5))
	putFrame(p, &e, 1000)
	if n := sealFrames(p, 1000, seedOf(7), 992); n != len(p) {
		t.Fatalf("sealed %d of %d bytes", n, len(p))
	}
	if got, want := string(p), unhex(t, goldenFrame); got != want {
		t.Errorf("frame is\n%x, want\n%x", got, want)
	}
}

func TestDecodeFileHeader(t *testing.T) {
	t.Parallel()
	good := encodeFileHeader(7, 1000)
	for _, tc := range []struct {
		name    string
		change  func(p []byte)
		want    headerState
		wantErr error
	}{
		{name: "used", change: func([]byte) {}, want: headerUsed},
		{name: "zeros", change: func(p []byte) { clear(p) }, want: headerUnused},
		{name: "of an earlier use", change: func(p []byte) { copy(p, encodeFileHeader(6, 0)) }, want: headerUnused},
		{name: "damaged magic", change: func(p []byte) { p[0]++ }, want: headerDamaged},
		{name: "damaged start", change: func(p []byte) { p[atStart]++ }, want: headerDamaged},
		{name: "start between frames", change: func(p []byte) { copy(p, encodeFileHeader(7, 1001)) }, want: headerDamaged},
		{name: "negative start", change: func(p []byte) { copy(p, encodeFileHeader(7, -8)) }, want: headerDamaged},
	} {
		p := append([]byte{}, good...)
		tc.change(p)
		if got, _, err := decodeFileHeader(p, 7); got != tc.want || !errors.Is(err, tc.wantErr) {
			t.Errorf("%s: %v, %v, want %v, %v", tc.name, got, err, tc.want, tc.wantErr)
		}
	}
}

// TestNewerVersion refuses a log of a later version instead of taking it for
// damage.
func TestNewerVersion(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	must(t, d.append(payload(0, 1), false))
	must(t, d.round())
	p := encodeFileHeader(d.cur.sequence, 0)
	p[atVersion]++
	putHeaderCRC(p)
	f, err := disk.OpenWrite(d.cur.path)
	must(t, err)
	_, err = f.WriteAt(p, 0)
	must(t, err)
	if _, err := Open(small(disk)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("open: %v, want ErrUnsupported", err)
	}
}

func TestOffsetPayload(t *testing.T) {
	t.Parallel()
	if got, err := DecodeOffset(EncodeOffset(1 << 40)); got != 1<<40 || err != nil {
		t.Errorf("decoded %d, %v", got, err)
	}
	if _, err := DecodeOffset([]byte{1}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("short payload: %v, want ErrCorrupt", err)
	}
}

// TestLatencies compares quantiles with those of the sorted values.
func TestLatencies(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	var h latencies
	for us := range 1000 {
		h.add(time.Duration(us) * time.Microsecond)
	}
	for percent, want := range map[uint64]time.Duration{50: 499, 99: 989, 100: 999} {
		want *= time.Microsecond
		if got := h.quantile(percent); got < want || got > want*9/8 {
			t.Errorf("p%d is %v, want %v or an eighth more", percent, got, want)
		}
	}
	for range 1000 {
		d := time.Duration(rng.Int64N(int64(time.Hour)))
		b := bucketOf(d)
		if upperBound(b) < d.Truncate(time.Microsecond) {
			t.Errorf("%v is above its bucket's bound %v", d, upperBound(b))
		}
	}
	if got := new(latencies).quantile(50); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
}
