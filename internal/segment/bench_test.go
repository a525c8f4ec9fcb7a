package segment

import (
	"testing"

	"github.com/chronik-project/chronik/internal/vfs"
)

// BenchmarkAppend is the cost of an append to its caller, with the memory
// trimmed as a broker does.
func BenchmarkAppend(b *testing.B) {
	l := mustOpen(b, Options{FS: vfs.NewMem(), Dir: testDir})
	p := batch(0, 1, 1, 1000)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for i := range b.N {
		p.Stamp(int64(i), 1) // the bytes are shared, but the benchmark never reads them
		if err := l.Append(p); err != nil {
			b.Fatal(err)
		}
		if i%1024 == 1023 {
			l.mu.Lock()
			l.files.flushed = l.span.end
			l.mu.Unlock()
			l.TrimTail(0)
		}
	}
}

// BenchmarkFlush writes batches of 1 KiB to a file of the machine.
func BenchmarkFlush(b *testing.B) {
	l := mustOpen(b, Options{FS: vfs.OS(), Dir: b.TempDir()})
	b.SetBytes(int64(len(batch(0, 1, 1, 1000))))
	for i := range b.N {
		must(b, l.Append(batch(int64(i), 1, 1, 1000)))
		if i%1024 == 1023 {
			must(b, l.Flush())
			l.TrimTail(0)
		}
	}
}

// BenchmarkFlushLarge writes batches of 700 KB, as a client with a linger makes.
func BenchmarkFlushLarge(b *testing.B) {
	const bytes = 700_000
	l := mustOpen(b, Options{FS: vfs.OS(), Dir: b.TempDir()})
	b.SetBytes(bytes)
	b.ReportAllocs()
	large := batch(0, 1, 1, bytes)
	for i := range b.N {
		large.Stamp(int64(i), 1) // what was flushed is not read again
		must(b, l.Append(large))
		must(b, l.Flush())
		l.TrimTail(0)
	}
}

// BenchmarkRead reads from a log of 64 MiB in batches of 1 KiB.
func BenchmarkRead(b *testing.B) {
	for _, bc := range []struct {
		name     string
		inMemory bool
		maxBytes int
	}{
		{name: "memory 16 KiB", inMemory: true, maxBytes: 16 << 10},
		{name: "file 16 KiB", maxBytes: 16 << 10},
		{name: "file 1 MiB", maxBytes: 1 << 20},
	} {
		b.Run(bc.name, func(b *testing.B) {
			l := mustOpen(b, Options{FS: vfs.OS(), Dir: b.TempDir()})
			for i := range 64 << 10 {
				must(b, l.Append(batch(int64(i), 1, 1, 950)))
			}
			must(b, l.Flush())
			if !bc.inMemory {
				l.TrimTail(0)
			}
			b.SetBytes(int64(bc.maxBytes))
			b.ReportAllocs()
			b.ResetTimer()
			offset := int64(0)
			for range b.N {
				chunks, err := l.Read(offset, bc.maxBytes, l.EndOffset(), true)
				if err != nil || len(chunks) == 0 {
					b.Fatal(err)
				}
				if offset += int64(bc.maxBytes / 1024); offset > 60<<10 {
					offset = 0
				}
			}
		})
	}
}
