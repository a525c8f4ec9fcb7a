package wal

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

type ignore struct{}

func (*ignore) Synced(uint64, int64) {}

// TestAppendDoesNotAllocate measures steady state: after the first rounds the
// buffers have their size.
func TestAppendDoesNotAllocate(t *testing.T) {
	d, _, _ := mustStart(t, small(vfs.NewMem()), 0)
	entries := make([]Entry, 64)
	for i := range entries {
		entries[i] = Entry{
			Kind: KindAppend, TP: cluster.TopicPartition{Partition: int32(i)}, Payload: make([]byte, 100),
			Notify: &ignore{}, Generation: uint64(i), End: 1,
		}
	}
	fill := func() {
		for i := range entries {
			if _, err := d.Append(entries[i]); err != nil {
				t.Error(err)
			}
		}
		d.finish(d.takeRound()) // as if it had been written
	}
	fill()
	fill()
	if n := testing.AllocsPerRun(100, fill); n > 0 {
		t.Errorf("%v allocations in a round of %d appends, want none", n, len(entries))
	}
}

// BenchmarkAppend is the cost of an append to its caller.
func BenchmarkAppend(b *testing.B) {
	d, _, _ := mustStart(b, Options{FS: vfs.NewMem(), Dir: testDir}, 0)
	e := Entry{Kind: KindAppend, TP: testTP, Payload: make([]byte, 1024), Notify: &ignore{}}
	b.SetBytes(int64(len(e.Payload)))
	b.ReportAllocs()
	for i := range b.N {
		e.End = int64(i)
		if _, err := d.Append(e); err != nil {
			b.Fatal(err)
		}
		if i%256 == 255 {
			d.finish(d.takeRound())
		}
	}
}

// BenchmarkGroupCommit keeps so many appends of 1 KiB in flight on the disk of
// the machine, each waiting until it is synced.
func BenchmarkGroupCommit(b *testing.B) {
	for _, bc := range []struct {
		name     string
		inFlight int
	}{{"1", 1}, {"16", 16}, {"256", 256}} {
		b.Run(bc.name, func(b *testing.B) {
			l := run(b, Options{FS: vfs.OS(), Dir: b.TempDir()})
			defer func() { must(b, l.stop()) }()
			payload := make([]byte, 1024)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.SetBytes(int64(len(payload)))
			var wg sync.WaitGroup
			b.ResetTimer()
			for range bc.inFlight {
				wg.Go(func() {
					synced := make(signal, 1)
					for left.Add(-1) >= 0 {
						if _, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: payload, Notify: synced}); err != nil {
							b.Error(err)
							return
						}
						<-synced
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			s := l.Stats()
			b.ReportMetric(float64(s.Entries)/float64(max(s.Rounds, 1)), "entries/round")
			b.ReportMetric(float64(s.SyncP50.Microseconds()), "sync-p50-µs")
			b.ReportMetric(float64(s.SyncP99.Microseconds()), "sync-p99-µs")
		})
	}
}

// signal is a Notifier of one waiter.
type signal chan struct{}

func (s signal) Synced(uint64, int64) { s <- struct{}{} }

// BenchmarkReplay reads a log of 48 MiB back.
func BenchmarkReplay(b *testing.B) {
	disk := vfs.OS()
	o := Options{FS: disk, Dir: b.TempDir()}
	l := run(b, o)
	const total = 48 << 20
	payload := make([]byte, 16<<10)
	for range total / len(payload) {
		must(b, l.Reserve(b.Context(), len(payload)))
		_, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: payload})
		must(b, err)
	}
	must(b, l.WaitSynced(b.Context(), l.End()))
	must(b, l.stop())
	b.SetBytes(total)
	for b.Loop() {
		n := 0
		_, err := Scan(disk, o.Dir, 0, func(Frame) error {
			n++
			return nil
		})
		if err != nil || n != total/len(payload) {
			b.Fatalf("%d frames, %v", n, err)
		}
	}
}
