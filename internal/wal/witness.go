package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

// The witness is a small file beside the log that says how much of it has been
// on disk. The end of a log cannot be told from the log alone: frames of the
// last round that are damaged look like a torn tail, and a file that is missing
// or was put back to what it was looks like one that was never written. With the
// witness that is so for the last second only.
//
// It has two slots, in sectors of their own, that are written in turns:
//
//	 0            8         12         16    24       28
//	+------------+---------+----------+-----+--------+
//	| "chronwit" | Version | Reserved | LSN | CRC32C |
//	| 8          | 4       | 4        | 8   | 4      |
//	+------------+---------+----------+-----+--------+
//
// A witness that is missing, damaged or old proves less, and does no harm.
const (
	witnessName      = "witness"
	witnessVersion   = 1
	witnessSlotBytes = 512
	witnessBytes     = 28
)

var witnessMagic = []byte("chronwit")

// witnessInterval is how long durable frames may go without a witness.
const witnessInterval = time.Second

func encodeWitness(lsn LSN) []byte {
	p := make([]byte, witnessBytes)
	copy(p, witnessMagic)
	binary.LittleEndian.PutUint32(p[8:], witnessVersion)
	binary.LittleEndian.PutUint64(p[16:], uint64(lsn))
	binary.LittleEndian.PutUint32(p[24:], crc32.Checksum(p[:24], castagnoli))
	return p
}

// decodeWitness reads a slot; zero if it says nothing.
func decodeWitness(p []byte) (LSN, error) {
	if len(p) < witnessBytes || !bytes.HasPrefix(p, witnessMagic) ||
		binary.LittleEndian.Uint32(p[24:]) != crc32.Checksum(p[:24], castagnoli) {
		return 0, nil
	}
	if v := binary.LittleEndian.Uint32(p[8:]); v != witnessVersion {
		return 0, fmt.Errorf("format version %d, this program knows %d: %w", v, witnessVersion, errors.ErrUnsupported)
	}
	return max(LSN(binary.LittleEndian.Uint64(p[16:])), 0), nil
}

// readWitness tells how much of a log has been on disk at least, and the slot
// that does not say so.
func readWitness(fsys vfs.FS, dir string) (lsn LSN, free int64, err error) {
	name := filepath.Join(dir, witnessName)
	f, err := fsys.Open(name)
	if err != nil {
		if vfs.IsNotExist(err) {
			return 0, 0, nil
		}
		return 0, 0, &Error{Op: "open", File: name, Err: err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	p := make([]byte, 2*witnessSlotBytes)
	n, err := f.ReadAt(p, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, &Error{Op: "read", File: name, Err: err}
	}
	for slot := range int64(2) {
		at := slot * witnessSlotBytes
		said, err := decodeWitness(p[min(at, int64(n)):min(at+witnessSlotBytes, int64(n))])
		if err != nil {
			return 0, 0, &Error{Op: "read", File: name, Err: err}
		}
		if said > lsn {
			lsn, free = said, 1-slot
		}
	}
	return lsn, free, nil
}

// witnessDue is when the witness is to be written, zero if it says all.
func (u *upkeep) witnessDue() time.Time {
	l := u.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.marks.unwitnessedSince.IsZero() {
		return time.Time{}
	}
	return l.marks.unwitnessedSince.Add(witnessInterval)
}

// witness notes how much of the log is on disk, when that is due.
func (u *upkeep) witness() error {
	if at := u.witnessDue(); at.IsZero() || time.Now().Before(at) {
		return nil
	}
	l := u.log
	l.mu.Lock()
	durable := l.marks.durable
	l.marks.unwitnessedSince = time.Time{}
	l.mu.Unlock()
	err := l.writeWitness(durable)
	var where *Error
	if vfs.IsNoSpace(err) && errors.As(err, &where) && where.Op != "sync" { // later, then
		l.mu.Lock()
		l.marks.unwitnessedSince = time.Now()
		l.mu.Unlock()
		return nil
	}
	return err
}

// writeWitness writes the slot that is not needed. Its name is synced once by
// each process: whether an earlier one did is not known.
func (l *Log) writeWitness(lsn LSN) (err error) {
	name := filepath.Join(l.o.Dir, witnessName)
	open := l.o.FS.OpenWrite
	if _, _, err := l.o.FS.Stat(name); vfs.IsNotExist(err) {
		open = l.o.FS.Create
	}
	f, err := open(name)
	if err != nil {
		return &Error{Op: "open", File: name, LSN: lsn, Err: err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt(encodeWitness(lsn), l.witnessSlot*witnessSlotBytes); err != nil {
		return &Error{Op: "write", File: name, LSN: lsn, Err: err}
	}
	if err := f.Sync(); err != nil {
		return &Error{Op: "sync", File: name, LSN: lsn, Err: err}
	}
	l.witnessSlot = 1 - l.witnessSlot
	if l.witnessNamed {
		return nil
	}
	l.witnessNamed = true
	return l.syncDir()
}
