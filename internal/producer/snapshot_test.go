package producer_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
)

// golden is the snapshot of goldenState at offset 9. If it no longer matches,
// snapshots of earlier versions no longer open.
const golden = "" +
	"5d1e048d" + "50525331" + "0000000000000009" + "00000002" + // crc, magic, end, producers
	"0000000000000007" + "0001" + "0000018bcfe56800" + "02" + // producer 7, epoch 1, seen, two batches
	"7fffffff" + "00000001" + "0000000000000002" + "0000000000000005" +
	"00000002" + "00000002" + "0000000000000005" + "0000000000000006" +
	"0000000000000008" + "0000" + "0000018bcfe56800" + "00" // producer 8: a marker alone

func goldenState() *producer.State {
	s := producer.New()
	s.Update(batch(0, 7, 0, 0, 2), now) // forgotten with its epoch
	s.Update(batch(2, 7, 1, 1<<31-1, 3), now)
	s.Update(batch(5, 7, 1, 2, 1), now)
	s.Update(marker(6, 8, 0), now)
	return s
}

// seal makes the CRC of a snapshot fit.
func seal(p []byte) []byte {
	binary.BigEndian.PutUint32(p, crc32.Checksum(p[4:], crc32.MakeTable(crc32.Castagnoli)))
	return p
}

func goldenBytes(t testing.TB) []byte {
	t.Helper()
	p, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGolden(t *testing.T) {
	t.Parallel()
	want := goldenBytes(t)
	if got := goldenState().Snapshot(9); !bytes.Equal(got, want) {
		t.Errorf("snapshot is\n%x, want\n%x", got, want)
	}
	s, end, err := producer.Restore(want)
	if err != nil || end != 9 {
		t.Fatalf("restored up to %d: %v", end, err)
	}
	if got := s.Snapshot(9); !bytes.Equal(got, want) {
		t.Errorf("restored and written again:\n%x, want\n%x", got, want)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	change := func(at int, with ...byte) []byte {
		p := goldenBytes(t)
		copy(p[at:], with)
		return seal(p)
	}
	flipped := goldenBytes(t)
	flipped[30] ^= 1
	for _, tt := range []struct {
		name string
		p    []byte
	}{
		{"nothing", nil},
		{"half a header", goldenBytes(t)[:19]},
		{"flipped bit", flipped},
		{"other magic", change(4, 'P', 'R', 'S', '2')},
		{"more producers than bytes", change(16, 0xff, 0xff, 0xff, 0xff)},
		{"fewer producers than bytes", change(16, 0, 0, 0, 1)},
		{"more batches than remembered", change(38, 6)},
		{"more batches than bytes", change(38, 5)},
		{"a producer twice", change(87, 0, 0, 0, 0, 0, 0, 0, 7)},
		{"a negative producer", change(20, 0xff)},
	} {
		if s, _, err := producer.Restore(tt.p); !errors.Is(err, producer.ErrCorruptSnapshot) || s != nil {
			t.Errorf("%s: error %v, want %v", tt.name, err, producer.ErrCorruptSnapshot)
		}
	}
	for n := range goldenBytes(t) {
		if _, _, err := producer.Restore(goldenBytes(t)[:n]); !errors.Is(err, producer.ErrCorruptSnapshot) {
			t.Errorf("cut to %d bytes: error %v", n, err)
		}
	}
}

// FuzzRestore feeds any bytes, with a CRC that fits: what is accepted must be
// written again as it was.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add(goldenBytes(f))
	f.Add(producer.New().Snapshot(0))
	f.Add(seal(append(goldenBytes(f), 0)))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= 4 {
			seal(p)
		}
		s, end, err := producer.Restore(p)
		if err != nil {
			return
		}
		if got := s.Snapshot(end); !bytes.Equal(got, p) {
			t.Fatalf("restored %x, written %x", p, got)
		}
	})
}

func BenchmarkCheckAndUpdate(b *testing.B) {
	s := producer.New()
	next := batch(0, 7, 0, 0, 10)
	b.ReportAllocs()
	for b.Loop() {
		v, err := s.Check(next)
		if err != nil || v.Kind != producer.Fresh {
			b.Fatal(v, err)
		}
		s.Update(next, now)
		next.Stamp(next.NextOffset(), 1)
		binary.BigEndian.PutUint32(next[53:], uint32(next.LastSequence()+1)) // base sequence
	}
}

func BenchmarkSnapshot10kProducers(b *testing.B) {
	s := producer.New()
	for id := range int64(10_000) {
		s.Update(batch(id, id, 0, 0, 1), now)
	}
	b.ReportAllocs()
	for b.Loop() {
		if p := s.Snapshot(10_000); len(p) < record.HeaderBytes {
			b.Fatal(len(p))
		}
	}
}
