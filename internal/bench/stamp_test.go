package bench

import (
	"encoding/hex"
	"errors"
	"testing"
)

var sampleStamp = stamp{run: 0x0102030405060708, sequence: 0x1112131415161718, producer: 0x21222324}

// If this fails, results of an older and a newer chronik on one topic can no
// longer be told apart.
func TestStampGoldenBytes(t *testing.T) {
	t.Parallel()
	const want = "43424e31" + "9f98f268" + "0102030405060708" + "1112131415161718" + "21222324" + "0000002d" +
		"dcafcb531bccf2c11d83d0f31e"
	value := make([]byte, StampBytes+13)
	sampleStamp.write(value)
	if got := hex.EncodeToString(value); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestStampSurvives(t *testing.T) {
	t.Parallel()
	for _, size := range []int{StampBytes, StampBytes + 1, StampBytes + 7, StampBytes + 8, 1024} {
		value := make([]byte, size)
		sampleStamp.write(value)
		got, err := parseStamp(value)
		if err != nil || got != sampleStamp {
			t.Errorf("%d bytes: got %+v, %v; want %+v", size, got, err, sampleStamp)
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	value := make([]byte, StampBytes+16)
	sampleStamp.write(value)
	for bit := range len(value) * 8 {
		value[bit/8] ^= 1 << (bit % 8)
		if _, err := parseStamp(value); err == nil {
			t.Errorf("bit %d of byte %d is flipped and nobody noticed", bit%8, bit/8)
		}
		value[bit/8] ^= 1 << (bit % 8)
	}
}

func TestBadValuesAreNamed(t *testing.T) {
	t.Parallel()
	whole := make([]byte, 100)
	sampleStamp.write(whole)
	tests := []struct {
		name  string
		value []byte
		want  error
	}{
		{name: "nothing", value: nil, want: errShort},
		{name: "shorter than a stamp", value: whole[:StampBytes-1], want: errShort},
		{name: "cut", value: whole[:99], want: errLength},
		{name: "longer", value: append(append([]byte{}, whole...), 0), want: errLength},
		{name: "somebody else's", value: make([]byte, 100), want: errMagic},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parseStamp(tt.value); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func FuzzParseStamp(f *testing.F) {
	value := make([]byte, 64)
	sampleStamp.write(value)
	f.Add(value)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		st, err := parseStamp(p)
		if err == nil {
			again := make([]byte, len(p))
			st.write(again)
			if _, err := parseStamp(again); err != nil {
				t.Errorf("%+v does not survive: %v", st, err)
			}
		}
	})
}
