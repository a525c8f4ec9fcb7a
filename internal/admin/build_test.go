package admin

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/status"
)

// ptr is a value that is known.
func ptr[T any](v T) *T { return &v }

// show prints a value so that two of them can be compared by eye.
func show(v any) string {
	p, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(p)
}

func expect(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s\nwant %s", show(got), show(want))
	}
}

// tag returns tags with v as JSON under key.
func tag(key uint32, v any) kmsg.Tags {
	var tags kmsg.Tags
	p, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	tags.Set(key, p)
	return tags
}

func replicaState(id int32, end, caughtUpAt int64) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	s.ReplicaID, s.LogEndOffset, s.LastCaughtUpTimestamp = id, end, caughtUpAt
	return s
}

func TestPartitionState(t *testing.T) {
	t.Parallel()
	three := []int32{1, 2, 3}
	for _, tc := range []struct {
		name     string
		leader   int32
		replicas []int32
		isr      []int32
		minISR   *int
		want     string
	}{
		{"all in sync", 1, three, three, ptr(2), PartitionOK},
		{"one out, one to spare", 1, three, []int32{1, 2}, ptr(1), PartitionUnderReplicated},
		{"one out, none to spare", 1, three, []int32{1, 2}, ptr(2), PartitionAtMinISR},
		{"too few", 1, three, []int32{1}, ptr(2), PartitionUnderMinISR},
		{"no leader", -1, three, []int32{1, 2, 3}, ptr(2), PartitionOffline},
		{"no leader, nobody in sync", -1, three, nil, ptr(2), PartitionOffline},
		{"minimum unknown", 1, three, []int32{1}, nil, PartitionUnderReplicated},
		{"minimum unknown, all in sync", 1, three, three, nil, PartitionOK},
		{"a single replica is as good as it gets", 1, []int32{1}, []int32{1}, ptr(1), PartitionOK},
		{"a minimum above the replicas counts as all of them", 1, []int32{1}, []int32{1}, ptr(2), PartitionOK},
		{"minimum equal to the replicas", 1, three, three, ptr(3), PartitionOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			expect(t, partitionState(tc.leader, tc.replicas, tc.isr, tc.minISR), tc.want)
		})
	}
}

func metadataRow(leader int32, isr ...int32) ISRPartition {
	return newRow(selected{PartitionDetail: kadm.PartitionDetail{
		Topic: "orders", Partition: 0, Leader: leader, LeaderEpoch: 3, Replicas: []int32{1, 2, 3}, ISR: isr,
	}, topicID: "uuid"}, nil)
}

func TestMetadataAloneClaimsNothing(t *testing.T) {
	t.Parallel()
	expect(t, metadataRow(1, 1, 2), ISRPartition{
		Topic: "orders", TopicID: "uuid", Leader: 1, LeaderEpoch: ptr(int32(3)),
		Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2}, Source: SourceMetadata,
		Followers: []Follower{{Broker: 2, State: StateUnknown, InISR: true}, {Broker: 3, State: StateUnknown}},
	})
}

