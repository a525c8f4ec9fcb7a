package testcluster

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// goodHistory is what clients see when all is well: two producers, one
// partition, a change of leader.
type goodHistory struct {
	acked, consumed []Entry
	latest          [][2]int64 // epoch and offset
	views           []View
	answers         []time.Duration
	replicas        []Replica
}

func newGoodHistory() *goodHistory {
	log := []Entry{{0, Value{1, 1}}, {1, Value{2, 1}}, {2, Value{1, 2}}, {3, Value{1, 4}}, {4, Value{2, 3}}}
	g := &goodHistory{
		acked:    []Entry{log[0], log[1], log[3], log[4]}, // the answer to one was lost
		consumed: slices.Clone(log[:4]),
		latest:   [][2]int64{{3, 1}, {3, 3}, {5, 3}, {3, 3}, {5, 5}},
		views: []View{
			{Broker: 1, Leader: 1, Epoch: 3, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}},
			{Broker: 2, Leader: noLeader, Epoch: 4, Replicas: []int32{1, 2, 3}},
			{Broker: 1, Leader: 1, Epoch: 3, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}},
			{Broker: 1, Leader: 2, Epoch: 5, Replicas: []int32{1, 2, 3}, ISR: []int32{2}},
			{Broker: 1, Run: 1, Leader: 1, Epoch: 3, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 3}},
		},
		answers: []time.Duration{time.Millisecond, time.Second},
	}
	for _, broker := range []int32{2, 1} {
		g.replicas = append(g.replicas, Replica{Broker: broker, Entries: slices.Clone(log), Batches: []byte("bytes")})
	}
	return g
}

func (g *goodHistory) violations() []string {
	h := NewHistory(time.Second)
	for _, e := range g.acked {
		h.Acked(0, e)
	}
	for _, e := range g.consumed {
		h.Consumed(0, e)
	}
	for _, l := range g.latest {
		h.Latest(0, int32(l[0]), l[1])
	}
	for _, v := range g.views {
		h.Viewed(0, v)
	}
	for _, took := range g.answers {
		h.Answered(took)
	}
	h.Check(0, g.replicas)
	return h.Violations()
}

// TestHistoryFindsEveryAnomaly breaks a good history in every way that the
// oracle should know: one that passes them all proves nothing.
func TestHistoryFindsEveryAnomaly(t *testing.T) {
	t.Parallel()
	onAll := func(g *goodHistory, change func(r *Replica)) {
		for i := range g.replicas {
			change(&g.replicas[i])
		}
	}
	tests := []struct {
		name string
		harm func(g *goodHistory)
		want string // the rule; empty if nothing is wrong
	}{
		{name: "nothing", harm: func(*goodHistory) {}},
		{name: "the last acked record is gone everywhere", want: "H1", harm: func(g *goodHistory) {
			onAll(g, func(r *Replica) { r.Entries = r.Entries[:4] })
		}},
		{name: "an acked record is gone on one replica", want: "H1", harm: func(g *goodHistory) {
			g.replicas[1].Entries = g.replicas[1].Entries[:4]
		}},
		{name: "an acked record is another one", want: "H1", harm: func(g *goodHistory) {
			onAll(g, func(r *Replica) { r.Entries[4].Value.Seq = 2 })
		}},
		{name: "acked at the wrong offset", want: "H1", harm: func(g *goodHistory) { g.acked[3].Offset = 2 }},
		{name: "a retry was appended again", want: "H2", harm: func(g *goodHistory) {
			onAll(g, func(r *Replica) { r.Entries = append(r.Entries, Entry{5, Value{2, 3}}) })
		}},
		{name: "a later record overtook", want: "H3", harm: func(g *goodHistory) {
			onAll(g, func(r *Replica) { r.Entries = append(r.Entries, Entry{5, Value{1, 3}}) })
		}},
		{name: "a hole", want: "H4", harm: func(g *goodHistory) {
			onAll(g, func(r *Replica) { r.Entries = append(r.Entries, Entry{6, Value{1, 5}}) })
		}},
		{name: "other bytes on one replica", want: "H5", harm: func(g *goodHistory) { g.replicas[1].Batches = []byte("bites") }},
		{name: "consumed twice", want: "H6", harm: func(g *goodHistory) { g.consumed[3].Offset = 2 }},
		{name: "consumption skipped", want: "H6", harm: func(g *goodHistory) { g.consumed = slices.Delete(g.consumed, 1, 2) }},
		{name: "consumed and gone", want: "H6", harm: func(g *goodHistory) {
			g.consumed = append(g.consumed, Entry{4, Value{2, 2}})
		}},
		{name: "latest regressed in an epoch", want: "H7", harm: func(g *goodHistory) { g.latest[3] = [2]int64{3, 2} }},
		{name: "latest regressed in a newer epoch", want: "H7", harm: func(g *goodHistory) { g.latest[2] = [2]int64{5, 2} }},
		{name: "in sync without being a replica", want: "H8", harm: func(g *goodHistory) { g.views[0].ISR = []int32{1, 4} }},
		{name: "a leader out of sync", want: "H8", harm: func(g *goodHistory) { g.views[3].ISR = []int32{3} }},
		{name: "two leaders of an epoch", want: "H8", harm: func(g *goodHistory) { g.views[4].Leader = 3 }},
		{name: "back to an older epoch", want: "H8", harm: func(g *goodHistory) { g.views[4].Run = 0 }},
		{name: "a late answer", want: "H9", harm: func(g *goodHistory) { g.answers[1]++ }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGoodHistory()
			tt.harm(g)
			got := g.violations()
			if tt.want == "" {
				if len(got) > 0 {
					t.Fatalf("found %q", got)
				}
				return
			}
			if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, tt.want+":") }) {
				t.Fatalf("found %q, want a violation of %s", got, tt.want)
			}
		})
	}
}

func TestValueRoundTrip(t *testing.T) {
	t.Parallel()
	want := Value{Producer: 3, Seq: 1234}
	got, err := ParseValue([]byte(want.String() + "-padding"))
	if err != nil || got != want {
		t.Fatalf("ParseValue = %v, %v, want %v", got, err, want)
	}
	if _, err := ParseValue([]byte("other")); err == nil {
		t.Fatal("ParseValue takes what is no value")
	}
}
