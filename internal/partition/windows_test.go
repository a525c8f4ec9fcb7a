package partition

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
)

// windowsOf are the producer windows that the whole log makes.
func windowsOf(t *testing.T, r *Replica) []byte {
	t.Helper()
	state := producer.New()
	if err := r.scan(r.log.StartOffset(), func(b record.Batch) { state.Update(b, r.now()) }); err != nil {
		t.Fatal(err)
	}
	return state.Snapshot(r.log.EndOffset())
}

// TestCutsKeepTheWindows cuts a log behind, at and before the snapshot of its
// producer windows, and again after other records took the place of what was cut.
func TestCutsKeepTheWindows(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		cuts  []int64 // each followed by two other records
		reads int64   // first offset that the last rebuild has to read
	}{
		{name: "behind the snapshot", cuts: []int64{4}, reads: 3},
		{name: "at the snapshot", cuts: []int64{3}, reads: 3},
		{name: "before it", cuts: []int64{2}, reads: 0},
		{name: "before it, then behind it", cuts: []int64{1, 4}, reads: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, nil)
				r := w.replica(1)
				for seq := range 6 {
					w.mustProduce(1, AcksLeader, sequenced(7, seq))
					synctest.Wait()
					if seq == 2 {
						checkpointNow(w, w.brokers[1])
					}
				}
				for i, to := range tt.cuts {
					if err := r.log.TruncateTo(to); err != nil {
						t.Fatal(err)
					}
					if err := r.rebuildProducers(); err != nil {
						t.Fatal(err)
					}
					if got, want := r.producers.Snapshot(to), windowsOf(t, r); !bytes.Equal(got, want) {
						t.Fatalf("after the cut at %d: the windows are not those of the log", to)
					}
					for seq := range 3 {
						other := sequenced(int64(8+i), seq)
						other.Stamp(r.log.EndOffset(), int32(i+1))
						if err := r.log.Append(other); err != nil {
							t.Fatal(err)
						}
					}
				}
				if got := max(r.windowsAt, 0); got != tt.reads {
					t.Errorf("reads from %d on, want %d", got, tt.reads)
				}
			})
		})
	}
}

// sequenced is one record of a producer.
func sequenced(id int64, sequence int) record.Batch {
	return record.NewBuilder(0).Producer(id, 0, int32(sequence)).Append(nil, []byte("x"), nil, 1).Bytes()
}

// TestRoleChangesDoNotWaitForCheckpoints: a truncation does, as its files are
// being synced, and a change of roles must not wait for the truncation.
func TestRoleChangesDoNotWaitForCheckpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.mustProduce(1, AcksLeader, batch(2, "a"))
		synctest.Wait()
		session := w.follow(1, 2)
		if err := w.ship(1, 2, session); err != nil {
			t.Fatal(err)
		}
		r := w.replica(2)
		r.files.Lock() // as a checkpoint does
		cut := make(chan error, 1)
		go func() {
			_, err := w.brokers[2].table.TruncateFollow(t.Context(), w.tp, session, Cut{To: 2, Needed: true})
			cut <- err
		}()
		synctest.Wait()
		moved := make(chan struct{})
		go func() {
			defer close(moved)
			w.commit(cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: w.tp, Leader: 2}}})
		}()
		synctest.Wait()
		select {
		case <-moved:
		default:
			t.Error("the role change waits for the checkpoint")
		}
		r.files.Unlock()
		if err := <-cut; !errors.Is(err, ErrStaleSession) {
			t.Errorf("the truncation for another leader: %v, want %v", err, ErrStaleSession)
		}
		<-moved
	})
}
