package wal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// running is a log whose Run is going on.
type running struct {
	*Log
	stop func() error
}

func run(t testing.TB, o Options) *running {
	t.Helper()
	l, err := Open(o)
	must(t, err)
	_, err = l.Replay(0, func(Frame) error { return nil })
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return &running{Log: l, stop: sync.OnceValue(func() error {
		cancel()
		return <-done
	})}
}

// gate is a file system whose syncs of log files wait for a token.
type gate struct {
	vfs.FS
	tokens chan struct{}
	syncs  atomic.Int64
}

type gatedFile struct {
	vfs.File
	gate *gate
}

func (g *gate) OpenWrite(name string) (vfs.File, error) {
	f, err := g.FS.OpenWrite(name)
	if err != nil {
		return nil, err
	}
	return &gatedFile{File: f, gate: g}, nil
}

func (f *gatedFile) Sync() error {
	<-f.gate.tokens
	f.gate.syncs.Add(1)
	return f.File.Sync()
}

// counter is a Notifier that counts its calls.
type counter struct {
	calls atomic.Int64
	end   atomic.Int64
}

func (c *counter) Synced(_ uint64, end int64) {
	c.calls.Add(1)
	c.end.Store(end)
}

// TestGroupCommit appends while a sync is going on: everything queued goes out
// with the next one, and each notifier hears once.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{FS: vfs.NewMem(), tokens: make(chan struct{})}
		var rounds atomic.Int64
		l, err := Open(small(g))
		must(t, err)
		l.AfterRound(func() { rounds.Add(1) })
		_, err = l.Replay(0, func(Frame) error { return nil })
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()

		var a, b counter
		put := func(n *counter, generation uint64, end int64) {
			_, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: payload(0, 10), Notify: n, Generation: generation, End: end})
			must(t, err)
		}
		put(&a, 1, 1)
		synctest.Wait() // the first round is waiting for the disk
		for i := range int64(5) {
			put(&a, 1, 2+i)
			put(&b, 1, 1+i)
		}
		put(&a, 2, 1)
		synctest.Wait()
		if n := a.calls.Load() + b.calls.Load(); n != 0 {
			t.Errorf("%d notifications before any sync, want none", n)
		}
		g.tokens <- struct{}{}
		synctest.Wait()
		if got := l.Stats().SyncInFlight; got != 0 {
			t.Errorf("sync in flight for %v without time passing", got)
		}
		time.Sleep(time.Second)
		if got := l.Stats().SyncInFlight; got != time.Second {
			t.Errorf("sync in flight for %v, want 1s", got)
		}
		if a.calls.Load() != 1 || rounds.Load() != 1 {
			t.Errorf("%d notifications in %d rounds, want one", a.calls.Load(), rounds.Load())
		}
		g.tokens <- struct{}{}
		synctest.Wait()
		if a.calls.Load() != 3 || b.calls.Load() != 1 || b.end.Load() != 5 {
			t.Errorf("a was told %d times, b %d times with end %d; want 3, 1 and 5", a.calls.Load(), b.calls.Load(), b.end.Load())
		}
		if g.syncs.Load() != 2 || rounds.Load() != 2 {
			t.Errorf("%d syncs, %d rounds, want 2", g.syncs.Load(), rounds.Load())
		}
		close(g.tokens)
		cancel()
		must(t, <-done)
		if s := l.Stats(); s.SyncMax < time.Second || s.Durable != s.End {
			t.Errorf("%+v, want all durable and a sync of 1s", s)
		}
	})
}

// TestAsync lets entries be told after the write and synced in the background,
// and alone with synced ones in one round, told before the sync.
func TestAsync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{FS: vfs.NewMem(), tokens: make(chan struct{}, 10)}
		l := run(t, small(g))
		var async, synced counter
		put := func(async bool, n *counter) LSN {
			end, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: payload(0, 10), Async: async, Notify: n, End: 1})
			must(t, err)
			return end
		}
		end := put(true, &async)
		synctest.Wait()
		if async.calls.Load() != 1 || l.Durable() != 0 {
			t.Errorf("told %d times, durable %d; want once, nothing durable", async.calls.Load(), l.Durable())
		}
		g.tokens <- struct{}{}
		start := time.Now()
		must(t, l.WaitSynced(t.Context(), end))
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("synced after %v, want 100ms at most", took)
		}
		put(false, &synced)
		put(true, &async)
		synctest.Wait()
		if async.calls.Load() != 2 || synced.calls.Load() != 0 {
			t.Errorf("async was told %d times, synced %d times before the sync; want 2, 0", async.calls.Load(), synced.calls.Load())
		}
		g.tokens <- struct{}{}
		synctest.Wait()
		if synced.calls.Load() != 1 {
			t.Errorf("synced was told %d times, want once", synced.calls.Load())
		}
		close(g.tokens)
		must(t, l.stop())
	})
}

// TestBackgroundSyncFails poisons the log although no round failed.
func TestBackgroundSyncFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fault := vfs.NewFault(vfs.NewMem())
		l := run(t, small(fault))
		synctest.Wait()
		fault.Inject(vfs.Rule{Op: vfs.OpSync, Err: syscall.EIO})
		_, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: payload(0, 10), Async: true})
		must(t, err)
		<-l.Failed()
		if err := l.stop(); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("run: %v, want ErrFailed because of EIO", err)
		}
	})
}

