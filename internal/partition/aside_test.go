package partition

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// asidesOnDisk are the directories that a broker's failed replicas left.
func (w *world) asidesOnDisk(id cluster.BrokerID) []string {
	w.t.Helper()
	b := w.brokers[id]
	names, err := b.disk.ReadDir(b.table.topicsDir() + "/" + w.tp.TopicID.String())
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(s string) bool { return !strings.HasPrefix(s, "0.failed-") })
}

// TestWhatFailedReplicasLeaveGoes: of a replica that fails again and again the
// newest remains, until it is in sync again.
func TestWhatFailedReplicasLeaveGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		for i := range 3 {
			w.mustProduce(1, AcksLeader, batch(1, "a"))
			synctest.Wait()
			if err := w.ship(1, 2, w.follow(1, 2)); err != nil {
				t.Fatal(err)
			}
			if err := w.brokers[2].table.makeCheckpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.brokers[2].table.failReplica(w.replica(2), "test")
			if err := w.brokers[2].table.makeCheckpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.crash(2)
			timer := time.NewTimer(time.Second)
			<-timer.C
			w.start(2)
			if got := w.asidesOnDisk(2); len(got) != min(i+1, 2) {
				t.Errorf("start %d: %q", i+1, got)
			}
			newest := w.asidesOnDisk(2)[min(i, 1)]
			w.register(2)
			w.brokers[2].table.sweep()
			if got := w.asidesOnDisk(2); !slices.Equal(got, []string{newest}) {
				t.Errorf("start %d: kept %q, want %q", i+1, got, newest)
			}
			if err := w.brokers[2].table.forgetFailures(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		_, p, _ := w.img.Partition(w.tp)
		w.commit(cluster.AlterISR{Broker: 1, BrokerEpoch: w.epoch(1), Changes: []cluster.ISRChange{{
			TP: w.tp, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
			ISR: []cluster.ISRMember{{ID: 1, Epoch: w.epoch(1)}, {ID: 2, Epoch: w.epoch(2)}},
		}}})
		w.brokers[2].table.sweep()
		if got := w.asidesOnDisk(2); len(got) > 0 {
			t.Errorf("in sync again, and there is %q", got)
		}
		if len(w.brokers[2].table.asides) > 0 {
			t.Errorf("remembers %v", w.brokers[2].table.asides)
		}
	})
}

// TestWhatWasLeftGoesWithTheTopic also when it was left by an earlier process.
func TestWhatWasLeftGoesWithTheTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.mustProduce(1, AcksLeader, batch(1, "a"))
		synctest.Wait()
		checkpointNow(w, w.brokers[1])
		w.brokers[1].table.failReplica(w.replica(1), "test")
		if err := w.brokers[1].table.makeCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w.crash(1)
			w.start(1)
		}
		if got := w.asidesOnDisk(1); len(got) == 0 {
			t.Fatal("nothing was set aside")
		}
		w.register(1)
		w.commit(cluster.DeleteTopic{ID: w.tp.TopicID})
		w.brokers[1].table.sweep()
		if got := w.asidesOnDisk(1); len(got) > 0 {
			t.Errorf("the topic is gone, and there is %q", got)
		}
	})
}
