package record_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/record"
)

// golden is an idempotent batch of two records at offset 7. If it no longer
// matches, chronik neither speaks Kafka nor opens its own logs.
const golden = "" +
	"0000000000000007" + "00000047" + "ffffffff" + "02" + "eee195fa" + // offset, length, epoch, magic, crc
	"0000" + "00000001" + "00000198aabbcc00" + "00000198aabbcc05" + // attributes, last delta, timestamps
	"00000000000003e8" + "0003" + "0000002a" + "00000002" + // producer, epoch, sequence, count
	"1c" + "000000" + "026b" + "047631" + "02" + "0268" + "047879" + // length, attributes and deltas, k=v1, header h=xy
	"0c" + "000a02" + "01" + "00" + "00" // null key, empty value, no headers

func goldenBuilder() *record.Builder {
	const ts = 0x198aabbcc00
	return record.NewBuilder(7).
		Append([]byte("k"), []byte("v1"), []record.Header{{Key: "h", Value: []byte("xy")}}, ts).
		Append(nil, []byte{}, nil, ts+5).
		Producer(1000, 3, 42)
}

func TestGolden(t *testing.T) {
	t.Parallel()
	if got := hex.EncodeToString(goldenBuilder().Bytes()); got != golden {
		t.Errorf("batch is\n%s, want\n%s", got, golden)
	}
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	b := goldenBuilder().Transactional().Control().Bytes()
	b.Stamp(100, 9)
	type fields struct {
		Base, Next, ProducerID, First, Max int64
		LeaderEpoch, Seq, LastSeq, Count   int32
		Epoch, Attributes                  int16
		Compression                        int8
		Txn, Control                       bool
		Bytes                              int
	}
	got := fields{
		b.BaseOffset(), b.NextOffset(), b.ProducerID(), b.FirstTimestamp(), b.MaxTimestamp(),
		b.LeaderEpoch(), b.BaseSequence(), b.LastSequence(), b.Records(),
		b.ProducerEpoch(), b.Attributes(), b.Compression(), b.IsTransactional(), b.IsControl(), b.Bytes(),
	}
	want := fields{100, 102, 1000, 0x198aabbcc00, 0x198aabbcc05, 9, 42, 43, 2, 3, 0x30, 0, true, true, len(golden) / 2}
	if got != want {
		t.Errorf("fields are %+v, want %+v", got, want)
	}
}

// TestKmsgReadsWhatWeBuild compares with an encoding of the batch that is not
// ours.
func TestKmsgReadsWhatWeBuild(t *testing.T) {
	t.Parallel()
	ours := goldenBuilder().Bytes()
	var theirs kmsg.RecordBatch
	if err := theirs.ReadFrom(ours); err != nil {
		t.Fatalf("kmsg cannot read the batch: %v", err)
	}
	if got := theirs.AppendTo(nil); !reflect.DeepEqual(got, []byte(ours)) {
		t.Errorf("kmsg writes %x, ours is %x", got, []byte(ours))
	}
	if theirs.FirstOffset != ours.BaseOffset() || theirs.NumRecords != ours.Records() || uint32(theirs.CRC) != ours.CRC() {
		t.Errorf("kmsg reads %+v", theirs)
	}
	var r kmsg.Record
	if err := r.ReadFrom(theirs.Records); err != nil {
		t.Fatalf("kmsg cannot read the first record: %v", err)
	}
	if string(r.Key) != "k" || string(r.Value) != "v1" || len(r.Headers) != 1 || r.Headers[0].Key != "h" {
		t.Errorf("kmsg reads record %+v", r)
	}
}

