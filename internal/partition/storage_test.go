package partition

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// TestFirstCheckpointWaitsForTheRegistration: before it, the cluster does not
// know what this start has lost.
func TestFirstCheckpointWaitsForTheRegistration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		w.mustProduce(1, AcksAll, batch(1, "a"))
		synctest.Wait()
		w.crash(1)
		w.start(1)
		written := func() bool {
			_, _, err := b.disk.Stat("data/checkpoint")
			return err == nil
		}
		runFor(t, b.table.RunStorage, time.Minute)
		if written() {
			t.Error("checkpoint before the registration")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.table.RunStorage(ctx) }()
		synctest.Wait()
		w.register(1)
		w.mustProduce(1, AcksAll, batch(1, "b"))
		time.Sleep(20 * time.Second)
		if written() {
			t.Error("checkpoint before the interval is over")
		}
		time.Sleep(11 * time.Second)
		if !written() {
			t.Error("no checkpoint after the interval")
		}
		w.mustProduce(1, AcksAll, batch(1, "c"))
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		w.crash(1)
		w.start(1)
		if b.report.Replayed != 0 {
			t.Errorf("a clean restart replays %d bytes", b.report.Replayed)
		}
	})
}

// TestFullDisk refuses appends, fails nothing, and goes on when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		w.mustProduce(1, AcksAll, batch(1, "a"))
		synctest.Wait()
		b.fault.Inject(vfs.Rule{Op: vfs.OpWrite, Path: "topics", Err: syscall.ENOSPC})
		if err := b.table.makeCheckpoint(t.Context()); !vfs.IsNoSpace(err) {
			t.Errorf("checkpoint on a full disk: %v", err)
		}
		b.table.o.TailBytes, b.table.checkpoint.at = 1, time.Now()
		if err := b.table.flushAndCheckpoint(t.Context()); !vfs.IsNoSpace(err) {
			t.Errorf("flush on a full disk: %v", err)
		}
		if failed, _ := b.table.Failed(); len(failed) > 0 {
			t.Errorf("failed replicas %v", failed)
		}
		b.fault.Clear()
		b.disk.SetFree(1 << 20)
		b.table.checkSpace()
		if _, err := w.produce(1, AcksAll, batch(1, "b")); !errors.Is(err, ErrStorage) {
			t.Errorf("append with little space: %v", err)
		}
		if _, err := w.replica(1).Read(ReadRequest{MaxBytes: 1, MinOne: true, CurrentEpoch: cluster.NoEpoch, LastFetchedEpoch: cluster.NoEpoch}); err != nil {
			t.Errorf("fetch with little space: %v", err)
		}
		b.disk.SetFree(1 << 40)
		b.table.checkSpace()
		w.mustProduce(1, AcksAll, batch(1, "c"))
		synctest.Wait()
		if err := b.table.flushAndCheckpoint(t.Context()); err != nil {
			t.Error(err)
		}
		if got := w.replica(1).log.TailBytes(); got > 0 {
			t.Errorf("%d bytes stay in memory beyond the budget", got)
		}
		b.table.o.CheckpointBytes = 1
		before := b.table.checkpoint.last
		if err := b.table.flushAndCheckpoint(t.Context()); err != nil || b.table.checkpoint.last == before {
			t.Errorf("no checkpoint for the size of the log: %v", err)
		}
	})
}

// TestFullBufferIsBusy waits for room in vain.
func TestFullBufferIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		log := w.brokers[1].wal
		n := room(log)
		for left := n; left > 0; left -= min(left, log.MaxPayload()) {
			if err := log.Reserve(t.Context(), min(left, log.MaxPayload())); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.replica(1).Append(ctx, AppendRequest{Batch: batch(1, "a"), Acks: AcksAll, Epoch: cluster.NoEpoch})
		if !errors.Is(err, ErrBusy) {
			t.Errorf("append: %v", err)
		}
		log.Unreserve(n)
	})
}

// TestClockJumps distrusts ages in the round after a jump, and only then.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var c checkpointer
	if c.jumped(start) {
		t.Error("first round")
	}
	if c.jumped(start.Add(10 * time.Second)) {
		t.Error("clocks agree")
	}
	c.wall = c.wall.Add(-time.Hour)
	if !c.jumped(start.Add(20 * time.Second)) {
		t.Error("the wall clock went an hour ahead")
	}
	if c.jumped(start.Add(30 * time.Second)) {
		t.Error("a round later")
	}
}

// TestSilentProducersAreForgotten: memory is bounded by those that were heard of
// within a day.
func TestSilentProducersAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.mustProduce(1, AcksLeader, idempotent(0))
		time.Sleep(23 * time.Hour)
		w.brokers[1].table.retain()
		if _, err := w.replica(1).producers.Check(idempotent(5)); err == nil {
			t.Error("forgotten within a day")
		}
		time.Sleep(2 * time.Hour)
		w.brokers[1].table.retain()
		if _, err := w.replica(1).producers.Check(idempotent(5)); err != nil {
			t.Errorf("still known after a day: %v", err)
		}
	})
}

// TestStorageOutlivesAFullDisk: the loop goes on, and so do appends once there
// is room.
func TestStorageOutlivesAFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		b.disk.SetFree(1 << 40)
		w.mustProduce(1, AcksLeader, batch(1, "a"))
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.table.RunStorage(ctx) }()
		b.fault.Inject(vfs.Rule{Op: vfs.OpWrite, Path: "topics", Times: 1, Err: syscall.ENOSPC})
		time.Sleep(30*time.Second + flushInterval/2)
		if !b.table.lowSpace.Load() {
			t.Error("appends go on with a full disk")
		}
		time.Sleep(time.Second)
		if b.table.lowSpace.Load() {
			t.Error("appends are refused with room on the disk")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestSyncWithoutRoomIsFinal fails the sync of a segment for lack of space. It
// must not be tried again, unlike a write: the replica has failed, and others go
// on to be checkpointed.
func TestSyncWithoutRoomIsFinal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		w.mustProduce(1, AcksAll, batch(1, "a"))
		synctest.Wait()
		b.fault.Inject(vfs.Rule{Op: vfs.OpSync, Path: ".log", Times: 1, Err: syscall.ENOSPC, Forget: true})
		for range 2 {
			if err := b.table.makeCheckpoint(t.Context()); err != nil {
				t.Errorf("checkpoint: %v", err)
			}
		}
		if !w.replica(1).hasFailed() {
			t.Error("the replica goes on")
		}
	})
}
