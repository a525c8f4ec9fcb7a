package replication

import (
	"encoding/binary"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
)

// data is the head of a Data frame: batches of one partition, and what the
// follower checks before it appends them (R6). Its batches follow it to the end
// of the frame, whose count is always 1.
//
//	 0     32     40               44             48               56          64
//	+-----+------+----------------+--------------+----------------+-----------+-- ... --+
//	| Key | Base | Previous epoch | Previous CRC | High watermark | Log start | Batches |
//	+-----+------+----------------+--------------+----------------+-----------+-- ... --+
//
// Previous epoch and CRC are those of the batch that ends at Base; -1 and 0
// when the log starts there.
type data struct {
	key
	base          int64
	prevEpoch     cluster.Epoch
	prevCRC       uint32
	highWatermark int64
	logStart      int64
}

const dataBytes = keyBytes + 32

// append adds a frame with the given batches to b, of which the last
// len(outside) stay outside: the caller writes them right behind b.
func (d data) append(b []byte, inside, outside [][]byte) []byte {
	start, b := beginFrame(b, kindData)
	b = d.key.append(b)
	b = binary.BigEndian.AppendUint64(b, uint64(d.base))
	b = binary.BigEndian.AppendUint32(b, uint32(d.prevEpoch))
	b = binary.BigEndian.AppendUint32(b, d.prevCRC)
	b = binary.BigEndian.AppendUint64(b, uint64(d.highWatermark))
	b = binary.BigEndian.AppendUint64(b, uint64(d.logStart))
	for _, batch := range inside {
		b = append(b, batch...)
	}
	endFrame(b, start, 1, outside...)
	return b
}

func decodeData(f frame) (d data, batches []byte, err error) {
	dec := decoder{b: f.body}
	d = data{
		key: dec.key(), base: dec.int64(), prevEpoch: dec.epoch(), prevCRC: dec.uint32(),
		highWatermark: dec.int64(), logStart: dec.int64(),
	}
	if dec.err == nil && (f.count != 1 || len(dec.b) == 0) {
		dec.err = fmt.Errorf("%w: Data with count %d and %d bytes of batches", errFrame, f.count, len(dec.b))
	}
	return d, dec.b, dec.err
}

// watermark is an entry of an HW frame: what Data would carry, for a partition
// with no data due. The first one of a session also tells the follower that the
// leader counts it from now on.
//
//	 0     32               40
//	+-----+----------------+
//	| Key | High watermark |
//	+-----+----------------+
type watermark struct {
	key
	highWatermark int64
}

const watermarkBytes = keyBytes + 8

func (w watermark) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(w.key.append(b), uint64(w.highWatermark))
}

func decodeWatermarks(f frame, dst []watermark) ([]watermark, error) {
	return entries(f.body, f.count, watermarkBytes, dst, func(d *decoder) watermark {
		return watermark{key: d.key(), highWatermark: d.int64()}
	})
}
