package segment

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"path/filepath"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// Checkpoint is what the broker's checkpoint file holds.
type Checkpoint struct {
	// LSN is where replay of the write-ahead log starts: the smallest LSN of
	// the marks, or any position passed by all partitions without a mark.
	LSN int64
	// Partitions are the marks.
	Partitions map[cluster.TopicPartition]Mark
}

// The layout of the checkpoint file. These constants are the format on disk,
// described in docs/formats/checkpoint.md; integers are little endian.
//
//	 0            8         12      16       24
//	+------------+---------+-------+--------+-- ... --+--------+
//	| "chronckp" | Version | Count | LSN    | marks   | CRC32C |
//	| 8          | 4       | 4     | 8      |         | 4      |
//	+------------+---------+-------+--------+-- ... --+--------+
//
// Marks are sorted by topic id and partition. The CRC covers all before it.
//
//	 0          16          20           24       28      36      44     52         60
//	+----------+-----------+------------+--------+-------+-------+------+----------+-- ... --+
//	| Topic id | Partition | Generation | Epochs | LSN   | Start | End  | High wm. | epochs  |
//	| 16       | 4         | 4          | 4      | 8     | 8     | 8    | 8        | 12 each |
//	+----------+-----------+------------+--------+-------+-------+------+----------+-- ... --+
//
// An epoch is its number (4) and its start offset (8).
const (
	checkpointName        = "checkpoint"
	checkpointVersion     = 1
	checkpointHeaderBytes = 24
	checkpointMarkBytes   = 60
	checkpointEpochBytes  = 12
	crcBytes              = 4
)

var (
	checkpointMagic = []byte("chronckp")
	castagnoli      = crc32.MakeTable(crc32.Castagnoli)
)

// WriteCheckpoint replaces the checkpoint file in dir. The write-ahead log must
// be durable up to the LSN of every mark before.
func WriteCheckpoint(fsys vfs.FS, dir string, c Checkpoint) error {
	name := filepath.Join(dir, checkpointName)
	if err := vfs.WriteFileAtomic(fsys, name, c.encode()); err != nil {
		return &Error{Op: "write checkpoint", Path: name, Offset: -1, Err: err}
	}
	return nil
}

// ReadCheckpoint reads the checkpoint file in dir. If there is none the error
// wraps [io/fs.ErrNotExist]; if it is damaged, [ErrCorrupt].
//
// It syncs the directory: the process that wrote the file may have died before
// it did, and if power were lost now, the checkpoint before would come back,
// while the files that only that one needs are being deleted.
func ReadCheckpoint(fsys vfs.FS, dir string) (Checkpoint, error) {
	name := filepath.Join(dir, checkpointName)
	p, err := vfs.ReadFile(fsys, name)
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err == nil {
		var c Checkpoint
		if c, err = decodeCheckpoint(p); err == nil {
			return c, nil
		}
	}
	return Checkpoint{}, &Error{Op: "read checkpoint", Path: name, Offset: -1, Err: err}
}

func (c Checkpoint) encode() []byte {
	le := binary.LittleEndian
	p := slices.Clone(checkpointMagic)
	p = le.AppendUint32(p, checkpointVersion)
	p = le.AppendUint32(p, uint32(len(c.Partitions)))
	p = le.AppendUint64(p, uint64(c.LSN))
	for _, tp := range slices.SortedFunc(maps.Keys(c.Partitions), compareTP) {
		m := c.Partitions[tp]
		p = append(p, tp.TopicID[:]...)
		p = le.AppendUint32(p, uint32(tp.Partition))
		p = le.AppendUint32(p, m.Generation)
		p = le.AppendUint32(p, uint32(len(m.Epochs)))
		p = le.AppendUint64(p, uint64(m.LSN))
		p = le.AppendUint64(p, uint64(m.Start))
		p = le.AppendUint64(p, uint64(m.End))
		p = le.AppendUint64(p, uint64(m.HighWatermark))
		for _, e := range m.Epochs {
			p = le.AppendUint32(p, uint32(e.Epoch))
			p = le.AppendUint64(p, uint64(e.Start))
		}
	}
	return le.AppendUint32(p, crc32.Checksum(p, castagnoli))
}

func compareTP(a, b cluster.TopicPartition) int {
	return cmp.Or(bytes.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition))
}

func decodeCheckpoint(p []byte) (Checkpoint, error) {
	le := binary.LittleEndian
	if len(p) < checkpointHeaderBytes+crcBytes || !bytes.HasPrefix(p, checkpointMagic) {
		return Checkpoint{}, fmt.Errorf("%d bytes that are no checkpoint: %w", len(p), ErrCorrupt)
	}
	body := p[:len(p)-crcBytes]
	if sum, want := crc32.Checksum(body, castagnoli), le.Uint32(p[len(body):]); sum != want {
		return Checkpoint{}, fmt.Errorf("crc32c %08x, file says %08x: %w", sum, want, ErrCorrupt)
	}
	if v := le.Uint32(p[8:]); v != checkpointVersion {
		return Checkpoint{}, fmt.Errorf("format version %d, this program knows %d: %w", v, checkpointVersion, errors.ErrUnsupported)
	}
	c := Checkpoint{LSN: int64(le.Uint64(p[16:])), Partitions: map[cluster.TopicPartition]Mark{}}
	rest := body[checkpointHeaderBytes:]
	for range le.Uint32(p[12:]) {
		tp, m, after, err := decodeMark(rest)
		if err != nil {
			return Checkpoint{}, err
		}
		c.Partitions[tp], rest = m, after
	}
	if len(rest) > 0 || c.LSN < 0 {
		return Checkpoint{}, fmt.Errorf("lsn %d, %d bytes after the last mark: %w", c.LSN, len(rest), ErrCorrupt)
	}
	return c, nil
}

func decodeMark(p []byte) (tp cluster.TopicPartition, m Mark, rest []byte, err error) {
	le := binary.LittleEndian
	if len(p) < checkpointMarkBytes {
		return tp, m, nil, fmt.Errorf("mark of %d bytes: %w", len(p), ErrCorrupt)
	}
	tp = cluster.TopicPartition{TopicID: cluster.UUID(p[:16]), Partition: int32(le.Uint32(p[16:]))}
	count := int64(le.Uint32(p[24:]))
	m = Mark{
		Generation:    le.Uint32(p[20:]),
		LSN:           int64(le.Uint64(p[28:])),
		Start:         int64(le.Uint64(p[36:])),
		End:           int64(le.Uint64(p[44:])),
		HighWatermark: int64(le.Uint64(p[52:])),
	}
	p = p[checkpointMarkBytes:]
	if count*checkpointEpochBytes > int64(len(p)) {
		return tp, m, nil, fmt.Errorf("%d epochs in %d bytes: %w", count, len(p), ErrCorrupt)
	}
	for range count {
		m.Epochs = append(m.Epochs, EpochStart{Epoch: cluster.Epoch(le.Uint32(p)), Start: int64(le.Uint64(p[4:]))})
		p = p[checkpointEpochBytes:]
	}
	return tp, m, p, m.validate()
}
