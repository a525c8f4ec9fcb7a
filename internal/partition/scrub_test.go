package partition

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// scrubFor runs the scrub of a broker for a while.
func (w *world) scrubFor(id cluster.BrokerID, d time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	if err := w.brokers[id].table.RunScrub(ctx); err != nil && ctx.Err() == nil {
		w.t.Error(err)
	}
}

// TestScrubGivesDamagedReplicasUp although nobody reads them.
func TestScrubGivesDamagedReplicasUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := replicated(t)
		b := w.brokers[2]
		if err := b.table.makeCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.scrubFor(2, time.Second)
		if s := b.table.ScrubStats(); w.replica(2).hasFailed() || s.Passes != 1 || s.LastPass.IsZero() || s.Bytes == 0 || s.Damages > 0 {
			t.Fatalf("whole: %+v", s)
		}
		w.flipLog(2)
		w.scrubFor(2, time.Second)
		if s := b.table.ScrubStats(); !w.replica(2).hasFailed() || s.Damages != 1 {
			t.Fatalf("damaged: %+v", s)
		}
		w.fail(2)
		b.table.heal()
		session := w.follow(1, 2)
		if err := w.ship(1, 2, session); err != nil {
			t.Fatal(err)
		}
		if got := w.contents(2); len(got) != 3 {
			t.Errorf("holds %q", got)
		}
	})
}

// TestScrubComesAgain six hours after it began.
func TestScrubComesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := replicated(t)
		w.scrubFor(2, scrubInterval-time.Minute)
		if n := w.brokers[2].table.ScrubStats().Passes; n != 1 {
			t.Errorf("%d passes", n)
		}
		w.scrubFor(2, scrubInterval+time.Minute)
		if n := w.brokers[2].table.ScrubStats().Passes; n != 1+2 {
			t.Errorf("%d passes", n)
		}
	})
}

// TestScrubSparesTheOnlyReplicaInSync: giving it up would leave the partition
// without a leader, and nobody to replicate it from.
func TestScrubSparesTheOnlyReplicaInSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, map[string]string{"min.insync.replicas": "1"})
		b := w.brokers[1]
		two, _ := w.img.Broker(2)
		w.commit(cluster.FenceBroker{ID: 2, Epoch: two.Epoch})
		w.mustProduce(1, AcksLeader, batch(3, "a"))
		synctest.Wait()
		if err := b.table.makeCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.flipLog(1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.table.RunScrub(ctx) }()
		time.Sleep(5 * time.Minute)
		if s := b.table.ScrubStats(); w.replica(1).hasFailed() || s.Damages != 1 {
			t.Errorf("alone: failed %v, %+v", w.replica(1).hasFailed(), s)
		}
		w.commit(cluster.UnfenceBroker{ID: 2, Epoch: two.Epoch})
		_, p, _ := w.img.Partition(w.tp)
		one, _ := w.img.Broker(1)
		w.commit(cluster.AlterISR{Broker: 1, BrokerEpoch: one.Epoch, Changes: []cluster.ISRChange{{
			TP: w.tp, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
			ISR: []cluster.ISRMember{{ID: 1, Epoch: one.Epoch}, {ID: 2, Epoch: two.Epoch}},
		}}})
		time.Sleep(2 * sparedInterval)
		if !w.replica(1).hasFailed() {
			t.Error("not given up although another replica is in sync")
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestScrubRate: never faster than allowed, and it stops at once.
func TestScrubRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		for range 30 {
			w.mustProduce(1, AcksAll, batch(1000, "a"))
			synctest.Wait()
		}
		if err := b.table.makeCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.table.o.ScrubRate = 1000
		w.scrubFor(1, 10*time.Second)
		if n := b.table.ScrubStats().Bytes; n > 10*1000 {
			t.Errorf("read %d bytes in 10 s", n)
		}
		b.table.o.ScrubRate = 16 << 20
		size := w.replica(1).log.SizeBytes()
		w.scrubFor(1, 30*time.Second)
		if s := b.table.ScrubStats(); s.Bytes < size || s.Passes != 1 {
			t.Errorf("%+v after 30 s, the log has %d bytes", s, size)
		}
		b.table.o.ScrubRate = -1
		before := b.table.ScrubStats()
		w.scrubFor(1, time.Hour)
		if s := b.table.ScrubStats(); s != before {
			t.Errorf("turned off: %+v, before %+v", s, before)
		}
	})
}

// TestScrubGivesWay: when reads take long the disk is busy, and it rests for much
// longer than it reads.
func TestScrubGivesWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scrubber{}
		p := pacer{ctx: t.Context(), rate: 1 << 40, since: time.Now(), now: time.Now, bytes: &s.bytes}
		began, reading := time.Now(), time.Duration(0)
		for range 10 {
			if err := p.pace(1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // a read on a slow disk
			reading += time.Second
		}
		if all := time.Since(began); reading*4 > all {
			t.Errorf("reads for %s of %s", reading, all)
		}
		time.Sleep(time.Hour) // stopped
		began = time.Now()
		if err := p.pace(1); err != nil || time.Since(began) > scrubRestMax {
			t.Errorf("rests for %s, %v", time.Since(began), err)
		}
	})
}
