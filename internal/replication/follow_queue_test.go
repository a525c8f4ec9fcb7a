package replication

import (
	"testing"
	"time"
)

// What a follower tells of its queue is the wait of the oldest frame that a
// round made durable; frames that came during the round count from when they
// came, not from its end.
func TestQueueIsTheWaitOfTheOldestFrame(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_000, 0)
	s := inSession{pending: []arrival{{base: 10, at: at}, {base: 20, at: at.Add(time.Second)}, {base: 30, at: at.Add(2 * time.Second)}}}
	steps := []struct {
		name       string
		durableEnd int64
		want       time.Time
		left       int
	}{
		{name: "nothing of them", durableEnd: 10, left: 3},
		{name: "the first", durableEnd: 20, want: at, left: 2},
		{name: "the same again", durableEnd: 20, left: 2},
		{name: "the second, and a part of the third", durableEnd: 31, want: at.Add(time.Second)},
		{name: "none are left", durableEnd: 99},
	}
	for _, step := range steps {
		if got := s.settle(step.durableEnd); !got.Equal(step.want) || len(s.pending) != step.left {
			t.Fatalf("%s: oldest %v, %d left; want %v, %d", step.name, got, len(s.pending), step.want, step.left)
		}
	}
}
