package partition

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// flipLog flips a bit in the last segment of a replica.
func (w *world) flipLog(id cluster.BrokerID) {
	w.t.Helper()
	b := w.brokers[id]
	dir := b.table.replicaDir(w.tp)
	names, err := b.disk.ReadDir(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			if err := b.disk.FlipBit(filepath.Join(dir, name), 8*70); err != nil {
				w.t.Fatal(err)
			}
			return
		}
	}
	w.t.Fatalf("no segment in %q", names)
}

// damage makes a broker notice that its replica's segment is damaged.
func (w *world) damage(id cluster.BrokerID) *Replica {
	w.t.Helper()
	r := w.replica(id)
	if err := w.brokers[id].table.makeCheckpoint(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	r.log.TrimTail(0)
	w.flipLog(id)
	if _, err := r.readLog(0, 1<<20, r.log.EndOffset(), true); err == nil || !r.hasFailed() {
		w.t.Fatalf("read of a damaged segment: %v", err)
	}
	return r
}

// fail is what the controller does with what heartbeats list.
func (w *world) fail(id cluster.BrokerID) {
	w.t.Helper()
	self, _ := w.img.Broker(id)
	w.commit(cluster.FailReplicas{ID: id, Epoch: self.Epoch, Partitions: []cluster.TopicPartition{w.tp}})
}

// replicated is a world of two brokers that have three records each.
func replicated(t *testing.T) *world {
	w := newWorld(t, 2, nil)
	session := w.follow(1, 2)
	w.mustProduce(1, AcksAll, batch(3, "a"))
	if err := w.ship(1, 2, session); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return w
}

// TestDamagedFollowerStartsAnew without a restart, once nothing counts on it.
func TestDamagedFollowerStartsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := replicated(t)
		b := w.brokers[2]
		old := w.damage(2)
		b.table.heal()
		if w.replica(2) != old || !old.aside {
			t.Fatal("it starts anew while the metadata counts on it")
		}
		if _, _, err := b.disk.Stat(b.table.replicaDir(w.tp)); !vfs.IsNotExist(err) {
			t.Errorf("its files: %v, want them moved aside", err)
		}
		failed, in := b.table.Failed()
		if !slices.Equal(failed, []cluster.TopicPartition{w.tp}) || in[0] != old.maxSeenEpoch {
			t.Errorf("reports %v in epochs %v", failed, in)
		}
		w.fail(2)
		b.table.heal()
		if w.replica(2) == old {
			t.Fatal("it does not start anew")
		}
		if got := w.replica(2).Info(); got.Failed != "" || got.LogEndOffset != 0 || got.Epoch <= 0 {
			t.Errorf("started anew as %+v", got)
		}
		if failed, _ := b.table.Failed(); len(failed) > 0 {
			t.Errorf("still reports %v", failed)
		}
		session := w.follow(1, 2)
		if err := w.ship(1, 2, session); err != nil {
			t.Fatal(err)
		}
		want := []string{"0=a-0", "1=a-1", "2=a-2"}
		if got := w.contents(2); !slices.Equal(got, want) {
			t.Errorf("holds %q, want %q", got, want)
		}
		if err := b.table.flushAndCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.disk.Stat(b.table.failureMarker(w.tp)); !vfs.IsNotExist(err) {
			t.Errorf("failure marker: %v, want it gone", err)
		}
		w.crash(2)
		w.start(2)
		if len(b.report.Failed) > 0 {
			t.Errorf("after a restart it failed: %v", b.report.Failed)
		}
		w.register(2)
		if got := w.contents(2); !slices.Equal(got, want) {
			t.Errorf("after a restart it holds %q, want %q", got, want)
		}
	})
}

// TestDamagedReplicaWaitsForAnotherEpoch: out of the in-sync set is not enough.
// What it acknowledged in this epoch may be in a proposal that is on its way.
func TestDamagedReplicaWaitsForAnotherEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := replicated(t)
		_, p, _ := w.img.Partition(w.tp)
		one, _ := w.img.Broker(1)
		w.commit(cluster.AlterISR{Broker: 1, BrokerEpoch: one.Epoch, Changes: []cluster.ISRChange{{
			TP: w.tp, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, ISR: []cluster.ISRMember{{ID: 1, Epoch: one.Epoch}},
		}}})
		if _, p, _ = w.img.Partition(w.tp); p.InISR(2) || p.InELR(2) {
			t.Fatalf("partition %+v", p)
		}
		old := w.damage(2)
		w.brokers[2].table.heal()
		if w.replica(2) != old {
			t.Fatal("it starts anew in an epoch in which its acknowledgements count")
		}
		w.fail(2)
		w.brokers[2].table.heal()
		if w.replica(2) == old {
			t.Error("it does not start anew in the next epoch")
		}
	})
}

