package partition

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// slowSyncs is a disk whose syncs take 10 ms, however many there are at once.
type slowSyncs struct{ vfs.FS }

const slowSync = 10 * time.Millisecond

func (d slowSyncs) SyncDir(dir string) error {
	time.Sleep(slowSync)
	return d.FS.SyncDir(dir)
}

func (d slowSyncs) OpenWrite(name string) (vfs.File, error) { return slowFile(d.FS.OpenWrite(name)) }
func (d slowSyncs) Create(name string) (vfs.File, error)    { return slowFile(d.FS.Create(name)) }

func slowFile(f vfs.File, err error) (vfs.File, error) { return slow{f}, err }

type slow struct{ vfs.File }

func (f slow) Sync() error {
	time.Sleep(slowSync)
	return f.File.Sync()
}

// onSlowSyncs is a broker that leads so many partitions on a disk with slow syncs,
// and restarts with so much to replay at most; 0 is the default. Stop it in the end.
func onSlowSyncs(t *testing.T, partitions int32, maxReplay int64, o Options) (table *Table, replicas []*Replica, stop func()) {
	t.Helper()
	disk := slowSyncs{vfs.NewMem()}
	log, err := wal.Open(wal.Options{FS: disk, Dir: "data/wal", FileBytes: 1 << 20, FirstFileBytes: 64 << 10, MaxReplayBytes: maxReplay})
	if err != nil {
		t.Fatal(err)
	}
	o.Self, o.Incarnation, o.FS, o.Dir, o.WAL, o.Lease = 1, cluster.UUID{1}, disk, "data", log, time.Hour
	table = NewTable(o)
	if _, err := table.Recover(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	return table, leadOnly(t, table, partitions), func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestCheckpointSyncsSeveralAtOnce: a checkpoint of many partitions takes as long
// as a few of them one after the other.
func TestCheckpointSyncsSeveralAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const partitions = 160
		table, replicas, stop := onSlowSyncs(t, partitions, 0, Options{})
		defer stop()
		for _, r := range replicas {
			if _, err := r.Append(t.Context(), AppendRequest{Batch: batch(1, "a"), Acks: AcksLeader, Epoch: cluster.NoEpoch}); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if err := table.makeCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		turns := time.Duration(partitions / table.o.CheckpointSyncs)
		const most = 9 // syncs of a new replica: directories, segment, index, snapshot
		if took := time.Since(began); took < turns*slowSync || took > (turns+1)*most*slowSync {
			t.Errorf("%v, want the syncs of %d partitions", took, turns)
		}
	})
}

// TestAppendsGoOnDuringACheckpoint: memory fills several times while a checkpoint
// is made, and appends do not wait for its end.
func TestAppendsGoOnDuringACheckpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table, replicas, stop := onSlowSyncs(t, 160, 0, Options{TailBytes: 1 << 20})
		defer stop()
		for _, r := range replicas {
			if _, err := r.Append(t.Context(), AppendRequest{Batch: batch(1, "a"), Acks: AcksLeader, Epoch: cluster.NoEpoch}); err != nil {
				t.Fatal(err)
			}
		}
		began, took := time.Now(), make(chan time.Duration, 1)
		go func() {
			if err := table.makeCheckpoint(t.Context()); err != nil {
				t.Error(err)
			}
			took <- time.Since(began)
		}()
		time.Sleep(slowSync) // the first replica is not synced again
		for range 3 * leastTailRoom / (32 << 10) {
			big := record.NewBuilder(0).Append(nil, make([]byte, 32<<10), nil, 1).Bytes()
			if _, err := replicas[0].Append(t.Context(), AppendRequest{Batch: big, Acks: AcksLeader, Epoch: cluster.NoEpoch}); err != nil {
				t.Fatal(err)
			}
			if used, _ := table.tails.room.Used(); used > leastTailRoom {
				t.Fatalf("%d bytes of recent batches in memory", used)
			}
		}
		appended := time.Since(began)
		if checkpoint := <-took; appended > checkpoint/2 {
			t.Errorf("appended after %v, of a checkpoint that took %v", appended, checkpoint)
		}
	})
}

// TestACheckpointComesBeforeAppendsWaitForIt, also where one is due only after more
// log than a restart may have to replay, as it is with large log files.
func TestACheckpointComesBeforeAppendsWaitForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const maxReplay = 1 << 20
		table, replicas, stop := onSlowSyncs(t, 1, maxReplay, Options{CheckpointBytes: 2 * maxReplay, CheckpointInterval: time.Hour})
		defer stop()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- table.RunStorage(ctx) }()
		began := time.Now()
		for range 4 * maxReplay / (32 << 10) {
			big := record.NewBuilder(0).Append(nil, make([]byte, 32<<10), nil, 1).Bytes()
			if _, err := replicas[0].Append(ctx, AppendRequest{Batch: big, Acks: AcksLeader, Epoch: cluster.NoEpoch}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("appended after %v, want no wait for the next checkpoint that is due by time", took)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestASlowCheckpointIsSaid to operators, a usual one only to who looks for faults.
func TestASlowCheckpointIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		var late atomic.Int64 // what the clock gains with each look at it
		began, looks := time.Now(), time.Duration(0)
		now := func() time.Time {
			looks += time.Duration(late.Load())
			return began.Add(looks)
		}
		table, _, stop := onSlowSyncs(t, 1, 0, Options{Now: now, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		defer stop()
		for _, step := range []time.Duration{0, slowCheckpoint + 1} {
			said.Reset()
			late.Store(int64(step))
			if err := table.makeCheckpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(said.String(), "msg=checkpoint"); got != (step > 0) {
				t.Errorf("a checkpoint of %v or more: said %v: %s", step, got, &said)
			}
		}
	})
}

// TestSeverally calls each number once, stops at the first error, and prefers one
// that ends the process.
func TestSeverally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		for _, n := range []int{0, 1, table.o.CheckpointSyncs - 1, table.o.CheckpointSyncs, 100} {
			called := make([]atomic.Int32, n)
			err := table.severally(n, func(i int) error {
				time.Sleep(time.Millisecond)
				called[i].Add(1)
				return nil
			})
			for i := range called {
				if got := called[i].Load(); got != 1 || err != nil {
					t.Errorf("of %d, %d was called %d times, %v", n, i, got, err)
				}
			}
		}
		var calls atomic.Int32
		err := table.severally(100, func(i int) error {
			calls.Add(1)
			time.Sleep(time.Millisecond)
			return []error{syscall.ENOSPC, syscall.EIO}[i%2]
		})
		if int(calls.Load()) != table.o.CheckpointSyncs || !errors.Is(err, syscall.EIO) || noSpace(err) {
			t.Errorf("%d calls, %v; want %d and EIO alone", calls.Load(), err, table.o.CheckpointSyncs)
		}
		if err := table.severally(1, func(int) error { return syscall.ENOSPC }); !noSpace(err) {
			t.Errorf("a full disk: %v", err)
		}
	})
}