func TestLeaderView(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	for _, tc := range []struct {
		name   string
		row    ISRPartition
		view   func(*leaderView)
		change func(*ISRPartition) // from the row, what is wanted
	}{
		{
			name: "chronik tells everything",
			row:  metadataRow(1, 1, 2, 3),
			view: func(v *leaderView) {
				v.HighWatermark = 90
				v.UnknownTags = tag(status.TagPartition, status.Partition{
					DurableEndOffset: 95, MinInsyncReplicas: 2, Flush: "fsync", PendingAcks: 4, LastISRChange: "shrink 3: stalled",
				})
				two, three := replicaState(2, 100, 0), replicaState(3, 80, 0)
				two.UnknownTags = tag(status.TagFollower, status.Follower{
					State: status.StateInSync, DurableEndOffset: ptr(int64(95)), LagRecords: ptr(int64(5)), LagBytes: ptr(int64(500)),
					LagMillis: ptr(int64(7)), LastCaughtUpMS: ptr(int64(1)), AckWaitShare: ptr(0.25), Flaps: 1,
				})
				three.UnknownTags = tag(status.TagFollower, status.Follower{State: status.StateConnecting, Reason: "connection refused"})
				v.CurrentVoters = append(v.CurrentVoters, replicaState(1, 100, 0), two)
				v.Observers = append(v.Observers, three)
			},
			change: func(p *ISRPartition) {
				p.HighWatermark, p.LogEndOffset, p.DurableEndOffset = ptr(int64(90)), ptr(int64(100)), ptr(int64(95))
				p.MinInsyncReplicas, p.Flush, p.PendingAcks = ptr(2), ptr("fsync"), ptr(4)
				p.LastISRChange = ptr("shrink 3: stalled")
				p.Followers = []Follower{
					{
						Broker: 2, State: status.StateInSync, InISR: true, DurableEndOffset: ptr(int64(95)), LogEndOffset: ptr(int64(100)),
						LagRecords: ptr(int64(5)), LagBytes: ptr(int64(500)), LagMillis: ptr(int64(7)), LastCaughtUpMS: ptr(int64(1)),
						AckWaitShare: ptr(0.25), Flaps: ptr(1),
					},
					{
						Broker: 3, State: status.StateConnecting, InISR: true, LogEndOffset: ptr(int64(80)),
						Flaps: ptr(0), Reason: ptr("connection refused"),
					},
				}
			},
		},
		{
			name: "without tags the fields of Kafka are used",
			row:  metadataRow(1, 1, 2, 3),
			view: func(v *leaderView) {
				v.HighWatermark = 90
				v.CurrentVoters = append(v.CurrentVoters, replicaState(1, 100, 0), replicaState(2, 97, 999_500), replicaState(3, -1, -1))
			},
			change: func(p *ISRPartition) {
				p.HighWatermark, p.LogEndOffset = ptr(int64(90)), ptr(int64(100))
				p.Followers = []Follower{
					{Broker: 2, State: StateUnknown, InISR: true, LogEndOffset: ptr(int64(97)), LagRecords: ptr(int64(3)), LastCaughtUpMS: ptr(int64(500))},
					{Broker: 3, State: StateUnknown, InISR: true},
				}
			},
		},
		{
			name: "a clock ahead of ours makes the time unknown",
			row:  metadataRow(1, 1, 2, 3),
			view: func(v *leaderView) {
				v.HighWatermark = -1
				v.CurrentVoters = append(v.CurrentVoters, replicaState(2, 5, 1_000_001))
			},
			change: func(p *ISRPartition) {
				p.Followers = []Follower{
					{Broker: 2, State: StateUnknown, InISR: true, LogEndOffset: ptr(int64(5))},
					{Broker: 3, State: StateUnknown, InISR: true},
				}
			},
		},
		{
			name: "tags of another version are ignored",
			row:  metadataRow(1, 1, 2, 3),
			view: func(v *leaderView) {
				v.HighWatermark = -1
				v.UnknownTags.Set(status.TagPartition, []byte(`{"min_insync_replicas":"two"}`))
			},
			change: func(p *ISRPartition) {
				p.Followers = []Follower{{Broker: 2, State: StateUnknown, InISR: true}, {Broker: 3, State: StateUnknown, InISR: true}}
			},
		},
		{
			name: "the leader that answers is the leader",
			row:  metadataRow(1, 1, 2, 3),
			view: func(v *leaderView) { v.LeaderID, v.LeaderEpoch, v.HighWatermark = 2, 4, -1 },
			change: func(p *ISRPartition) {
				p.Leader, p.LeaderEpoch = 2, ptr(int32(4))
				p.Followers = []Follower{{Broker: 1, State: StateUnknown, InISR: true}, {Broker: 3, State: StateUnknown, InISR: true}}
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			view := kmsg.NewDescribeQuorumResponseTopicPartition()
			view.LeaderID, view.LeaderEpoch = 1, 3
			tc.view(&view)
			got, want := tc.row, tc.row
			want.Source = SourceLeader
			tc.change(&want)
			applyView(&got, view, now)
			expect(t, got, want)
		})
	}
}

