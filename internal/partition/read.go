package partition

import (
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/segment"
)

// ReadRequest is one partition's part of a fetch request.
type ReadRequest struct {
	Offset   int64
	MaxBytes int
	// MinOne returns the first batch even when it is larger than MaxBytes, so
	// that a consumer always makes progress (KIP-74).
	MinOne bool
	// CurrentEpoch is the leader epoch the client believes in; NoEpoch: not sent.
	CurrentEpoch cluster.Epoch
	// LastFetchedEpoch is the epoch of the record before Offset; NoEpoch: not
	// sent (KIP-595).
	LastFetchedEpoch cluster.Epoch
	// AllowFollower serves a client from a follower, up to the high watermark
	// that it knows (KIP-392).
	AllowFollower bool
}

// ReadResult holds whole batches, never above the high watermark.
type ReadResult struct {
	Batches          [][]byte // share memory with the log: do not modify
	HighWatermark    int64
	LastStableOffset int64
	LogStartOffset   int64
	Diverging        *EpochEnd // set: no data, the client should truncate
}

// EpochEnd is the end (exclusive) of a leader epoch. Epoch is NoEpoch and End
// is -1 when it is unknown.
type EpochEnd struct {
	Epoch cluster.Epoch
	End   int64
}

// Read serves a consumer (R14). Errors: ErrNotLeader, ErrFencedEpoch,
// ErrUnknownEpoch, ErrOffsetOutOfRange, ErrOffsetNotAvailable, ErrStorage.
func (r *Replica) Read(req ReadRequest) (ReadResult, error) {
	const op = "fetch"
	r.mu.Lock()
	res, err := r.readable(op, req)
	r.mu.Unlock()
	if err != nil || res.Diverging != nil || req.Offset >= res.HighWatermark {
		return res, err
	}
	res.Batches, err = r.readLog(req.Offset, req.MaxBytes, res.HighWatermark, req.MinOne)
	switch {
	case errors.Is(err, segment.ErrOffsetOutOfRange): // retention was faster
		return res, r.failUnlocked(op, ErrOffsetOutOfRange, err.Error())
	case err != nil:
		return res, r.failUnlocked(op, ErrStorage, err.Error())
	}
	return res, nil
}

// readLog reads batches. A log that turns out to be damaged is given up: others
// have what it lost, and it must not be asked again, nor lead.
func (r *Replica) readLog(offset int64, maxBytes int, limit int64, minOne bool) ([][]byte, error) {
	batches, err := r.log.Read(offset, maxBytes, limit, minOne)
	r.giveUpIfDamaged(err)
	return batches, err
}

func (r *Replica) giveUpIfDamaged(err error) {
	if errors.Is(err, segment.ErrCorrupt) {
		r.t.failDamaged(r, err.Error())
	}
}

// readable checks the request and fills in all but the data. REQUIRES: r.mu is
// held.
func (r *Replica) readable(op string, req ReadRequest) (ReadResult, error) {
	if _, err := r.leading(op); err != nil && (!req.AllowFollower || r.failed != "" || r.lead != nil) {
		return ReadResult{HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1}, err
	}
	res := ReadResult{HighWatermark: r.highWatermark, LastStableOffset: r.highWatermark, LogStartOffset: r.log.StartOffset()}
	if err := r.checkEpoch(op, req.CurrentEpoch); err != nil {
		return res, err
	}
	if req.LastFetchedEpoch != cluster.NoEpoch {
		epoch, end := r.log.EndOffsetForEpoch(req.LastFetchedEpoch)
		if epoch != req.LastFetchedEpoch || end < req.Offset {
			res.Diverging = &EpochEnd{Epoch: epoch, End: end}
			return res, nil
		}
	}
	if r.lead == nil && req.Offset > res.HighWatermark {
		// The leader may well have it. Calling it out of range would make a
		// consumer start over, one whose leader this broker was a moment ago too.
		return res, r.fail(op, ErrOffsetNotAvailable, fmt.Sprintf("offset %d, high watermark known here %d", req.Offset, res.HighWatermark))
	}
	if req.Offset < res.LogStartOffset || req.Offset > r.log.EndOffset() {
		return res, r.fail(op, ErrOffsetOutOfRange, fmt.Sprintf("offset %d, log [%d, %d)", req.Offset, res.LogStartOffset, res.HighWatermark))
	}
	return res, nil
}

