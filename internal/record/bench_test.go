package record_test

import (
	"testing"

	"github.com/chronik-project/chronik/internal/record"
)

func BenchmarkNextStamp(b *testing.B) {
	batch := record.NewBuilder(0).Append(nil, make([]byte, 1024), nil, 1).Bytes()
	b.ReportAllocs()
	for b.Loop() {
		next, _, err := record.Next(batch)
		if err != nil {
			b.Fatal(err)
		}
		next.Stamp(next.NextOffset(), 1)
	}
}

func BenchmarkValidate16KiB(b *testing.B) {
	batch := record.NewBuilder(0).Append(nil, make([]byte, 16<<10), nil, 1).Bytes()
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		if err := record.Validate(batch, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
