package partition

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/cluster"
)

// TestCutOutlivesItsSession loses the link while a cut is on its way to the
// disk. The write-ahead log has the cut by then, so the log must have it as
// well: or what the next leader sends would lie behind records that replay has
// cut.
func TestCutOutlivesItsSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		w.mustProduce(1, AcksLeader, batch(3, "lost"))
		synctest.Wait()
		w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
		w.commit(cluster.UnfenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
		info, _ := w.replica(2).Lead()
		b := w.brokers[1]
		w.session++
		pos, err := b.table.OpenFollow(OpenRequest{Leader: 2, TP: w.tp, Epoch: info.Epoch, MetaIndex: info.MetaIndex, Session: w.session, Sink: b.acks})
		if err != nil {
			t.Fatal(err)
		}
		cut, err := w.replica(2).CutFor(info.Epoch, pos)
		if err != nil || !cut.Needed {
			t.Fatalf("cut %+v, error %v", cut, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = b.table.TruncateFollow(gone, w.tp, w.session, cut) // nobody is there to read the answer
		b.table.CloseFollow(w.tp, w.session)
		if got := w.contents(1); len(got) > 0 {
			t.Errorf("after the cut the log holds %q", got)
		}
		// The broker leads next, without having followed anybody.
		w.commit(cluster.FenceBroker{ID: 2, Epoch: w.brokerEpoch(2)})
		w.commit(cluster.FenceBroker{ID: 3, Epoch: w.brokerEpoch(3)})
		r := w.replica(1)
		epoch := r.meta.part.LeaderEpoch
		r.mu.Lock()
		r.becomeLeader(w.img, epoch+1)
		r.mu.Unlock()
		w.mustProduce(1, AcksLeader, batch(2, "kept"))
		synctest.Wait()
		want := w.contents(1)
		w.crash(1)
		w.start(1)
		if len(b.report.Failed) > 0 {
			t.Fatalf("failed replicas %v", b.report.Failed)
		}
		if got := w.contents(1); !slices.Equal(got, want) {
			t.Errorf("recovered %q, want %q", got, want)
		}
	})
}
