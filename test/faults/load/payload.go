package load

import (
	"encoding/binary"

	"github.com/chronik-project/chronik/test/faults/history"
)

// valueBytes is what a value takes at least.
const valueBytes = 8

// encode returns the key and the value of a record. Both carry the value, and
// every further byte follows from it: whatever is changed on the way shows.
func encode(value uint64, size int) (key, body []byte) {
	buffer := make([]byte, valueBytes+size)
	key, body = buffer[:valueBytes:valueBytes], buffer[valueBytes:]
	binary.BigEndian.PutUint64(key, value)
	binary.BigEndian.PutUint64(body, value)
	fill(body[valueBytes:], value)
	return key, body
}

// decode returns the value of a record as read, or history.Garbled.
func decode(key, body []byte) uint64 {
	if len(key) != valueBytes || len(body) < valueBytes {
		return history.Garbled
	}
	value := binary.BigEndian.Uint64(body)
	if binary.BigEndian.Uint64(key) != value || !filled(body[valueBytes:], value) {
		return history.Garbled
	}
	return value
}

// fill writes a sequence that follows from the value (splitmix64).
func fill(p []byte, value uint64) {
	var word [8]byte
	for i := 0; i < len(p); i += len(word) {
		binary.LittleEndian.PutUint64(word[:], mix(value, i))
		copy(p[i:], word[:])
	}
}

func filled(p []byte, value uint64) bool {
	var word [8]byte
	for i := range p {
		if i%len(word) == 0 {
			binary.LittleEndian.PutUint64(word[:], mix(value, i))
		}
		if p[i] != word[i%len(word)] {
			return false
		}
	}
	return true
}

func mix(value uint64, i int) uint64 {
	z := value + uint64(i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
