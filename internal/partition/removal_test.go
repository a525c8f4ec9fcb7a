package partition

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// TestRemovedReplicaIsGone asks a replica that a request still holds.
func TestRemovedReplicaIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.mustProduce(1, AcksAll, batch(1, "a"))
		r := w.replica(1)
		watcher := NewWatcher()
		r.Watch(watcher)
		w.commit(cluster.DeleteTopic{ID: w.tp.TopicID})
		select {
		case <-watcher.C:
		default:
			t.Error("the removal wakes no watcher")
		}
		_, err := r.Append(t.Context(), AppendRequest{Batch: batch(1, "b"), Epoch: cluster.NoEpoch})
		if !errors.Is(err, ErrRemoved) {
			t.Errorf("append: %v", err)
		}
		if _, err := r.Read(ReadRequest{CurrentEpoch: cluster.NoEpoch, LastFetchedEpoch: cluster.NoEpoch}); !errors.Is(err, ErrRemoved) {
			t.Errorf("fetch: %v", err)
		}
		if _, err := r.openFollow(OpenRequest{TP: w.tp, Epoch: 9}); !errors.Is(err, ErrRemoved) {
			t.Errorf("follow: %v", err)
		}
	})
}

// TestReplayOfARemoval crashes after a removal that the checkpoint does not
// know: a directory that is gone on purpose is no damage, and what is placed
// here afterwards is another replica.
func TestReplayOfARemoval(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, nil)
			b := w.brokers[1]
			w.mustProduce(1, AcksAll, batch(3, "old"))
			synctest.Wait()
			if err := b.table.makeCheckpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.mustProduce(1, AcksAll, batch(1, "old"))
			w.commit(cluster.DeleteTopic{ID: w.tp.TopicID})
			if again {
				if _, err := b.wal.Append(wal.Entry{Kind: wal.KindAppend, TP: w.tp, Payload: batch(2, "new")}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			w.crash(1)
			w.start(1)
			if len(b.report.Failed) > 0 {
				t.Errorf("placed again %v: failed replicas %v", again, b.report.Failed)
			}
			r, ok := b.table.Get(w.tp)
			if ok != again {
				t.Fatalf("placed again %v: replica there %v", again, ok)
			}
			if !ok {
				if _, _, err := b.disk.Stat(b.table.replicaDir(w.tp)); !vfs.IsNotExist(err) {
					t.Errorf("directory of the removed replica: %v", err)
				}
				return
			}
			if got, want := w.contents(r.t.o.Self), []string{"0=new-0", "1=new-1"}; !slices.Equal(got, want) {
				t.Errorf("holds %q, want %q", got, want)
			}
		})
	}
}