// Watcher is woken when the high watermark or the role of any replica that it
// watches changes. C has room for one wake; more are folded into it.
type Watcher struct{ C chan struct{} }

// NewWatcher returns a watcher of nothing.
func NewWatcher() *Watcher { return &Watcher{C: make(chan struct{}, 1)} }

func (w *Watcher) wake() {
	select {
	case w.C <- struct{}{}:
	default:
	}
}

// Watch registers w until Unwatch. Watch first, then read: a move in between
// is not lost.
func (r *Replica) Watch(w *Watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watchers == nil {
		r.watchers = map[*Watcher]struct{}{}
	}
	r.watchers[w] = struct{}{}
}

// Unwatch removes w.
func (r *Replica) Unwatch(w *Watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.watchers, w)
}

// wakeWatchers wakes all. REQUIRES: r.mu is held.
func (r *Replica) wakeWatchers() {
	for w := range r.watchers {
		w.wake()
	}
}

// Offsets that ListOffset takes instead of a timestamp.
const (
	SpecLatest       int64 = -1
	SpecEarliest     int64 = -2
	SpecMaxTimestamp int64 = -3
)

// OffsetResult answers ListOffset; -1 where there is nothing to say.
type OffsetResult struct {
	Offset          int64
	TimestampMillis int64
	LeaderEpoch     cluster.Epoch
}

// ListOffset looks up an offset by Spec… or by timestamp in milliseconds.
// ErrOffsetNotAvailable: a new leader does not know the high watermark yet
// (K15); retry.
func (r *Replica) ListOffset(spec int64, current cluster.Epoch) (OffsetResult, error) {
	const op = "list offsets"
	r.mu.Lock()
	lead, err := r.leading(op)
	if err == nil {
		err = r.checkEpoch(op, current)
	}
	if err != nil {
		r.mu.Unlock()
		return OffsetResult{}, err
	}
	known := lead.state.HWReachedEpochStart()
	hw, start, epoch := r.highWatermark, r.log.StartOffset(), lead.epoch
	r.mu.Unlock()

	none := OffsetResult{Offset: -1, TimestampMillis: -1, LeaderEpoch: cluster.NoEpoch}
	switch {
	case spec == SpecEarliest:
		e, _ := r.log.EpochAt(start)
		return OffsetResult{Offset: start, TimestampMillis: -1, LeaderEpoch: e}, nil
	case !known:
		return none, r.failUnlocked(op, ErrOffsetNotAvailable, "")
	case spec == SpecLatest:
		return OffsetResult{Offset: hw, TimestampMillis: -1, LeaderEpoch: epoch}, nil
	}
	var found segment.TimestampOffset
	var ok bool
	if spec == SpecMaxTimestamp {
		found, ok, err = r.log.MaxTimestamp(hw)
	} else {
		found, ok, err = r.log.OffsetForTimestamp(spec, hw)
	}
	if err != nil {
		r.giveUpIfDamaged(err)
		return none, r.failUnlocked(op, ErrStorage, err.Error())
	}
	if !ok {
		return none, nil
	}
	return OffsetResult{Offset: found.Offset, TimestampMillis: found.TimestampMillis, LeaderEpoch: found.Epoch}, nil
}

// OffsetForEpoch answers OffsetForLeaderEpoch: the end of the newest epoch that
// is not newer than asked (K6, K7).
func (r *Replica) OffsetForEpoch(current, epoch cluster.Epoch) (EpochEnd, error) {
	const op = "offset for leader epoch"
	r.mu.Lock()
	defer r.mu.Unlock()
	lead, err := r.leading(op)
	if err == nil {
		err = r.checkEpoch(op, current)
	}
	switch {
	case err != nil:
		return EpochEnd{Epoch: cluster.NoEpoch, End: -1}, err
	case epoch > lead.epoch || epoch < 0:
		return EpochEnd{Epoch: cluster.NoEpoch, End: -1}, nil
	case epoch == lead.epoch:
		return EpochEnd{Epoch: epoch, End: r.log.EndOffset()}, nil
	}
	e, end := r.log.EndOffsetForEpoch(epoch)
	return EpochEnd{Epoch: e, End: end}, nil
}
