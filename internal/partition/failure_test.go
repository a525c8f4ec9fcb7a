package partition

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

var errDisk = errors.New("input/output error")

// TestFailedLeaderStopsLeading fails the disk of a leader: it must neither keep
// anybody waiting nor go on to decide who is in sync.
func TestFailedLeaderStopsLeading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		b := w.brokers[1]
		b.table.ControllerHeard()
		s2, s3 := w.follow(1, 2), w.follow(1, 3)
		p := w.mustProduce(1, AcksAll, batch(1, "a"))
		r := w.replica(1)
		b.table.failReplica(r, "flush: input/output error")
		if !errors.Is(p.Err(), ErrStorage) {
			t.Errorf("pending append: %s", outcome(p))
		}
		if _, leads := r.Lead(); leads {
			t.Error("still leads")
		}
		if _, _, ok := r.Position(0); ok {
			t.Error("the links may still use the epoch")
		}
		r.FollowerClosed(2, s2, "no leader")
		r.FollowerClosed(3, s3, "no leader")
		for range 20 {
			time.Sleep(time.Second)
			b.table.ControllerHeard()
			b.table.tick(time.Now())
		}
		if len(b.proposals) > 0 {
			t.Errorf("proposes %+v", b.proposals)
		}
		if got, _ := b.table.Failed(); !slices.Equal(got, []cluster.TopicPartition{w.tp}) {
			t.Errorf("reports %v as failed", got)
		}
	})
}

// TestFailedFollowerAcksNothing lets a sync round end after the failure.
func TestFailedFollowerAcksNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		session := w.follow(1, 2)
		if err := w.ship(1, 2, session); err != nil {
			t.Fatal(err)
		}
		b := w.brokers[2]
		r := w.replica(2)
		b.table.failReplica(r, "flush: input/output error")
		delete(b.acks, session)
		r.Synced(r.generation, 1)
		b.table.FollowHighWatermark(w.tp, session, 0)
		if r.follow.id != 0 {
			t.Error("the session is still open")
		}
		if len(b.acks) > 0 || r.Info().DurableEndOffset != 0 {
			t.Errorf("acknowledged %v, durable end %d", b.acks, r.Info().DurableEndOffset)
		}
		_, err := b.table.OpenFollow(OpenRequest{Leader: 1, TP: w.tp, Epoch: 0, Session: session + 1, Sink: b.acks})
		if !errors.Is(err, ErrStorage) {
			t.Errorf("follows again: %v", err)
		}
	})
}

// TestFailedReplicaIsReportedAfterRestart: checkpoints leave a failed replica
// out and release its write-ahead log. The next start must not take what is
// left of it for the whole.
func TestFailedReplicaIsReportedAfterRestart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		fail func(w *world, b *node)
	}{
		{name: "flush", fail: func(w *world, b *node) { b.table.failReplica(w.replica(1), "flush") }},
		{name: "checkpoint", fail: func(_ *world, b *node) {
			b.fault.Inject(vfs.Rule{Op: vfs.OpSync, Path: ".log", Times: 1, Err: errDisk})
		}},
		{name: "append", fail: func(w *world, _ *node) {
			if err := w.replica(1).log.Close(); err != nil {
				w.t.Error(err)
			}
			if _, err := w.produce(1, AcksLeader, batch(1, "b")); !errors.Is(err, ErrStorage) {
				w.t.Errorf("append to a closed log: %v", err)
			}
			if !w.replica(1).hasFailed() {
				w.t.Error("goes on with a write-ahead log that says something else")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, nil)
				b := w.brokers[1]
				w.mustProduce(1, AcksAll, batch(3, "a"))
				synctest.Wait()
				tt.fail(w, b)
				for range 2 {
					if err := b.table.makeCheckpoint(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				w.crash(1)
				w.start(1)
				if got := b.report.Failed; !slices.Equal(got, []cluster.TopicPartition{w.tp}) {
					t.Errorf("failed replicas %v", got)
				}
			})
		})
	}
}

// TestFailureSurvivesLossOfPowerInRecovery stops the recovery of a failed
// replica before every operation on the disk: the one after must still report
// it.
func TestFailureSurvivesLossOfPowerInRecovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		w.mustProduce(1, AcksAll, batch(3, "a"))
		synctest.Wait()
		b.table.failReplica(w.replica(1), "flush")
		if err := b.table.makeCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.crash(1)
		before := b.disk
		for ops := int64(0); ; ops++ {
			disk := before.Crash(vfs.Loss{})
			fault := vfs.NewFault(disk)
			fault.StopAfter(ops)
			complete := recoverOnly(fault) == nil
			b.disk = disk.Crash(vfs.Loss{})
			w.start(1)
			if got := b.report.Failed; !slices.Equal(got, []cluster.TopicPartition{w.tp}) {
				t.Fatalf("stopped after %d operations: failed replicas %v", ops, got)
			}
			w.crash(1)
			if complete {
				return
			}
		}
	})
}

// recoverOnly starts to open a data directory.
func recoverOnly(fs vfs.FS) error {
	log, err := wal.Open(wal.Options{FS: fs, Dir: "data/wal", FileBytes: 1 << 20, FirstFileBytes: 64 << 10})
	if err != nil {
		return err
	}
	_, err = NewTable(Options{Self: 1, FS: fs, Dir: "data", WAL: log}).Recover()
	return errors.Join(err, log.Close())
}

