//go:build faults && linux

package powercut

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// place is where a record belongs: a value says so itself, so one that turns up
// anywhere else, or that another life wrote, is known.
type place struct {
	life      uint64
	partition int
	offset    int64
}

const placeBytes = 24

// value is what is written at a place: the place and a filling of random length.
func value(seed uint64, p place) []byte {
	rng := rand.New(rand.NewPCG(seed^p.life<<20^uint64(p.partition), uint64(p.offset)))
	n := rng.IntN(200)
	switch rng.IntN(10) {
	case 0:
		n = rng.IntN(20_000)
	case 1, 2, 3:
		n = rng.IntN(3000)
	}
	v := make([]byte, placeBytes, placeBytes+n+8)
	binary.BigEndian.PutUint64(v, p.life)
	binary.BigEndian.PutUint64(v[8:], uint64(p.partition))
	binary.BigEndian.PutUint64(v[16:], uint64(p.offset))
	for len(v) < placeBytes+n {
		v = binary.BigEndian.AppendUint64(v, rng.Uint64())
	}
	return v[:placeBytes+n]
}

// placeOf reads a value back. It is an error if a byte differs from what was
// written.
func placeOf(seed uint64, v []byte) (place, error) {
	if len(v) < placeBytes {
		return place{}, fmt.Errorf("a value of %d bytes", len(v))
	}
	p := place{
		life:      binary.BigEndian.Uint64(v),
		partition: int(binary.BigEndian.Uint64(v[8:])),
		offset:    int64(binary.BigEndian.Uint64(v[16:])),
	}
	if !bytes.Equal(v, value(seed, p)) {
		return p, fmt.Errorf("value of %+v is damaged", p)
	}
	return p, nil
}
