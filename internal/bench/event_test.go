package bench

import (
	"slices"
	"testing"
	"time"
)

func TestChangesOfTheClusterAreEvents(t *testing.T) {
	t.Parallel()
	state := func(leader int32, isr ...int32) topicState {
		return topicState{{Partition: 0, Leader: 1, ISR: []int32{1, 2, 3}}, {Partition: 1, Leader: leader, ISR: isr}}
	}
	var s sampler
	start := time.Now()
	for i, st := range []topicState{state(2, 1, 2, 3), state(2, 1, 2, 3), state(-1, 1, 3), state(1, 1, 3)} {
		s.add(st, start.Add(time.Duration(i)*time.Second))
	}
	want := []Event{
		{Millis: 2000, Kind: EventLeader, Detail: "partition 1: leader none, was 2"},
		{Millis: 2000, Kind: EventISR, Detail: "partition 1: in sync 1,3, was 1,2,3"},
		{Millis: 3000, Kind: EventLeader, Detail: "partition 1: leader 1, was none"},
	}
	if got := since(start, s.happened()); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for i := range maxEvents {
		s.add(state(int32(i%2+1), 1, 3), start)
	}
	if n := len(s.happened()); n != maxEvents {
		t.Errorf("%d events are kept, want %d", n, maxEvents)
	}
}