// TestWeReadWhatKmsgWrites goes the other way, through every header field.
func TestWeReadWhatKmsgWrites(t *testing.T) {
	t.Parallel()
	r := kmsg.Record{TimestampDelta64: 3, OffsetDelta: 0, Key: []byte("key"), Value: nil, Headers: []kmsg.Header{{Key: "a"}}}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // the length itself takes one byte here
	rb := kmsg.RecordBatch{
		FirstOffset: 5, PartitionLeaderEpoch: 2, Magic: 2, LastOffsetDelta: 0, FirstTimestamp: 40, MaxTimestamp: 43,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: r.AppendTo(nil),
	}
	rb.Length = int32(len(rb.AppendTo(nil)) - 12)
	rb.CRC = int32(crc32.Checksum(rb.AppendTo(nil)[21:], crc32.MakeTable(crc32.Castagnoli)))

	b := record.Batch(rb.AppendTo(nil))
	if err := record.Validate(b, len(b)); err != nil {
		t.Fatalf("Validate: %v", err)
	}
	var got []record.Record
	if err := b.Each(func(r record.Record) error { got = append(got, r); return nil }); err != nil {
		t.Fatalf("Each: %v", err)
	}
	want := []record.Record{{Offset: 5, Timestamp: 43, Key: []byte("key"), Headers: []record.Header{{Key: "a"}}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("records are %+v, want %+v", got, want)
	}
	if b.LastSequence() != -1 {
		t.Errorf("a batch without producer ends at sequence %d, want -1", b.LastSequence())
	}
}

func TestNextSplits(t *testing.T) {
	t.Parallel()
	one, two := goldenBuilder().Bytes(), record.NewBuilder(9).Append(nil, []byte("x"), nil, 1).Bytes()
	p := append(append([]byte{}, one...), two...)
	b, rest, err := record.Next(p)
	if err != nil || !reflect.DeepEqual(b, one) || len(rest) != len(two) {
		t.Fatalf("Next is %d bytes, rest %d, error %v", len(b), len(rest), err)
	}
	if b = append(b, 0xff); rest[0] != two[0] { // growing one batch must not write over the next
		t.Fatalf("a batch of %d bytes grew into the rest", len(b))
	}
	b, rest, err = record.Next(rest)
	if err != nil || b.NextOffset() != 10 || len(rest) != 0 {
		t.Errorf("second Next ends at %d, rest %d, error %v", b.NextOffset(), len(rest), err)
	}
}

func TestLastSequenceWraps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		base    int32
		records int
		want    int32
	}{
		{"single record", 5, 1, 5},
		{"last number before the wrap", math.MaxInt32 - 1, 2, math.MaxInt32},
		{"first number after the wrap", math.MaxInt32 - 1, 3, 0},
		{"beyond", math.MaxInt32, 4, 2},
	} {
		b := record.NewBuilder(0).Producer(1, 0, tt.base)
		for range tt.records {
			b.Append(nil, nil, nil, 0)
		}
		if got := b.Bytes().LastSequence(); got != tt.want {
			t.Errorf("%s: last sequence %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestStamps(t *testing.T) {
	t.Parallel()
	b := goldenBuilder().Bytes()
	crc := b.CRC()
	b.Stamp(1<<40, 77)
	if b.BaseOffset() != 1<<40 || b.LeaderEpoch() != 77 || b.CRC() != crc {
		t.Errorf("stamped offset %d epoch %d crc %08x, want the producer's crc %08x", b.BaseOffset(), b.LeaderEpoch(), b.CRC(), crc)
	}
	if err := record.Validate(b, 0); err != nil {
		t.Errorf("stamped batch: %v", err)
	}
	b.StampLogAppendTime(99)
	if err := record.Validate(b, 0); err != nil {
		t.Errorf("batch stamped with the append time: %v", err)
	}
	if err := b.Each(func(r record.Record) error {
		if r.Timestamp != 99 {
			t.Errorf("record %d has timestamp %d, want the append time", r.Offset, r.Timestamp)
		}
		return nil
	}); err != nil {
		t.Errorf("Each: %v", err)
	}
}

// edit changes a batch and makes its CRC fit again, so that the check behind
// the CRC is reached.
func edit(change func(record.Batch)) record.Batch {
	b := goldenBuilder().Bytes()
	change(b)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func put32(at int, v int32) func(record.Batch) {
	return func(b record.Batch) { binary.BigEndian.PutUint32(b[at:], uint32(v)) }
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	whole := goldenBuilder().Bytes()
	flipped := goldenBuilder().Bytes()
	flipped[len(flipped)-1] ^= 1
	for _, tt := range []struct {
		name  string
		batch record.Batch
		limit int
		want  error
	}{
		{"nothing", nil, 0, record.ErrShort},
		{"short header", whole[:60], 0, record.ErrShort},
		{"cut records", whole[:len(whole)-1], 0, record.ErrCorrupt},
		{"bytes behind it", append(goldenBuilder().Bytes(), 0), 0, record.ErrCorrupt},
		{"over the limit", whole, len(whole) - 1, record.ErrTooLarge},
		{"flipped bit", flipped, 0, record.ErrCorrupt},
		{"magic 1", edit(func(b record.Batch) { b[16] = 1 }), 0, record.ErrUnsupportedMagic},
		{"negative length", edit(put32(8, -5)), 0, record.ErrCorrupt},
		{"length below the header", edit(put32(8, 48)), 0, record.ErrCorrupt},
		{"largest length", edit(put32(8, math.MaxInt32)), 0, record.ErrShort},
		{"negative last delta", edit(put32(23, -1)), 0, record.ErrInvalid},
		{"count against delta", edit(put32(57, 3)), 0, record.ErrInvalid},
		{"no records", edit(func(b record.Batch) { put32(23, 0)(b); put32(57, 0)(b) }), 0, record.ErrInvalid},
		{"more records than bytes", edit(func(b record.Batch) { put32(23, 1<<20)(b); put32(57, 1<<20+1)(b) }), 0, record.ErrInvalid},
		{"offset overflow", edit(func(b record.Batch) { b.Stamp(math.MaxInt64-1, 0) }), 0, record.ErrInvalid},
		{"unknown codec", edit(func(b record.Batch) { b[22] = 5 }), 0, record.ErrInvalid},
		{"producer without sequence", edit(put32(53, -1)), 0, record.ErrInvalid},
		{"producer without epoch", edit(func(b record.Batch) { b[51] = 0xff }), 0, record.ErrInvalid},
	} {
		if err := record.Validate(tt.batch, tt.limit); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := record.Validate(whole, len(whole)); err != nil {
		t.Errorf("batch as large as the limit: %v", err)
	}
}

func TestEachRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(record.Batch)
		want   error
	}{
		{"compressed", func(b record.Batch) { b[22] = 2 }, record.ErrCompressed},
		{"record longer than the batch", func(b record.Batch) { b[61] = 0x7e }, record.ErrInvalid},
		{"record shorter than its fields", func(b record.Batch) { b[61] = 0x08 }, record.ErrInvalid},
		{"record longer than its fields", func(b record.Batch) { b[70] = 0 }, record.ErrInvalid},
		{"negative record length", func(b record.Batch) { b[61] = 0x01 }, record.ErrInvalid},
		{"offset delta beyond the last", func(b record.Batch) { b[64] = 0x10 }, record.ErrInvalid},
		{"more headers than bytes", func(b record.Batch) { b[70] = 0x7e }, record.ErrInvalid},
		{"fewer records than bytes", put32(57, 1), record.ErrInvalid},
		{"more records than bytes", put32(57, 3), record.ErrInvalid},
	} {
		b := edit(tt.change)
		if err := b.Each(func(record.Record) error { return nil }); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
	}
	stop := errors.New("stop")
	calls := 0
	err := goldenBuilder().Bytes().Each(func(record.Record) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("Each made %d calls and returned %v, want one call and its error", calls, err)
	}
}
