package wire

import (
	"bufio"
	"encoding/binary"

	"github.com/chronik-project/chronik/internal/budget"
)

// produceKey is the API whose requests may wait, with all they hold, for room in
// the log.
const produceKey int16 = 0

// keyBytes is the start of a frame, which says what it asks for.
const keyBytes = 2

// rooms are what the requests of all connections may take until they are handled.
// Produce requests have three quarters, and wait for a disk that is behind; what
// fetches, and asks who leads instead, always finds the rest.
type rooms struct{ produce, others *budget.Budget }

func newRooms(bytes int) rooms {
	return rooms{produce: budget.New(bytes - bytes/4), others: budget.New(bytes / 4)}
}

// of reads ahead which room a frame of size bytes takes from. One that is too short
// for a key will be refused.
func (r *rooms) of(frame *bufio.Reader, size int) (*budget.Budget, error) {
	if size < keyBytes {
		return r.others, nil
	}
	key, err := frame.Peek(keyBytes)
	if err != nil {
		return nil, err
	}
	if int16(binary.BigEndian.Uint16(key)) == produceKey {
		return r.produce, nil
	}
	return r.others, nil
}
