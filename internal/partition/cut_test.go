package partition

import (
	"testing"

	"github.com/chronik-project/chronik/internal/segment"
)

// TestCutFor walks the cases of K6, K7 and K11.
func TestCutFor(t *testing.T) {
	t.Parallel()
	leader := []segment.EpochStart{{Epoch: 1, Start: 0}, {Epoch: 3, Start: 10}, {Epoch: 5, Start: 20}}
	tests := []struct {
		name       string
		ours       []segment.EpochStart
		start, end int64
		pos        FollowerPosition
		want       Cut
	}{
		{
			name: "equal logs", ours: leader, end: 30,
			pos:  FollowerPosition{LogEnd: 30, Epochs: []EpochStart{{1, 0}, {3, 10}, {5, 20}}},
			want: Cut{To: 30},
		},
		{
			name: "follower is behind in the same epoch", ours: leader, end: 30,
			pos:  FollowerPosition{LogEnd: 25, Epochs: []EpochStart{{1, 0}, {3, 10}, {5, 20}}},
			want: Cut{To: 25},
		},
		{
			name: "follower is ahead in the same epoch", ours: leader, end: 30,
			pos:  FollowerPosition{LogEnd: 33, Epochs: []EpochStart{{1, 0}, {3, 10}, {5, 20}}},
			want: Cut{To: 30, Needed: true},
		},
		{
			name: "follower wrote an epoch that the leader never had", ours: leader, end: 30,
			pos:  FollowerPosition{LogEnd: 18, Epochs: []EpochStart{{1, 0}, {2, 8}}},
			want: Cut{To: 8, Needed: true},
		},
		{
			name: "follower's old epoch reaches beyond the leader's", ours: leader, end: 30,
			pos:  FollowerPosition{LogEnd: 15, Epochs: []EpochStart{{1, 0}}},
			want: Cut{To: 10, Needed: true},
		},
		{
			name: "divergence of several epochs is cut in one step", ours: leader, end: 30,
			pos:  FollowerPosition{LogEnd: 40, Epochs: []EpochStart{{1, 0}, {2, 12}, {4, 25}}},
			want: Cut{To: 10, Needed: true},
		},
		{
			name: "empty follower", ours: leader, end: 30,
			pos:  FollowerPosition{},
			want: Cut{To: 0},
		},
		{
			name: "empty leader of a new partition", end: 0,
			pos:  FollowerPosition{},
			want: Cut{To: 0},
		},
		{
			name: "leader that never wrote, follower that did", ours: []segment.EpochStart{{Epoch: 9, Start: 0}}, end: 0,
			pos:  FollowerPosition{LogEnd: 5, Epochs: []EpochStart{{1, 0}}},
			want: Cut{To: 0, Reset: true, Needed: true},
		},
		{
			name: "follower ends before the leader's log starts", ours: leader, start: 12, end: 30,
			pos:  FollowerPosition{LogEnd: 9, Epochs: []EpochStart{{1, 0}}},
			want: Cut{To: 12, Reset: true, Needed: true},
		},
		{
			name: "empty follower, leader's log starts later", ours: leader, start: 12, end: 30,
			pos:  FollowerPosition{},
			want: Cut{To: 12, Reset: true, Needed: true},
		},
		{
			name: "empty follower that starts inside the leader's log", ours: leader, start: 12, end: 30,
			pos:  FollowerPosition{LogStart: 15, LogEnd: 15},
			want: Cut{To: 15},
		},
		{
			name: "empty follower that starts beyond the leader's log", ours: leader, end: 30,
			pos:  FollowerPosition{LogStart: 31, LogEnd: 31},
			want: Cut{To: 0, Reset: true, Needed: true},
		},
		{
			name: "agreement lies below the follower's own start", ours: leader, end: 30,
			pos:  FollowerPosition{LogStart: 14, LogEnd: 18, Epochs: []EpochStart{{1, 14}}},
			want: Cut{To: 0, Reset: true, Needed: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := CutFor(tt.ours, tt.start, tt.end, tt.pos); got != tt.want {
				t.Errorf("CutFor = %+v, want %+v", got, tt.want)
			}
		})
	}
}
