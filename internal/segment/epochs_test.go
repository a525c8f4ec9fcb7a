package segment

import (
	"errors"
	"fmt"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

func TestEpochsAssign(t *testing.T) {
	t.Parallel()
	v := epochs{{1, 0}, {3, 50}, {5, 100}}
	for _, tc := range []struct {
		name    string
		epoch   cluster.Epoch
		start   int64
		want    string
		wantErr error
	}{
		{name: "next", epoch: 6, start: 120, want: "[{1 0} {3 50} {5 100} {6 120}]"},
		{name: "same as the last", epoch: 5, start: 120, want: "[{1 0} {3 50} {5 100}]"},
		{name: "at the start of one that wrote nothing", epoch: 6, start: 100, want: "[{1 0} {3 50} {6 100}]"},
		{name: "back to the one before an empty one", epoch: 3, start: 100, want: "[{1 0} {3 50}]"},
		{name: "between an empty one and the one before", epoch: 4, start: 100, want: "[{1 0} {3 50} {4 100}]"},
		{name: "older than records", epoch: 4, start: 101, want: "[{1 0} {3 50} {5 100}]", wantErr: ErrEpochOrder},
	} {
		got, err := append(epochs{}, v...).assign(tc.epoch, tc.start)
		if fmt.Sprint(got) != tc.want || !errors.Is(err, tc.wantErr) {
			t.Errorf("%s: %v, %v; want %s, %v", tc.name, got, err, tc.want, tc.wantErr)
		}
		if !got.valid(200) {
			t.Errorf("%s: %v breaks the invariant", tc.name, got)
		}
	}
}

func TestEpochsEndOf(t *testing.T) {
	t.Parallel()
	v := epochs{{1, 10}, {3, 50}, {5, 100}}
	for _, tc := range []struct {
		name      string
		v         epochs
		epoch     cluster.Epoch
		wantEpoch cluster.Epoch
		wantEnd   int64
	}{
		{name: "known", v: v, epoch: 3, wantEpoch: 3, wantEnd: 100},
		{name: "latest ends with the log", v: v, epoch: 5, wantEpoch: 5, wantEnd: 130},
		{name: "unknown gives the one below", v: v, epoch: 4, wantEpoch: 3, wantEnd: 100},
		{name: "newer than all", v: v, epoch: 9, wantEpoch: 5, wantEnd: 130},
		{name: "older than all", v: v, epoch: 0, wantEpoch: 0, wantEnd: 10},
		{name: "empty", v: nil, epoch: 3, wantEpoch: cluster.NoEpoch, wantEnd: 10},
	} {
		if e, end := tc.v.endOf(tc.epoch, 10, 130); e != tc.wantEpoch || end != tc.wantEnd {
			t.Errorf("%s: epoch %d ends at %d, want %d, %d", tc.name, e, end, tc.wantEpoch, tc.wantEnd)
		}
	}
}

func TestEpochsCut(t *testing.T) {
	t.Parallel()
	v := epochs{{1, 0}, {3, 50}, {5, 100}}
	for _, tc := range []struct {
		name     string
		truncate int64
		advance  int64
		want     string
	}{
		{name: "nothing", truncate: 200, want: "[{1 0} {3 50} {5 100}]"},
		{name: "end at a start", truncate: 100, want: "[{1 0} {3 50}]"},
		{name: "end within", truncate: 60, want: "[{1 0} {3 50}]"},
		{name: "all", truncate: 0, want: "[]"},
		{name: "start within", truncate: 200, advance: 60, want: "[{3 60} {5 100}]"},
		{name: "start at a start", truncate: 200, advance: 50, want: "[{3 50} {5 100}]"},
		{name: "start behind all", truncate: 200, advance: 150, want: "[{5 150}]"},
	} {
		got := append(epochs{}, v...).truncate(tc.truncate).advance(tc.advance)
		if fmt.Sprint(got) != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, got, tc.want)
		}
	}
	if e, ok := v.at(60); e != 3 || !ok {
		t.Errorf("epoch at 60 is %d, %v, want 3", e, ok)
	}
	if _, ok := (epochs{}).at(0); ok {
		t.Error("an empty vector knows an epoch")
	}
}

// TestAssignEpoch starts an epoch without a record, as a new leader does (K4),
// and loses it to one whose records come first.
func TestAssignEpoch(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, small(vfs.NewMem()))
	fill(t, l, 2, 1)
	must(t, l.AssignEpoch(4, 6))
	if e, end := l.EndOffsetForEpoch(4); e != 4 || end != 6 {
		t.Errorf("epoch 4: %d ends at %d, want 4 at 6", e, end)
	}
	if err := l.AssignEpoch(5, 7); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("epoch behind the end: %v", err)
	}
	if err := l.AssignEpoch(0, 6); !errors.Is(err, ErrEpochOrder) {
		t.Errorf("older epoch: %v", err)
	}
	fill(t, l, 1, 2)
	if got := fmt.Sprint(l.Epochs()); got != "[{1 0} {2 6}]" {
		t.Errorf("epochs %s, want the empty epoch 4 gone", got)
	}
	if e, ok := l.EpochAt(7); e != 2 || !ok {
		t.Errorf("epoch at 7 is %d, %v", e, ok)
	}
}
