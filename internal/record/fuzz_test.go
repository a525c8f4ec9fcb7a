package record_test

import (
	"testing"

	"github.com/chronik-project/chronik/internal/record"
)

// seeds are batches as they should be and as they should not.
func seeds(f *testing.F) {
	f.Helper()
	whole := goldenBuilder().Bytes()
	f.Add([]byte{})
	f.Add([]byte(whole))
	f.Add(append([]byte(whole), whole...))
	f.Add([]byte(whole[:record.HeaderBytes]))
	f.Add([]byte(edit(put32(8, -1))))
	f.Add([]byte(edit(put32(23, 1<<30))))
	f.Add([]byte(edit(func(b record.Batch) { b[61] = 0xff })))
	f.Add([]byte(edit(func(b record.Batch) { b[22] = 4 })))
	f.Add([]byte(record.NewBuilder(0).Bytes()))
}

// FuzzNext feeds any bytes to the splitter: it must consume them without a
// panic (I10), and what it yields must add up to what it was given (I12).
func FuzzNext(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		for rest := p; len(rest) > 0; {
			b, after, err := record.Next(rest)
			if err != nil {
				if b != nil || len(after) != len(rest) {
					t.Fatalf("%v consumed %d bytes", err, len(rest)-len(after))
				}
				return
			}
			if len(b) < record.HeaderBytes || len(b)+len(after) != len(rest) {
				t.Fatalf("split %d bytes into %d and %d", len(rest), len(b), len(after))
			}
			if b.NextOffset() <= b.BaseOffset() {
				t.Fatalf("batch from %d to %d", b.BaseOffset(), b.NextOffset())
			}
			if err := b.Each(func(record.Record) error { return nil }); err == nil && b.Compression() != 0 {
				t.Fatal("records of a compressed batch")
			}
			rest = after
		}
	})
}

// FuzzValidate feeds any bytes to the check: what passes must keep passing
// once it is stamped (I11), and every record it yields must lie inside the batch.
func FuzzValidate(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		b := record.Batch(p)
		if record.Validate(b, 1<<20) != nil {
			return
		}
		b.Stamp(5, 1)
		b.StampLogAppendTime(1)
		if err := record.Validate(b, 1<<20); err != nil {
			t.Fatalf("valid until it was stamped: %v", err)
		}
		_ = b.Each(func(r record.Record) error {
			if r.Offset < b.BaseOffset() || r.Offset >= b.NextOffset() {
				t.Fatalf("record %d outside [%d,%d)", r.Offset, b.BaseOffset(), b.NextOffset())
			}
			return nil
		})
	})
}