func TestReplicaAnswersFillARow(t *testing.T) {
	t.Parallel()
	tp := topicPartition{"orders", 0}
	for _, tc := range []struct {
		name    string
		answers *replicaAnswers
		want    bool
		check   func(*ISRPartition)
	}{
		{
			name: "log ends and sizes",
			answers: &replicaAnswers{
				highWatermarks: map[topicPartition]int64{tp: 100},
				logEnds:        map[topicPartition]map[int32]int64{tp: {1: 120, 2: 120, 3: 40}},
				logBytes:       map[topicPartition]map[int32]int64{tp: {1: 9000, 2: 8000, 3: 3000}},
			},
			want: true,
			check: func(p *ISRPartition) {
				p.HighWatermark, p.LogEndOffset = ptr(int64(100)), ptr(int64(120))
				// Equal ends are no lag, whatever retention did to the sizes.
				p.Followers[0].LogEndOffset, p.Followers[0].LagRecords, p.Followers[0].LagBytes = ptr(int64(120)), ptr(int64(0)), ptr(int64(0))
				p.Followers[1].LogEndOffset, p.Followers[1].LagRecords, p.Followers[1].LagBytes = ptr(int64(40)), ptr(int64(80)), ptr(int64(6000))
			},
		},
		{
			name: "a follower that does not answer stays unknown",
			answers: &replicaAnswers{
				logEnds: map[topicPartition]map[int32]int64{tp: {1: 120, 2: 121}},
			},
			want: true,
			check: func(p *ISRPartition) {
				p.LogEndOffset = ptr(int64(120))
				p.Followers[0].LogEndOffset, p.Followers[0].LagRecords, p.Followers[0].LagBytes = ptr(int64(121)), ptr(int64(0)), ptr(int64(0))
			},
		},
		{
			name: "without the leader's end no lag is known",
			answers: &replicaAnswers{
				logEnds:  map[topicPartition]map[int32]int64{tp: {2: 5}},
				logBytes: map[topicPartition]map[int32]int64{tp: {2: 5}},
			},
			check: func(p *ISRPartition) { p.Followers[0].LogEndOffset = ptr(int64(5)) },
		},
		{name: "nothing", answers: &replicaAnswers{}, check: func(*ISRPartition) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, want := metadataRow(1, 1, 2, 3), metadataRow(1, 1, 2, 3)
			tc.check(&want)
			if filled := tc.answers.fill(&got); filled != tc.want {
				t.Errorf("fill = %v, want %v", filled, tc.want)
			}
			expect(t, got, want)
		})
	}
}

func TestSumLinks(t *testing.T) {
	t.Parallel()
	partition := func(leader int32, followers ...Follower) ISRPartition {
		return ISRPartition{Leader: leader, Followers: followers}
	}
	got := sumLinks([]ISRPartition{
		partition(1, Follower{Broker: 2, InISR: true, LagRecords: ptr(int64(0)), LagBytes: ptr(int64(0))},
			Follower{Broker: 3, LagRecords: ptr(int64(7)), LagBytes: ptr(int64(70))}),
		partition(1, Follower{Broker: 2, InISR: true, LagRecords: ptr(int64(0)), LagBytes: ptr(int64(0))},
			Follower{Broker: 3, InISR: true, LagRecords: ptr(int64(1))}),
		partition(2, Follower{Broker: 1, InISR: true}), // not asked about
		partition(-1, Follower{Broker: 1}),
	}, map[int32]bool{1: true})
	byTarget := make(map[int32]Link)
	for _, l := range got {
		byTarget[l.To] = l
	}
	expect(t, byTarget, map[int32]Link{
		2: {From: 1, To: 2, State: LinkOK, Partitions: ptr(2), InSync: ptr(2), LagRecords: ptr(int64(0)), LagBytes: ptr(int64(0)), Source: SourceReplicas},
		3: {From: 1, To: 3, State: LinkCatchingUp, Partitions: ptr(2), InSync: ptr(1), LagRecords: ptr(int64(8)), Source: SourceReplicas},
	})
}