// TestReportedFailureIsForgotten: once the cluster knows, and a checkpoint has
// the new log, the replica is like any other.
func TestReportedFailureIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, map[string]string{"min.insync.replicas": "1"})
		b := w.brokers[2]
		session := w.follow(1, 2)
		w.mustProduce(1, AcksLeader, batch(2, "a"))
		if err := w.ship(1, 2, session); err != nil {
			t.Fatal(err)
		}
		checkpointNow(w, b) // has a mark that the new log does not reach
		if err := b.table.markFailed(w.tp, "checkpoint"); err != nil {
			t.Fatal(err)
		}
		w.crash(2)
		w.start(2)
		w.register(2)
		if err := w.ship(1, 2, w.follow(1, 2)); err != nil {
			t.Fatal(err)
		}
		if err := b.table.flushAndCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.disk.Stat(b.table.failureMarker(w.tp)); !vfs.IsNotExist(err) {
			t.Errorf("marker: %v", err)
		}
		w.crash(2)
		w.start(2)
		if len(b.report.Failed) > 0 {
			t.Errorf("failed replicas %v", b.report.Failed)
		}
		if got, want := w.contents(2), []string{"0=a-0", "1=a-1"}; !slices.Equal(got, want) {
			t.Errorf("holds %q, want %q", got, want)
		}
	})
}

// TestFailureAfterTheReportIsKept fails a replica again between the start that
// reported it and the checkpoint that would forget that.
func TestFailureAfterTheReportIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		w.mustProduce(1, AcksAll, batch(1, "a"))
		synctest.Wait()
		for range 2 {
			b.table.failReplica(w.replica(1), "flush")
			if err := b.table.makeCheckpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.crash(1)
			w.start(1)
		}
		w.register(1)
		b.table.failReplica(w.replica(1), "flush")
		if err := b.table.forgetFailures(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.crash(1)
		w.start(1)
		if got := b.report.Failed; !slices.Equal(got, []cluster.TopicPartition{w.tp}) {
			t.Errorf("failed replicas %v", got)
		}
	})
}

// TestBrokenWriteAheadLogAnswersAll: what waits for a sync that will never be
// is told so at once, not at its deadline.
func TestBrokenWriteAheadLogAnswersAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		b := w.brokers[1]
		b.table.ControllerHeard()
		b.fault.Inject(vfs.Rule{Op: vfs.OpSync, Path: "wal", Err: errDisk})
		all, one := w.mustProduce(1, AcksAll, batch(1, "a")), w.mustProduce(1, AcksLeader, batch(1, "b"))
		synctest.Wait()
		b.table.tick(time.Now())
		if !errors.Is(all.Err(), ErrStorage) || !errors.Is(one.Err(), ErrStorage) {
			t.Errorf("acks=all: %s, acks=1: %s", outcome(all), outcome(one))
		}
		if _, err := w.produce(1, AcksLeader, batch(1, "c")); !errors.Is(err, ErrStorage) {
			t.Errorf("append: %v", err)
		}
	})
}

// TestAppendsReturnTheirRoom takes every way out of an append: the write buffer
// must have as much room as before.
func TestAppendsReturnTheirRoom(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(w *world)
	}{
		{name: "acknowledged", do: func(w *world) { w.mustProduce(1, AcksLeader, batch(1, "a")) }},
		{name: "duplicate", do: func(w *world) {
			w.mustProduce(1, AcksLeader, idempotent(0))
			w.mustProduce(1, AcksLeader, idempotent(0))
		}},
		{name: "out of sequence", do: func(w *world) {
			w.mustProduce(1, AcksLeader, idempotent(0))
			if _, err := w.produce(1, AcksLeader, idempotent(5)); err == nil {
				w.t.Error("gap in the sequence accepted")
			}
		}},
		{name: "not the leader", do: func(w *world) {
			w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
			if _, err := w.produce(1, AcksLeader, batch(1, "a")); !errors.Is(err, ErrNotLeader) {
				w.t.Error(err)
			}
		}},
		{name: "log refuses", do: func(w *world) {
			if err := w.replica(1).log.Close(); err != nil {
				w.t.Error(err)
			}
			if _, err := w.produce(1, AcksLeader, batch(1, "a")); !errors.Is(err, ErrStorage) {
				w.t.Error(err)
			}
		}},
		{name: "follower refuses", do: func(w *world) {
			err := w.brokers[1].table.AppendFrom(w.t.Context(), FollowRequest{TP: w.tp, Session: 7, Batches: batch(1, "a")})
			if !errors.Is(err, ErrStaleSession) {
				w.t.Error(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2, nil)
				before := room(w.brokers[1].wal)
				tt.do(w)
				synctest.Wait()
				if got := room(w.brokers[1].wal); got != before {
					t.Errorf("room for %d bytes, before %d", got, before)
				}
			})
		})
	}
}

// room counts how much can be reserved.
func room(log *wal.Log) (n int) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for step := log.MaxPayload(); step > 0; {
		if log.Reserve(ctx, step) != nil {
			step /= 2
			continue
		}
		n += step
	}
	log.Unreserve(n)
	return n
}
