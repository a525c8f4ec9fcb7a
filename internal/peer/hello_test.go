package peer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
)

// sampleHello has a different value in every field.
func sampleHello() Hello {
	return Hello{
		Kind: KindBulk, ClusterID: "c-1", From: 2, To: 3,
		Incarnation: cluster.UUID{0: 0xaa, 15: 0xbb}, BrokerEpoch: 0x0102030405, Proto: Proto,
	}
}

// TestPreambleGolden pins the bytes: if it fails, brokers of different versions
// no longer understand each other's greeting.
func TestPreambleGolden(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   preamble
		want string
	}{
		{
			name: "hello", in: preamble{hello: sampleHello()},
			want: "4348524b" + "01" + "03" + "00" + "03" + "00000002" + "00000003" +
				"aa0000000000000000000000000000bb" + "0000000102030405" + "632d31" + "e82ddae6",
		},
		{
			name: "newborn", in: preamble{hello: Hello{Kind: KindRaft, Brokers: "1,2,3", From: 1, To: 2, Proto: Proto}},
			want: "4348524b" + "01" + "01" + "02" + "05" + "00000001" + "00000002" +
				"00000000000000000000000000000000" + "0000000000000000" + "312c322c33" + "7ab23503",
		},
		{
			name: "refusal", in: preamble{hello: Hello{Kind: KindRaft, ClusterID: "ignored", From: 1, To: cluster.NoBroker, Proto: Proto}, refusal: "no"},
			want: "4348524b" + "01" + "01" + "01" + "02" + "00000001" + "ffffffff" +
				"00000000000000000000000000000000" + "0000000000000000" + "6e6f" + "3498aefd",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := encodePreamble(tt.in)
			if hex.EncodeToString(got) != tt.want {
				t.Fatalf("bytes\n got %x\nwant %s", got, tt.want)
			}
			want := tt.in
			if want.refusal != "" {
				want.hello.ClusterID = ""
			}
			// Bytes that follow belong to the next protocol.
			r := bytes.NewReader(append(got, "next"...))
			back, err := readPreamble(r)
			if err != nil || back != want {
				t.Fatalf("reads back as %+v, error %v, want %+v", back, err, want)
			}
			if rest, _ := io.ReadAll(r); string(rest) != "next" {
				t.Fatalf("left %q, want %q", rest, "next")
			}
		})
	}
}

func TestPreambleRefusesGarbage(t *testing.T) {
	t.Parallel()
	good := encodePreamble(preamble{hello: sampleHello()})
	for i := range good {
		if _, err := readPreamble(bytes.NewReader(good[:i])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut to %d bytes: error %v, want an end of file", i, err)
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if p, err := readPreamble(bytes.NewReader(bad)); err == nil {
			t.Errorf("bit flipped in byte %d: read %+v, want an error", i, p)
		}
	}
	if _, err := readPreamble(strings.NewReader("GET / HTTP/1.1\r\nHost: chronik.example:9192\r\n\r\n")); !errors.Is(err, errPreamble) {
		t.Errorf("http: error %v, want %v", err, errPreamble)
	}
}

// TestLongListsOfBrokers compares lists that no preamble has room for.
func TestLongListsOfBrokers(t *testing.T) {
	t.Parallel()
	var ids []cluster.BrokerID
	for id := range cluster.BrokerID(200) {
		ids = append(ids, 1000+id)
	}
	one := listed(ids)
	slices.Reverse(ids)
	if same := listed(ids); same != one {
		t.Errorf("the order of a list counts: %q and %q", one, same)
	}
	ids[0]++
	if other := listed(ids); other == one || len(one) > maxText {
		t.Errorf("%q and %q, want two short texts", one, other)
	}
}

func TestPreambleCutsLongReasons(t *testing.T) {
	t.Parallel()
	p, err := readPreamble(bytes.NewReader(encodePreamble(preamble{refusal: strings.Repeat("x", 1000)})))
	if err != nil || p.refusal != strings.Repeat("x", maxText) {
		t.Fatalf("reason of %d bytes, error %v, want %d bytes", len(p.refusal), err, maxText)
	}
}

func FuzzReadPreamble(f *testing.F) {
	f.Add(encodePreamble(preamble{hello: sampleHello()}))
	f.Add(encodePreamble(preamble{refusal: "no"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := readPreamble(bytes.NewReader(data))
		if err != nil {
			return
		}
		if again := encodePreamble(p); !bytes.HasPrefix(data, again) && p.refusal != "no reason given" {
			t.Fatalf("%x reads as %+v, which is written as %x", data, p, again)
		}
	})
}
