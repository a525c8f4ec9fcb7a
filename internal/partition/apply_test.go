package partition

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/vfs"
)

// TestTopicDeletedWhileDown removes what the metadata does not know any more,
// but only when the metadata is new enough to say so.
func TestTopicDeletedWhileDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, map[string]string{"min.insync.replicas": "1"})
		b := w.brokers[1]
		w.mustProduce(1, AcksLeader, batch(1, "a"))
		synctest.Wait()
		checkpointNow(w, b)
		w.crash(1)
		w.commit(cluster.DeleteTopic{ID: w.tp.TopicID})
		w.start(1)
		b.table.Apply(w.img)
		if _, ok := b.table.Get(w.tp); !ok {
			t.Fatal("removed by metadata that is older than this process")
		}
		if err := b.table.markFailed(w.tp, "x"); err != nil {
			t.Fatal(err)
		}
		w.register(1)
		if _, ok := b.table.Get(w.tp); ok {
			t.Error("the replica of a deleted topic is still there")
		}
		synctest.Wait()
		b.table.finishRemovals()
		for _, name := range []string{b.table.replicaDir(w.tp), b.table.failureMarker(w.tp)} {
			if _, _, err := b.disk.Stat(name); !vfs.IsNotExist(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestRegistrationBringsRoles: what was applied before it must be looked at
// again.
func TestRegistrationBringsRoles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		w.crash(1)
		w.start(1)
		b.table.Apply(w.img)
		w.register(1)
		info, leads := w.replica(1).Lead()
		if !leads {
			t.Fatal("does not lead after its registration")
		}
		w.commit(cluster.SetTopicConfigs{Name: "t", Set: map[string]string{"retention.ms": "1000"}})
		after, _ := w.replica(1).Lead()
		if after.MetaIndex != info.MetaIndex {
			t.Errorf("epoch %d is of image %d, then of %d", info.Epoch, info.MetaIndex, after.MetaIndex)
		}
		if got := w.replica(1).Config().RetentionTime; got != time.Second {
			t.Errorf("retention %s", got)
		}
	})
}

// TestEligibilityFollowsTheMetadata: nobody waits for a joiner that is fenced.
func TestEligibilityFollowsTheMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		b := w.brokers[1]
		w.commit(cluster.FenceBroker{ID: 3, Epoch: w.brokerEpoch(3)})
		w.follow(1, 2)
		proposed := func() (joins bool) {
			for range 40 {
				time.Sleep(100 * time.Millisecond)
				b.table.ControllerHeard()
				b.table.tick(time.Now())
			}
			return slices.ContainsFunc(b.proposals, func(p Proposal) bool { return slices.Contains(p.Add, 3) })
		}
		w.follow(1, 3)
		if proposed() {
			t.Error("proposes a fenced broker")
		}
		w.commit(cluster.UnfenceBroker{ID: 3, Epoch: w.brokerEpoch(3)})
		if !proposed() {
			t.Errorf("does not propose an unfenced one: %+v", b.proposals)
		}
		// An outcome of another epoch says nothing of this one's proposal.
		p := b.proposals[len(b.proposals)-1]
		p.Epoch++
		b.table.ProposalResolved(p, isr.OutcomeRejected)
	})
}

// TestLinksAreWoken counts the nudges that replication depends on.
func TestLinksAreWoken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		want int64 // the default is 1
		do   func(w *world)
	}{
		{name: "append", do: func(w *world) { w.mustProduce(1, AcksLeader, batch(1, "a")) }},
		{name: "role", do: func(w *world) { w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)}) }},
		{name: "removal", do: func(w *world) { w.commit(cluster.DeleteTopic{ID: w.tp.TopicID}) }},
		{name: "failure", do: func(w *world) { w.brokers[1].table.failReplica(w.replica(1), "x") }},
		{name: "high watermark, by a follower", do: func(w *world) {
			s := w.follow(1, 2)
			w.mustProduce(1, AcksLeader, batch(1, "a"))
			synctest.Wait()
			w.brokers[1].woken.Store(0)
			if err := w.ship(1, 2, s); err != nil {
				w.t.Error(err)
			}
		}},
		{name: "append, and high watermark by the own disk", want: 2, do: func(w *world) {
			w.commit(cluster.FenceBroker{ID: 2, Epoch: w.brokerEpoch(2)})
			w.brokers[1].woken.Store(0)
			r := w.replica(1)
			w.mustProduce(1, AcksLeader, batch(1, "a"))
			synctest.Wait()
			if r.Info().HighWatermark != 1 {
				w.t.Error("high watermark did not move")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2, map[string]string{"min.insync.replicas": "1"})
				w.brokers[1].woken.Store(0)
				tt.do(w)
				if got := w.brokers[1].woken.Load(); got < max(tt.want, 1) {
					t.Errorf("links woken %d times", got)
				}
			})
		})
	}
}

// TestLogAppendTime stamps when the topic asks for it.
func TestLogAppendTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
		p := w.mustProduce(1, AcksLeader, batch(1, "a"))
		synctest.Wait()
		if got, err := w.replica(1).ListOffset(SpecMaxTimestamp, cluster.NoEpoch); err != nil || got.TimestampMillis != p.LogAppendTimeMillis() || got.TimestampMillis < 1e11 {
			t.Errorf("newest timestamp %+v, %v, stamped %d", got, err, p.LogAppendTimeMillis())
		}
		again := w.mustProduce(1, AcksLeader, idempotent(0))
		synctest.Wait()
		late := w.mustProduce(1, AcksLeader, idempotent(0))
		if outcome(again) != "ok" || outcome(late) != "ok" || late.BaseOffset() != again.BaseOffset() {
			t.Errorf("first %s, duplicate of what is durable %s", outcome(again), outcome(late))
		}
		if errors.Is(late.Err(), ErrTimedOut) {
			t.Error("waited for what had been")
		}
	})
}
