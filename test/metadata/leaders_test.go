package metadata

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
)

// sighting is what a broker said of the only partition of a topic. Nobody
// writes leaders and in-sync sets from outside, so there is no order of writes
// to check them against; what they must never do is known all the same.
type sighting struct {
	begin, end int64
	broker     int
	id         string
	leader     int32
	epoch      int32
	isr        []int32
	replicas   []int32
}

// contradictions says what cannot all be true of one metadata log: two leaders
// in one epoch, a broker that goes back to an earlier epoch, an in-sync set with
// a stranger or without its leader.
func contradictions(sightings []sighting) []string {
	type term struct {
		id    string
		epoch int32
	}
	var found []string
	leaders := map[term]int32{}
	type place struct {
		broker int
		id     string
	}
	newest := map[place][]sighting{} // that ended, in order of their ends
	slices.SortFunc(sightings, func(a, b sighting) int { return cmp.Compare(a.begin, b.begin) })
	for _, s := range sightings {
		for _, member := range s.isr {
			if !slices.Contains(s.replicas, member) {
				found = append(found, fmt.Sprintf("broker %d, topic %s: %d is in sync and no replica", s.broker, s.id, member))
			}
		}
		if s.leader >= 0 {
			if !slices.Contains(s.isr, s.leader) {
				found = append(found, fmt.Sprintf("broker %d, topic %s: %d leads and is not in sync", s.broker, s.id, s.leader))
			}
			key := term{s.id, s.epoch}
			if other, ok := leaders[key]; ok && other != s.leader {
				found = append(found, fmt.Sprintf("topic %s epoch %d: %d and %d lead", s.id, s.epoch, other, s.leader))
			}
			leaders[key] = s.leader
		}
		at := place{s.broker, s.id}
		for _, before := range newest[at] {
			if before.end < s.begin && before.epoch > s.epoch {
				found = append(found, fmt.Sprintf("broker %d, topic %s: epoch %d after epoch %d", s.broker, s.id, s.epoch, before.epoch))
			}
		}
		newest[at] = append(newest[at], s)
	}
	return found
}

func TestContradictions(t *testing.T) {
	t.Parallel()
	good := sighting{begin: 1, end: 2, broker: 0, id: "x", leader: 1, epoch: 5, isr: []int32{1, 2}, replicas: []int32{1, 2}}
	tests := []struct {
		name  string
		other func(*sighting)
		want  int
	}{
		{name: "the same elsewhere", other: func(s *sighting) { s.broker = 1 }},
		{name: "another broker lags", other: func(s *sighting) { s.broker, s.epoch, s.leader = 1, 4, 2 }},
		{name: "no leader in the same epoch", other: func(s *sighting) { s.leader = -1 }},
		{name: "two leaders", other: func(s *sighting) { s.broker, s.leader = 1, 2 }, want: 1},
		{name: "back to an earlier epoch", other: func(s *sighting) { s.epoch = 4 }, want: 1},
		{name: "a stranger in sync", other: func(s *sighting) { s.isr = []int32{1, 3} }, want: 1},
		{name: "a leader out of sync", other: func(s *sighting) { s.isr = []int32{2} }, want: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			second := good
			second.begin, second.end = 3, 4
			tt.other(&second)
			if found := contradictions([]sighting{good, second}); len(found) != tt.want {
				t.Errorf("found %v, want %d", found, tt.want)
			}
		})
	}
}
