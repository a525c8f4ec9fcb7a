package partition

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
)

// crowd is a broker whose tails are full: nothing writes them to segments, and
// an append waits. What becomes of that arrives on the channel.
func crowd(t *testing.T) (*world, *node, <-chan error) {
	t.Helper()
	w := newWorld(t, 1, nil)
	b := w.brokers[1]
	b.table.o.TailBytes = 1 << 20
	b.table.tails = newTails(b.table.o.TailBytes)
	r := w.replica(1)
	big := func() error {
		p, err := r.Append(t.Context(), AppendRequest{
			Batch: record.NewBuilder(0).Append(nil, make([]byte, 32<<10), nil, 1).Bytes(),
			Acks:  AcksLeader, Deadline: time.Now().Add(time.Minute), Epoch: cluster.NoEpoch,
		})
		if err == nil {
			<-p.Done()
			err = p.Err()
		}
		return err
	}
	result := make(chan error, 1)
	go func() {
		for range 2 * leastTailRoom / (32 << 10) {
			if err := big(); err != nil {
				result <- err
				return
			}
		}
		result <- nil
	}()
	synctest.Wait()
	tail, limit := r.log.TailBytes(), int64(leastTailRoom)
	if tail > limit || tail < limit-limit/8 {
		t.Errorf("%d bytes of recent batches in memory while an append waits, want up to %d", tail, limit)
	}
	if len(result) > 0 {
		t.Fatalf("appends end with %v, want one that waits", <-result)
	}
	return w, b, result
}

// Appends wait while memory is full of batches that no segment has, and go on
// once some are written: RunStorage is woken for it, and does not wait for its
// next round.
func TestAppendsWaitForRoomInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, b, result := crowd(t)
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.table.RunStorage(ctx) }()
		if err := <-result; err != nil {
			t.Errorf("an append that waited for room: %v", err)
		}
		if took := time.Since(began); took >= flushInterval {
			t.Errorf("there was room after %v, want it before the next round", took)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		b.table.tails.measured(b.table.unordered())
		if used, waiting := b.table.tails.room.Used(); int64(used) != w.replica(1).log.TailBytes() || waiting != 0 {
			t.Errorf("%d bytes counted, %d waiting; the tail has %d", used, waiting, w.replica(1).log.TailBytes())
		}
	})
}

// What waits for memory is refused when there is no room on the disk either:
// the producer is told, and somebody else may lead.
func TestAFullDiskEndsTheWaitForMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, b, result := crowd(t)
		b.disk.SetFree(1 << 20)
		b.table.checkSpace()
		if err := <-result; !errors.Is(err, ErrDiskFull) {
			t.Errorf("an append that waited for room: %v, want %v", err, ErrDiskFull)
		}
		b.disk.SetFree(1 << 40)
		b.table.checkSpace()
	})
}

// So is what waits for the write-ahead log, which is not released while no
// checkpoint finds room.
func TestAFullDiskEndsTheWaitForTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newWorld(t, 1, nil).brokers[1].table
		result := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				err = table.o.WAL.Reserve(t.Context(), table.o.WAL.MaxPayload())
			}
			result <- err
		}()
		synctest.Wait()
		if len(result) > 0 {
			t.Fatalf("reserve: %v, want one that waits", <-result)
		}
		table.refuseWaiting()
		if err := <-result; !errors.Is(err, errLowSpace) {
			t.Errorf("reserve: %v, want %v", err, errLowSpace)
		}
	})
}

// Memory that a refused append had room for is free again.
func TestARefusedAppendTakesNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		stale := AppendRequest{Batch: batch(1, "a"), Acks: AcksAll, Deadline: time.Now().Add(time.Minute), Epoch: 99}
		if _, err := w.replica(1).Append(t.Context(), stale); !errors.Is(err, ErrUnknownEpoch) {
			t.Fatalf("append: %v, want %v", err, ErrUnknownEpoch)
		}
		tails := &w.brokers[1].table.tails
		if used, _ := tails.room.Used(); used != 0 || tails.coming.Load() != 0 {
			t.Errorf("%d bytes taken and %d coming, want none", used, tails.coming.Load())
		}
	})
}

// TestACheckpointThatHangs is a disk that hangs, to whoever waits for the room that
// it would make: the log's own syncs are fine.
func TestACheckpointThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, b, result := crowd(t)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if sync := b.wal.Stats().SyncInFlight; sync != 0 || b.table.DiskHangs() != 5*time.Second {
			t.Errorf("hangs for %v, the log's sync for %v; want 5s and none", b.table.DiskHangs(), sync)
		}
		b.table.tails.room.Give(64 << 10) // a slow one gives room now and then
		synctest.Wait()
		if hangs := b.table.DiskHangs(); hangs != 0 {
			t.Errorf("hangs for %v, after room for two", hangs)
		}
		time.Sleep(time.Second)
		if hangs := b.table.DiskHangs(); hangs != time.Second {
			t.Errorf("hangs for %v, want 1s", hangs)
		}
		b.table.refuseWaiting()
		if err := <-result; !errors.Is(err, ErrDiskFull) || b.table.DiskHangs() != 0 {
			t.Errorf("hangs for %v when nobody waits (%v)", b.table.DiskHangs(), err)
		}
	})
}

// TestWhoWaitsForRoomIsToldOfTheNewLeader at once, where the disk of this one hangs.
func TestWhoWaitsForRoomIsToldOfTheNewLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		b := w.brokers[1]
		if err := b.table.tails.take(t.Context(), leastTailRoom*16); err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		go func() {
			_, err := w.produce(1, AcksAll, batch(1, "a"))
			result <- err
		}()
		synctest.Wait()
		if len(result) > 0 {
			t.Fatalf("append: %v, want one that waits", <-result)
		}
		w.commit(cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: w.tp, Leader: 2, Drop: true}}})
		var where *Error
		if err := <-result; !errors.Is(err, ErrNotLeader) || !errors.As(err, &where) || where.Leader != 2 {
			t.Errorf("append: %v, want that broker 2 leads", err)
		}
		if _, err := w.produce(1, AcksAll, batch(1, "a")); !errors.Is(err, ErrNotLeader) {
			t.Errorf("append later: %v, want %v", err, ErrNotLeader)
		}
	})
}
