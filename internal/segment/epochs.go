package segment

import (
	"fmt"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
)

// EpochStart is an entry of the epoch vector: the offset at which a leader
// epoch starts.
type EpochStart struct {
	Epoch cluster.Epoch
	Start int64
}

// epochs is the vector of leader epochs of a log (K3). Invariant: epochs and
// starts are strictly increasing.
type epochs []EpochStart

// valid checks the invariant, and that the vector does not reach beyond end.
func (v epochs) valid(end int64) bool {
	for i, e := range v {
		if e.Epoch < 0 || e.Start < 0 || e.Start > end {
			return false
		}
		if i > 0 && (e.Epoch <= v[i-1].Epoch || e.Start <= v[i-1].Start) {
			return false
		}
	}
	return true
}

// latest is the last epoch that starts below offset: entries from there on
// belong to leaderships that wrote nothing.
func (v epochs) latest(offset int64) cluster.Epoch {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].Start < offset {
			return v[i].Epoch
		}
	}
	return cluster.NoEpoch
}

// assign starts an epoch at an offset. Epochs that were to start there or
// later hold no record and give way (a leader that never wrote, K4).
func (v epochs) assign(e cluster.Epoch, start int64) (epochs, error) {
	if before := v.latest(start); e < before {
		return v, fmt.Errorf("epoch %d at offset %d after epoch %d: %w", e, start, before, ErrEpochOrder)
	}
	v = v.truncate(start)
	if e == v.latest(start) {
		return v, nil
	}
	return append(v, EpochStart{Epoch: e, Start: start}), nil
}

// truncate drops the epochs that start at end or later.
func (v epochs) truncate(end int64) epochs {
	n := len(v)
	for n > 0 && v[n-1].Start >= end {
		n--
	}
	return v[:n]
}

// advance drops what lies before start. The epoch that start lies in begins
// there now.
func (v epochs) advance(start int64) epochs {
	n := 0
	for n+1 < len(v) && v[n+1].Start <= start {
		n++
	}
	v = slices.Clone(v[n:])
	if len(v) > 0 && v[0].Start < start {
		v[0].Start = start
	}
	return v
}

// at is the epoch of the record at offset.
func (v epochs) at(offset int64) (cluster.Epoch, bool) {
	e := v.latest(offset + 1)
	return e, e != cluster.NoEpoch
}

// check says what is wrong with a batch of the log. Its own CRC does not cover
// the leader epoch.
func (v epochs) check(b record.Batch) error {
	if err := record.Validate(b, 0); err != nil {
		return err
	}
	if e, ok := v.at(b.NextOffset() - 1); ok && e != cluster.Epoch(b.LeaderEpoch()) {
		return fmt.Errorf("batch at offset %d is of leader epoch %d, want %d", b.BaseOffset(), b.LeaderEpoch(), e)
	}
	return nil
}

// endOf finds the largest epoch not above e and where it ends, in a log that
// spans the given offsets.
func (v epochs) endOf(e cluster.Epoch, start, end int64) (cluster.Epoch, int64) {
	if len(v) == 0 {
		return cluster.NoEpoch, start
	}
	if e < v[0].Epoch {
		return e, v[0].Start
	}
	i := len(v) - 1
	for v[i].Epoch > e {
		i--
	}
	if i+1 < len(v) {
		return v[i].Epoch, v[i+1].Start
	}
	return v[i].Epoch, end
}