// TestReserve fills the buffer while the disk stands still.
func TestReserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{FS: vfs.NewMem(), tokens: make(chan struct{})}
		o := small(g)
		o.MaxBufferedBytes = 1000
		l := run(t, o)
		put := func(n int) error {
			_, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: make([]byte, n)})
			return err
		}
		must(t, l.Reserve(t.Context(), 600))
		must(t, l.Reserve(t.Context(), 300))
		l.Unreserve(300)
		must(t, put(600))
		synctest.Wait() // is being synced
		must(t, put(400))
		if err := put(1); !errors.Is(err, ErrFull) {
			t.Errorf("append without room: %v, want ErrFull", err)
		}
		if _, err := l.Append(Entry{Kind: KindTruncate, TP: testTP, Payload: EncodeOffset(1)}); err != nil {
			t.Errorf("truncation without room: %v", err)
		}
		if err := l.Reserve(t.Context(), 1001); !errors.Is(err, ErrTooLarge) {
			t.Errorf("reserve more than there is: %v, want ErrTooLarge", err)
		}
		var granted []int
		var mu sync.Mutex
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for _, tc := range []struct {
			bytes int
			ctx   context.Context
			want  error
		}{{500, t.Context(), nil}, {200, ctx, context.Canceled}, {300, t.Context(), nil}} {
			wg.Go(func() {
				if err := l.Reserve(tc.ctx, tc.bytes); !errors.Is(err, tc.want) {
					t.Errorf("reserve %d: %v, want %v", tc.bytes, err, tc.want)
				}
				mu.Lock()
				defer mu.Unlock()
				granted = append(granted, tc.bytes)
			})
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		g.tokens <- struct{}{} // 600 come back: 500 fit, 300 do not yet
		synctest.Wait()
		if got := fmt.Sprint(granted); got != "[200 500]" {
			t.Errorf("answered %s, want the cancelled one and the first", got)
		}
		must(t, put(500))
		close(g.tokens)
		wg.Wait()
		must(t, put(300))
		must(t, l.stop())
		if got := l.Stats().Buffered; got != 0 {
			t.Errorf("%d bytes still counted, want none", got)
		}
	})
}

// TestStop writes what was appended before, refuses what comes after, and lets
// nobody wait for ever.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		l := run(t, small(disk))
		end, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: payload(0, 10)})
		must(t, err)
		waited := make(chan error, 1)
		go func() { waited <- l.WaitSynced(context.WithoutCancel(t.Context()), end+1000) }()
		synctest.Wait()
		must(t, l.stop())
		if err := <-waited; !errors.Is(err, ErrClosed) {
			t.Errorf("wait: %v, want ErrClosed", err)
		}
		if _, err := l.Append(Entry{Kind: KindDelete, TP: testTP}); !errors.Is(err, ErrClosed) {
			t.Errorf("append: %v, want ErrClosed", err)
		}
		if err := l.Reserve(t.Context(), 1); !errors.Is(err, ErrClosed) {
			t.Errorf("reserve: %v, want ErrClosed", err)
		}
		must(t, l.Close())
		fault := vfs.NewFault(disk.Crash(vfs.Loss{}))
		_, frames, res := mustStart(t, small(fault), 0)
		if len(frames) != 1 || res.End <= end {
			t.Errorf("%d frames, %+v, want one and the mark of a clean end", len(frames), res)
		}
	})
}

// TestIdleRestarts opens and closes a log over and over: that costs no files.
func TestIdleRestarts(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	for i := range 10 {
		l := run(t, small(disk))
		if i == 0 {
			_, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: payload(0, 10)})
			must(t, err)
		}
		must(t, l.stop())
	}
	names, err := disk.ReadDir(testDir)
	must(t, err)
	if len(names) > 3 {
		t.Errorf("files %v, want 3 at most", names)
	}
}

// TestConcurrentAppends appends from many goroutines while Run is going on,
// takes power losses at random moments, and checks that each holds all that
// was reported before it, in the order of the LSNs.
func TestConcurrentAppends(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 150
	disk := vfs.NewMem()
	o := small(disk)
	o.FileBytes = 64 << 10
	l := run(t, o)
	var acked [writers]counter
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 2))
			for i := range each {
				p := payload(i, rng.IntN(300))
				if err := l.Reserve(t.Context(), len(p)); err != nil {
					t.Error(err)
					return
				}
				end, err := l.Append(Entry{
					Kind: KindAppend, TP: cluster.TopicPartition{Partition: int32(w)}, Payload: p,
					Notify: &acked[w], End: int64(i + 1),
				})
				if err != nil {
					t.Error(err)
					return
				}
				if i%10 == 0 {
					if err := l.WaitSynced(t.Context(), end); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	type snapshot struct {
		disk  *vfs.Mem
		acked [writers]int64
	}
	var snapshots []snapshot
	rng := rand.New(rand.NewPCG(1, 3))
	for range 20 {
		var s snapshot
		for w := range writers {
			s.acked[w] = acked[w].end.Load()
		}
		s.disk = disk.Crash(vfs.Loss{Rand: rng})
		snapshots = append(snapshots, s)
		must(t, l.WaitSynced(t.Context(), min(l.End(), l.Durable()+2000)))
	}
	wg.Wait()
	must(t, l.stop())
	for i, s := range snapshots {
		var next [writers]int64
		_, frames, res := mustStart(t, o.on(s.disk), 0)
		for _, f := range frames {
			w := f.TP.Partition
			if want := fmt.Sprintf("%06d:", next[w]); string(f.Payload[:7]) != want {
				t.Fatalf("snapshot %d: writer %d: frame %q, want %q", i, w, f.Payload[:7], want)
			}
			next[w]++
		}
		for w := range writers {
			if next[w] < s.acked[w] || res.Corrupt {
				t.Errorf("snapshot %d: writer %d has %d frames, %d were reported; %+v", i, w, next[w], s.acked[w], res)
			}
		}
	}
}

func (o Options) on(fsys vfs.FS) Options {
	o.FS = fsys
	return o
}
