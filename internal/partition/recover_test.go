package partition

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/vfs"
)

// TestRestartKnowsItsProducers restarts with the windows in each place they can
// be in: the write-ahead log, the snapshot, the segments.
func TestRestartKnowsItsProducers(t *testing.T) {
	t.Parallel()
	snapshot := func(w *world) string { return w.brokers[1].table.replicaDir(w.tp) + "/" + producersFile }
	tests := []struct {
		name string
		do   func(w *world, b *node)
	}{
		{name: "in the write-ahead log", do: func(*world, *node) {}},
		{name: "in the snapshot", do: checkpointNow},
		{name: "in segments, without a snapshot", do: func(w *world, b *node) {
			checkpointNow(w, b)
			if err := b.disk.Remove(snapshot(w)); err != nil {
				w.t.Fatal(err)
			}
		}},
		{name: "in segments, with a snapshot of another end", do: func(w *world, b *node) {
			checkpointNow(w, b)
			if err := vfs.WriteFileAtomic(b.disk, snapshot(w), producer.New().Snapshot(0)); err != nil {
				w.t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, nil)
				b := w.brokers[1]
				w.mustProduce(1, AcksAll, idempotent(0))
				synctest.Wait()
				tt.do(w, b)
				w.crash(1)
				w.start(1)
				if v, err := w.replica(1).producers.Check(idempotent(0)); err != nil || v.Kind != producer.Duplicate {
					t.Errorf("verdict %+v, %v", v, err)
				}
			})
		})
	}
}

func checkpointNow(w *world, b *node) {
	w.t.Helper()
	if err := b.table.makeCheckpoint(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// TestSnapshotIsUsed: the segments need not be read when it fits.
func TestSnapshotIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		w.mustProduce(1, AcksAll, batch(1, "a"))
		synctest.Wait()
		checkpointNow(w, b)
		state := producer.New()
		state.Update(idempotent(0), w.replica(1).now())
		name := b.table.replicaDir(w.tp) + "/" + producersFile
		if err := vfs.WriteFileAtomic(b.disk, name, state.Snapshot(1)); err != nil {
			t.Fatal(err)
		}
		w.crash(1)
		w.start(1)
		if v, _ := w.replica(1).producers.Check(idempotent(0)); v.Kind != producer.Duplicate {
			t.Errorf("verdict %+v: read the segments", v)
		}
	})
}

// TestRestartKeepsPositions restarts after a checkpoint, with more behind it.
func TestRestartKeepsPositions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.mustProduce(1, AcksAll, batch(2, "a"))
		synctest.Wait()
		checkpointNow(w, w.brokers[1])
		w.mustProduce(1, AcksAll, batch(1, "b"))
		synctest.Wait()
		w.crash(1)
		w.start(1)
		info := w.replica(1).Info()
		if info.HighWatermark != 2 || info.DurableEndOffset != 3 || info.LogEndOffset != 3 || info.Epoch != 0 {
			t.Errorf("after the restart %+v", info)
		}
		w.register(1)
		if got := w.replica(1).Info().HighWatermark; got != 3 {
			t.Errorf("leading alone: high watermark %d, want 3", got)
		}
	})
}

// TestMarksAreOfTheirOwnMoment appends to a partition while a checkpoint is
// being made, before its own mark is taken: replay must skip what the mark has,
// although the checkpoint starts earlier.
func TestMarksAreOfTheirOwnMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b, r := w.brokers[1], w.replica(1)
		w.mustProduce(1, AcksAll, batch(1, "a"))
		r.files.Lock()
		done := make(chan error)
		go func() { done <- b.table.makeCheckpoint(t.Context()) }()
		synctest.Wait()
		w.mustProduce(1, AcksAll, batch(1, "b"))
		r.files.Unlock()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		w.mustProduce(1, AcksAll, batch(1, "c"))
		synctest.Wait()
		w.crash(1)
		w.start(1)
		if len(b.report.Failed) > 0 {
			t.Fatalf("failed replicas %v", b.report.Failed)
		}
		if got, want := w.contents(1), []string{"0=a-0", "1=b-0", "2=c-0"}; !slices.Equal(got, want) {
			t.Errorf("holds %q, want %q", got, want)
		}
	})
}

// TestDamagedWriteAheadLogFailsAll flips a bit in a frame that later frames
// prove to have been durable.
func TestDamagedWriteAheadLogFailsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		w.mustProduce(1, AcksAll, batch(1, "checkpointed"))
		synctest.Wait()
		checkpointNow(w, b)
		for _, value := range []string{"sound", "damaged", "later", "last"} {
			w.mustProduce(1, AcksAll, batch(1, value))
			synctest.Wait()
		}
		w.crash(1)
		flip(t, b.disk, "damaged")
		w.start(1)
		if got := b.report.Failed; !b.report.Corrupt || !slices.Equal(got, []cluster.TopicPartition{w.tp}) {
			t.Errorf("report %+v", b.report)
		}
		names, err := b.disk.ReadDir(b.table.topicsDir() + "/" + w.tp.TopicID.String())
		if err != nil || !slices.ContainsFunc(names, func(s string) bool { return strings.HasPrefix(s, "0.failed-") }) {
			t.Errorf("nothing was kept for the operator: %q, %v", names, err)
		}
		if got := w.contents(1); len(got) > 0 {
			t.Errorf("starts with %q", got)
		}
	})
}

// flip damages the write-ahead log where it holds text.
func flip(t *testing.T, disk *vfs.Mem, text string) {
	t.Helper()
	names, err := disk.ReadDir("data/wal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		raw, err := vfs.ReadFile(disk, "data/wal/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if at := strings.Index(string(raw), text); at >= 0 {
			if err := disk.FlipBit("data/wal/"+name, int64(at)*8); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q is in no log file of %q", text, names)
}