func TestParseSelector(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       Selector
		wantErr    string
	}{
		{"topic", "orders", Selector{"orders", AllPartitions}, ""},
		{"partition", "orders:3", Selector{"orders", 3}, ""},
		{"empty", "", Selector{}, "names no topic"},
		{"no topic", ":3", Selector{}, "names no topic"},
		{"no number", "orders:", Selector{}, "not a number"},
		{"negative", "orders:-1", Selector{}, "not a number"},
		{"word", "orders:x", Selector{}, "not a number"},
		{"too large", "orders:99999999999", Selector{}, "not a number"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseSelector(tc.text)
			if got != tc.want || (err == nil) != (tc.wantErr == "") {
				t.Fatalf("got %v, %v; want %v, %q", got, err, tc.want, tc.wantErr)
			}
			if err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error %q lacks %q", err, tc.wantErr)
			}
			if err == nil && got.String() != tc.text {
				t.Errorf("String() = %q, want %q", got, tc.text)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	topic := func(name string, internal bool, partitions int32) kadm.TopicDetail {
		d := kadm.TopicDetail{Topic: name, IsInternal: internal, Partitions: make(kadm.PartitionDetails)}
		for p := range partitions {
			d.Partitions[p] = kadm.PartitionDetail{Topic: name, Partition: p}
		}
		return d
	}
	md := kadm.Metadata{Topics: kadm.TopicDetails{
		"b": topic("b", false, 2), "a": topic("a", false, 1), "__offsets": topic("__offsets", true, 1),
	}}
	for _, tc := range []struct {
		name      string
		selectors []Selector
		internal  bool
		want      string
		problems  []string
	}{
		{name: "all", want: "a:0 b:0 b:1"},
		{name: "all and internal", internal: true, want: "__offsets:0 a:0 b:0 b:1"},
		{name: "named", selectors: []Selector{{"b", AllPartitions}, {"a", 0}}, want: "a:0 b:0 b:1"},
		{name: "named twice", selectors: []Selector{{"b", 1}, {"b", AllPartitions}, {"b", 1}}, want: "b:0 b:1"},
		{name: "an internal one by name", selectors: []Selector{{"__offsets", AllPartitions}}, want: "__offsets:0"},
		{
			name: "unknown ones", selectors: []Selector{{"c", AllPartitions}, {"b", 2}, {"a", AllPartitions}}, want: "a:0",
			problems: []string{"the cluster has no such topic", "it has 2, from 0"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			chosen, problems := choose(md, tc.selectors, tc.internal)
			var names []string
			for _, s := range chosen {
				names = append(names, strings.TrimPrefix(s.key().String(), "partition "))
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("chosen %q, want %q", got, tc.want)
			}
			if len(problems) != len(tc.problems) {
				t.Fatalf("problems %v, want %v", problems, tc.problems)
			}
			for i, p := range problems {
				if !strings.Contains(p.Err.Error(), tc.problems[i]) {
					t.Errorf("problem %q lacks %q", p.Err, tc.problems[i])
				}
			}
		})
	}
}

func TestLookupCode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       int16
		ok         bool
	}{
		{"number", "3", 3, true},
		{"minus one", "-1", -1, true},
		{"name", "NOT_ENOUGH_REPLICAS", 19, true},
		{"Java's name", "NotEnoughReplicas", 19, true},
		{"words", "not enough replicas", 19, true},
		{"zero is no error", "0", 0, false},
		{"no such number", "20000", 0, false},
		{"beyond the range", "99999999", 0, false},
		{"no such name", "ALL_IS_WELL", 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, ok := LookupCode(tc.text)
			if ok != tc.ok || got.Code != tc.want {
				t.Errorf("got %+v, %v; want %d, %v", got, ok, tc.want, tc.ok)
			}
		})
	}
	for code := range nextSteps {
		if info, ok := LookupCode(strings.TrimSpace(show(code))); !ok || info.Next == "" {
			t.Errorf("next step for code %d, which does not exist", code)
		}
	}
}