// TestDamagedLeaderStartsAnew as a follower of who leads now.
func TestDamagedLeaderStartsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := replicated(t)
		w.damage(1)
		w.fail(1)
		w.brokers[1].table.heal()
		if w.leader() != 2 {
			t.Fatalf("broker %d leads", w.leader())
		}
		session := w.follow(2, 1)
		if err := w.ship(2, 1, session); err != nil {
			t.Fatal(err)
		}
		if got, want := w.contents(1), []string{"0=a-0", "1=a-1", "2=a-2"}; !slices.Equal(got, want) {
			t.Errorf("holds %q, want %q", got, want)
		}
	})
}

// TestHealingSurvivesLossOfPower stops it before every operation on the disk: the
// broker that starts then has a replica that it reports, or a sound one.
func TestHealingSurvivesLossOfPower(t *testing.T) {
	t.Parallel()
	for ops := int64(0); ; ops++ {
		done := false
		synctest.Test(t, func(t *testing.T) {
			w := replicated(t)
			b := w.brokers[2]
			w.damage(2)
			w.fail(2)
			before := b.fault.Ops()
			b.fault.StopAfter(before + ops)
			b.table.heal()
			_ = b.table.flushAndCheckpoint(t.Context())
			synctest.Wait()
			done = b.fault.Ops()-before < ops
			w.crash(2)
			w.start(2)
			if r := w.replica(2); !slices.Contains(b.report.Failed, w.tp) && r.log.EndOffset() != 0 {
				t.Errorf("stopped after %d operations: not reported, and holds up to %d", ops, r.log.EndOffset())
			}
			if got := w.contents(2); len(got) > 0 {
				t.Errorf("stopped after %d operations: holds %q", ops, got)
			}
		})
		if done {
			if ops < 5 {
				t.Errorf("%d operations: little is tested", ops)
			}
			return
		}
	}
}

// TestFilesGoAfterTheRemovalIsDurable: or a loss of power in between would make
// recovery take the replica for a damaged one.
func TestFilesGoAfterTheRemovalIsDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		w.mustProduce(1, AcksAll, batch(3, "a"))
		synctest.Wait()
		if err := b.table.makeCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		dir := b.table.replicaDir(w.tp)
		b.fault.Inject(vfs.Rule{Op: vfs.OpSync, Path: "wal", Err: errors.New("on purpose")})
		w.commit(cluster.DeleteTopic{ID: w.tp.TopicID})
		synctest.Wait()
		b.table.finishRemovals()
		if _, _, err := b.disk.Stat(dir); err != nil {
			t.Fatalf("its files went before the removal was durable: %v", err)
		}
		w.crash(1)
		w.start(1)
		if len(b.report.Failed) > 0 {
			t.Errorf("after a loss of power: failed replicas %v", b.report.Failed)
		}
		w.register(1) // and so it learns of the removal
		synctest.Wait()
		b.table.finishRemovals()
		if _, _, err := b.disk.Stat(dir); !vfs.IsNotExist(err) {
			t.Errorf("its files: %v, want them gone", err)
		}
	})
}

// TestDamagedReplicaWaitsWhileItCounts: a later leader epoch is not enough.
func TestDamagedReplicaWaitsWhileItCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := replicated(t)
		old := w.damage(2)
		_, p, _ := w.img.Partition(w.tp)
		w.commit(cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: w.tp, PartitionEpoch: p.PartitionEpoch, Leader: 2}}})
		if _, p, _ = w.img.Partition(w.tp); p.LeaderEpoch <= old.maxSeenEpoch || !p.InISR(2) {
			t.Fatalf("partition %+v", p)
		}
		w.brokers[2].table.heal()
		if w.replica(2) != old {
			t.Error("it starts anew, and would lead, while it is in sync")
		}
	})
}
