package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/segment"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// Range is a part of a file: the bytes of [Start, End).
type Range struct {
	File       string
	Start, End int64
}

// Live is what a stopped broker will rely on when it starts, of the files of a
// class: frames that are not in segments yet, and segments as far as the
// checkpoint goes. Damage to anything else need not be noticed. Of other
// classes it is all that is not zeros.
func Live(dir string, c Class) ([]Range, error) {
	switch c {
	case WAL:
		return liveWAL(dir)
	case SegmentLog:
		return liveSegments(dir)
	default:
		return used(dir, c)
	}
}

// used finds what is not zeros at the end of a file.
func used(dir string, c Class) ([]Range, error) {
	return measure(dir, c, func(_ string, content []byte) int { return len(bytes.TrimRight(content, "\x00")) })
}

// measure takes each file of a class up to the end that is found in its content.
func measure(dir string, c Class, endOf func(name string, content []byte) int) ([]Range, error) {
	files, err := Files(dir, c)
	if err != nil {
		return nil, err
	}
	var live []Range
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if end := endOf(name, content); end > 0 {
			live = append(live, Range{File: name, End: int64(end)})
		}
	}
	return live, nil
}

func readCheckpoint(dir string) (segment.Checkpoint, error) {
	cp, err := segment.ReadCheckpoint(vfs.OS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return cp, err
}

// walHeaderBytes is where the frames of a file start, docs/formats/wal.md.
const walHeaderBytes = 4096

// walFile is a file that is in use: frames from start on, in LSNs.
type walFile struct {
	name  string
	start int64
}

// liveWAL finds the frames that replay will read.
func liveWAL(dir string) ([]Range, error) {
	files, err := walFiles(dir)
	if err != nil {
		return nil, err
	}
	cp, err := readCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	result, err := wal.Scan(vfs.OS(), filepath.Join(dir, "wal"), wal.LSN(cp.LSN), func(wal.Frame) error { return nil })
	if err != nil {
		return nil, err
	}
	var live []Range
	for i, f := range files {
		end := int64(result.End)
		if i+1 < len(files) {
			end = files[i+1].start
		}
		if start := max(f.start, cp.LSN); start < end {
			live = append(live, Range{File: f.name, Start: walHeaderBytes + start - f.start, End: walHeaderBytes + end - f.start})
		}
	}
	return live, nil
}

// walFiles are the files in use, in the order of the log.
func walFiles(dir string) ([]walFile, error) {
	names, err := Files(dir, WAL)
	if err != nil {
		return nil, err
	}
	var files []walFile
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		header := make([]byte, 32)
		_, err = f.ReadAt(header, 0)
		if err = errors.Join(ignoreEOF(err), f.Close()); err != nil {
			return nil, err
		}
		sequence, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), ".wal"), 10, 64)
		if err != nil || !bytes.HasPrefix(header, []byte("chronwal")) || binary.LittleEndian.Uint64(header[16:]) != sequence {
			continue // ready and unused
		}
		if start := binary.LittleEndian.Uint64(header[24:]); start < math.MaxInt64 {
			files = append(files, walFile{name: name, start: int64(start)})
		}
	}
	return files, nil
}

// liveSegments finds the batches below the marks of the checkpoint.
func liveSegments(dir string) ([]Range, error) {
	cp, err := readCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	ends := map[string]int64{}
	for tp, mark := range cp.Partitions {
		ends[replicaDir(dir, tp)] = mark.End
	}
	return measure(dir, SegmentLog, func(name string, content []byte) int {
		rest := content
		for len(rest) > 0 {
			b, after, err := record.Next(rest)
			if err != nil || b.BaseOffset() >= ends[filepath.Dir(name)] {
				break
			}
			rest = after
		}
		return len(content) - len(rest)
	})
}

func replicaDir(dir string, tp cluster.TopicPartition) string {
	return filepath.Join(dir, "topics", tp.TopicID.String(), strconv.Itoa(int(tp.Partition)))
}
