package segment

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// If one of these golden tests fails, data directories written by earlier
// versions can no longer be read.
const (
	goldenIndexHeader = "" +
		"6368726f6e696478 01000000 07000000" + // magic, version, generation 7
		"e803000000000000 7dc9065b 00000000" // base 1000, CRC
	goldenIndexEntry = "" +
		"4c04000000000000 8813000000000000" + // offset 1100, timestamp 5000
		"00100000 0a8aa67e" // position 4096, CRC
	goldenCheckpoint = "" +
		"6368726f6e636b70 01000000 02000000" + // magic, version, 2 marks
		"0010000000000000" + // LSN 4096
		"00000000000000000000000000000000 01000000" + // topic, partition 1
		"00000000 00000000" + // generation, epochs
		"0020000000000000 0000000000000000 0000000000000000 0000000000000000" +
		"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 07000000" + // topic, partition 7
		"05000000 02000000" + // generation 5, 2 epochs
		"0010000000000000 0a00000000000000 6400000000000000 6300000000000000" + // LSN, [10, 100), 99
		"03000000 0a00000000000000" + // epoch 3 from 10
		"04000000 3200000000000000" + // epoch 4 from 50
		"07c6a3d1" // CRC
)

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	must(t, err)
	return string(b)
}

func TestGoldenIndex(t *testing.T) {
	t.Parallel()
	header := encodeIndexHeader(1000, 7)
	if got, want := string(header), unhex(t, goldenIndexHeader); got != want {
		t.Errorf("header is\n%x, want\n%x", got, want)
	}
	e := indexEntry{offset: 1100, maxTimestamp: 5000, position: 4096}
	p := appendIndexEntry(nil, e, indexSeed(header))
	if got, want := string(p), unhex(t, goldenIndexEntry); got != want {
		t.Errorf("entry is\n%x, want\n%x", got, want)
	}
	if got, ok := decodeIndexEntry(p, indexSeed(header)); got != e || !ok {
		t.Errorf("decoded %+v, %v", got, ok)
	}
	if _, ok := decodeIndexEntry(p, indexSeed(encodeIndexHeader(1000, 8))); ok {
		t.Error("an entry of another file was accepted")
	}
}

var goldenMarks = Checkpoint{LSN: 4096, Partitions: map[cluster.TopicPartition]Mark{
	{Partition: 1}: {LSN: 8192},
	{
		TopicID:   cluster.UUID{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf},
		Partition: 7,
	}: {LSN: 4096, Start: 10, End: 100, HighWatermark: 99, Generation: 5, Epochs: []EpochStart{{3, 10}, {4, 50}}},
}}

func TestGoldenCheckpoint(t *testing.T) {
	t.Parallel()
	p := goldenMarks.encode()
	if got, want := string(p), unhex(t, goldenCheckpoint); got != want {
		t.Errorf("checkpoint is\n%x, want\n%x", got, want)
	}
	got, err := decodeCheckpoint(p)
	if err != nil || !reflect.DeepEqual(got, goldenMarks) {
		t.Errorf("decoded %+v, %v", got, err)
	}
}

// TestDamagedCheckpoint flips every bit, and cuts at every byte.
func TestDamagedCheckpoint(t *testing.T) {
	t.Parallel()
	p := goldenMarks.encode()
	for bit := range len(p) * 8 {
		damaged := append([]byte{}, p...)
		damaged[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeCheckpoint(damaged); !errors.Is(err, ErrCorrupt) {
			t.Errorf("bit %d flipped: %v, want ErrCorrupt", bit, err)
		}
	}
	for n := range p {
		if _, err := decodeCheckpoint(p[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v, want ErrCorrupt", n, len(p), err)
		}
	}
}

// TestCheckpointFile writes it over an old one, and loses power at every
// operation: one of the two is found.
func TestCheckpointFile(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	must(t, vfs.MkdirAllSync(disk, "data"))
	if _, err := ReadCheckpoint(disk, "data"); !vfs.IsNotExist(err) {
		t.Errorf("no checkpoint: %v", err)
	}
	before := Checkpoint{LSN: 1, Partitions: map[cluster.TopicPartition]Mark{}}
	must(t, WriteCheckpoint(disk, "data", before))
	for ops := range int64(6) {
		after := disk.Crash(vfs.Loss{})
		fault := vfs.NewFault(after)
		fault.StopAfter(ops)
		err := WriteCheckpoint(fault, "data", goldenMarks)
		want := before
		if err == nil {
			want = goldenMarks
		}
		got, readErr := ReadCheckpoint(after.Crash(vfs.Loss{}), "data")
		if readErr != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("stopped after %d operations: %+v, %v; want %+v", ops, got, readErr, want)
		}
		if ops == 5 && err != nil {
			t.Errorf("not stopped: %v", err)
		}
	}
}

// FuzzDecodeCheckpoint takes any bytes: what is accepted is encoded back to the
// same ones.
func FuzzDecodeCheckpoint(f *testing.F) {
	f.Add(goldenMarks.encode())
	f.Add(Checkpoint{}.encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := decodeCheckpoint(p)
		if err != nil {
			return
		}
		if got := c.encode(); len(got) > len(p) {
			t.Errorf("%d bytes became %d", len(p), len(got))
		}
	})
}
