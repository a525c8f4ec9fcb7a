package partition

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/cluster"
)

// TestRead walks R14, K9 and KIP-595 at a leader: [0, 2) of epoch 0 and [2, 4)
// of epoch 1 are committed, [4, 6) is not.
func TestRead(t *testing.T) {
	t.Parallel()
	none := cluster.NoEpoch
	tests := []struct {
		name          string
		offset        int64
		current, last cluster.Epoch
		batches       int
		diverging     *EpochEnd
		want          error
	}{
		{name: "all that is committed", current: none, last: none, batches: 2},
		{name: "from the second batch", offset: 2, current: 1, last: 0, batches: 1},
		{name: "at the high watermark", offset: 4, current: none, last: none},
		{name: "above the high watermark", offset: 5, current: none, last: none},
		{name: "beyond the end", offset: 7, current: none, last: none, want: ErrOffsetOutOfRange},
		{name: "older epoch", current: 0, last: none, want: ErrFencedEpoch},
		{name: "newer epoch", current: 2, last: none, want: ErrUnknownEpoch},
		{name: "more of an epoch than there is", offset: 3, current: 1, last: 0, diverging: &EpochEnd{Epoch: 0, End: 2}},
		{name: "as much of an epoch as there is", offset: 2, current: 1, last: 0, batches: 1},
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		produce := func(leader, other cluster.BrokerID, value string) {
			w.mustProduce(leader, AcksLeader, batch(2, value))
			synctest.Wait()
			for _, id := range []cluster.BrokerID{other, 3} {
				if err := w.ship(leader, id, w.follow(leader, id)); err != nil {
					t.Fatal(err)
				}
			}
		}
		produce(1, 2, "a")
		w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
		r := w.replica(2)
		if _, err := r.ListOffset(SpecLatest, none); !errors.Is(err, ErrOffsetNotAvailable) { // K15
			t.Errorf("latest offset before the followers were heard: %v", err)
		}
		produce(2, 3, "b")
		if got, err := r.ListOffset(SpecLatest, none); err != nil || got.Offset != 4 {
			t.Errorf("latest offset %+v, %v", got, err)
		}
		w.mustProduce(2, AcksLeader, batch(2, "c"))
		for _, tt := range tests {
			res, err := r.Read(ReadRequest{Offset: tt.offset, MaxBytes: 1 << 20, CurrentEpoch: tt.current, LastFetchedEpoch: tt.last})
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
			}
			if got := batches(res); got != tt.batches {
				t.Errorf("%s: %d batches, want %d", tt.name, got, tt.batches)
			}
			if (res.Diverging == nil) != (tt.diverging == nil) || (res.Diverging != nil && *res.Diverging != *tt.diverging) {
				t.Errorf("%s: diverging %+v, want %+v", tt.name, res.Diverging, tt.diverging)
			}
		}
	})
}

// batches counts the batches of two records in a result.
func batches(res ReadResult) (n int) {
	for _, chunk := range res.Batches {
		run, err := checkRun(chunk)
		if err != nil {
			return -1
		}
		n += int(run.Next-run.Base) / 2
	}
	return n
}
