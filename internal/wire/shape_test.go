package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// walk returns how many bytes of body the shape of key covers.
func walk(key, version int16, body []byte) (covered int, err error) {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	w := walker{rest: body, version: version, flexible: req.IsFlexible(), elements: maxElements}
	w.structure(shapes[key])
	return len(body) - len(w.rest), w.err
}

func TestShapesMatchTheDecoder(t *testing.T) {
	t.Parallel()
	for key := range shapes {
		newest := kmsg.RequestForKey(key).MaxVersion()
		for version := range newest + 1 {
			t.Run(fmt.Sprintf("%s_v%d", kmsg.NameForKey(key), version), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(25) {
					rng := rand.New(rand.NewPCG(seed, uint64(key)))
					body := randomRequest(rng, key, version).AppendTo(nil)
					covered, err := walk(key, version, body)
					if err != nil || covered != len(body) {
						t.Fatalf("seed %d: walked %d of %d bytes, error %v: % x", seed, covered, len(body), err, body)
					}
					for cut := range body {
						if _, err := walk(key, version, body[:cut]); !errors.Is(err, ErrMalformed) {
							t.Fatalf("seed %d: cut to %d of %d bytes: error %v, want ErrMalformed", seed, cut, len(body), err)
						}
					}
				}
			})
		}
	}
}

func TestShapeRefusesWhatCostsMoreThanItsBytes(t *testing.T) {
	t.Parallel()
	be32 := func(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
	uvarint := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	zeros := make([]byte, 8<<20)
	tests := []struct {
		name         string
		key, version int16
		body         []byte
	}{
		{name: "an element per byte", key: 3, version: 1, body: join(be32(8<<20), zeros)},
		{name: "more elements than bytes", key: 3, version: 1, body: be32(math.MaxInt32)},
		{name: "negative element count", key: 3, version: 1, body: be32(-2)},
		{name: "compact element per byte", key: 3, version: 9, body: join(uvarint(8<<20), zeros)},
		{name: "compact count above 31 bits", key: 3, version: 9, body: join(uvarint(1<<31), zeros)},
		{name: "varint without end", key: 3, version: 9, body: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{name: "four billion tags", key: 18, version: 3, body: join(uvarint(1), uvarint(1), uvarint(math.MaxUint32))},
		{name: "two billion tags", key: 18, version: 3, body: join(uvarint(1), uvarint(1), uvarint(math.MaxInt32))},
		{name: "a tag per two bytes", key: 18, version: 3, body: join(uvarint(1), uvarint(1), uvarint(4<<20), zeros)},
		{name: "negative string length", key: 22, version: 0, body: []byte{0xff, 0xfe, 0, 0, 0, 0}},
		{name: "negative bytes length", key: 0, version: 3, body: join(
			[]byte{0xff, 0xff, 0, 1, 0, 0, 0, 1}, be32(1), []byte{0, 1, 'a'}, be32(1), be32(0), be32(-2),
		)},
		{name: "billions of tags inside a tag", key: 1, version: 15, body: join(
			make([]byte, 4+4+4+1+4+4), uvarint(1), uvarint(1), uvarint(1), // waits and bounds, no topics, no rack
			uvarint(1), uvarint(1), uvarint(17), make([]byte, 12), uvarint(math.MaxUint32),
		)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			took := allocated(func() { _, err = walk(tt.key, tt.version, tt.body) })
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v, want ErrMalformed", err)
			}
			if took > 512<<10 {
				t.Errorf("refusing took %d bytes of memory", took)
			}
		})
	}
}

// What passes the walk may cost at most maxElements structs and maps.
func TestDecodingTheLargestAllowedRequestIsCheap(t *testing.T) {
	req := kmsg.NewPtrFetchRequest()
	req.Topics = make([]kmsg.FetchRequestTopic, maxElements)
	frame := requestFrame(req, 12)
	var err error
	took := allocated(func() { _, err = decode(frame, anyVersion) })
	if err != nil {
		t.Fatal(err)
	}
	if took > 32<<20 {
		t.Errorf("decoding %d bytes took %d bytes of memory", len(frame), took)
	}
}

// allocated is how many bytes f allocates: the least of some runs on one
// processor, since the rest of the process allocates too.
func allocated(f func()) uint64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// anyVersion serves whatever the decoder knows.
func anyVersion(key int16) (lowest, highest int16, ok bool) {
	req := kmsg.RequestForKey(key)
	if req == nil {
		return 0, 0, false
	}
	return 0, req.MaxVersion(), true
}

// requestFrame encodes a request as a client does, without the length prefix.
func requestFrame(req kmsg.Request, version int16) []byte {
	req.SetVersion(version)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, 7)[lengthBytes:]
}
