package meta

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"github.com/chronik-project/chronik/internal/vfs"
)

// ErrDamaged means that the metadata log on this broker's disk is not what was
// written. The other voters have it whole: this one is to be emptied and to join
// anew.
var ErrDamaged = errors.New("metadata log on disk is damaged")

// mirror is a small file that holds a value twice. One copy is overwritten and
// synced, then the other one: wherever that ends, one of them is whole, and a
// copy that decays is made up for by the other. It has its size from the
// beginning, so that a full disk does not keep a voter from voting.
//
// A copy is a header and JSON, in little-endian:
//
//	 0            8         12         16         24       28
//	+------------+---------+----------+----------+--------+-- ... --+
//	| "chronrft" | Version | Length   | Sequence | CRC32C | JSON    |
//	| 8          | 4       | 4        | 8        | 4      | Length  |
//	+------------+---------+----------+----------+--------+-- ... --+
//
// The CRC covers all but itself. The copy with the larger sequence counts.
type mirror struct {
	fs        vfs.FS
	name      string
	copyBytes int

	sequence uint64
}

const (
	mirrorVersion     = 1
	mirrorHeaderBytes = 28
	atMirrorLength    = 12
	atMirrorSequence  = 16
	atMirrorCRC       = 24
)

var (
	mirrorMagic = []byte("chronrft")
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
)

// load reads the value. If there is no file the error is one of
// [io/fs.ErrNotExist]; if no copy is whole, ErrDamaged.
func (m *mirror) load(v any) error {
	raw, err := vfs.ReadFile(m.fs, m.name)
	if err != nil {
		return err
	}
	var best []byte
	for _, at := range []int{0, m.copyBytes} {
		body, sequence, err := decodeCopy(raw[min(at, len(raw)):min(at+m.copyBytes, len(raw))])
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if body != nil && (best == nil || sequence > m.sequence) {
			best, m.sequence = body, sequence
		}
	}
	if best == nil {
		return fmt.Errorf("%s: no copy is whole: %w", m.name, ErrDamaged)
	}
	if err := json.Unmarshal(best, v); err != nil {
		return fmt.Errorf("%s: %w: %w", m.name, ErrDamaged, err)
	}
	return nil
}

// decodeCopy returns the JSON of a copy that is whole.
func decodeCopy(p []byte) (body []byte, sequence uint64, err error) {
	if len(p) < mirrorHeaderBytes || !bytes.HasPrefix(p, mirrorMagic) {
		return nil, 0, nil
	}
	n := int64(binary.LittleEndian.Uint32(p[atMirrorLength:]))
	if n > int64(len(p)-mirrorHeaderBytes) {
		return nil, 0, nil
	}
	p = p[:mirrorHeaderBytes+n]
	if mirrorSum(p) != binary.LittleEndian.Uint32(p[atMirrorCRC:]) {
		return nil, 0, nil
	}
	if v := binary.LittleEndian.Uint32(p[8:]); v != mirrorVersion {
		return nil, 0, fmt.Errorf("format version %d, this program knows %d: %w", v, mirrorVersion, errors.ErrUnsupported)
	}
	return p[mirrorHeaderBytes:], binary.LittleEndian.Uint64(p[atMirrorSequence:]), nil
}

func mirrorSum(p []byte) uint32 {
	return crc32.Update(crc32.Checksum(p[:atMirrorCRC], castagnoli), castagnoli, p[mirrorHeaderBytes:])
}

func (m *mirror) encode(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	p := append(bytes.Clone(mirrorMagic), make([]byte, mirrorHeaderBytes-len(mirrorMagic))...)
	binary.LittleEndian.PutUint32(p[8:], mirrorVersion)
	binary.LittleEndian.PutUint32(p[atMirrorLength:], uint32(len(body)))
	binary.LittleEndian.PutUint64(p[atMirrorSequence:], m.sequence)
	p = append(p, body...)
	binary.LittleEndian.PutUint32(p[atMirrorCRC:], mirrorSum(p))
	if len(p) > m.copyBytes {
		return nil, fmt.Errorf("%s: %d bytes, room for %d", m.name, len(p), m.copyBytes)
	}
	return p, nil
}

// create makes the file, or makes it anew.
func (m *mirror) create(v any) error {
	m.sequence++
	p, err := m.encode(v)
	if err != nil {
		return err
	}
	whole := make([]byte, 2*m.copyBytes)
	copy(whole, p)
	copy(whole[m.copyBytes:], p)
	return vfs.WriteFileAtomic(m.fs, m.name, whole)
}

// store replaces the value. After an error the file is not to be written again.
func (m *mirror) store(v any) (err error) {
	m.sequence++
	p, err := m.encode(v)
	if err != nil {
		return err
	}
	f, err := m.fs.OpenWrite(m.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, at := range []int{0, m.copyBytes} {
		if _, err := f.WriteAt(p, int64(at)); err != nil {
			return fmt.Errorf("write %s: %w", m.name, err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", m.name, err)
		}
	}
	return nil
}

// syncName makes sure that the file's name is on disk: the process that created
// it may have died before it did.
func (m *mirror) syncName() error { return m.fs.SyncDir(filepath.Dir(m.name)) }
