package api

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

// sessionBed is a bed with topics a, b and c of one partition and one record.
func sessionBed(t *testing.T, configure ...func(*Options)) *bed {
	t.Helper()
	b := newBed(t, configure...)
	for _, name := range []string{"a", "b", "c"} {
		b.topic(name, nil, []cluster.BrokerID{1})
		b.produce(name, 0, batch(1))
	}
	return b
}

// fetchSessionRequest continues a session.
func fetchSessionRequest(version int16, id, epoch int32, from ...fetchFrom) *kmsg.FetchRequest {
	req := fetchRequest(version, from...)
	req.SessionID, req.SessionEpoch = id, epoch
	req.MaxWaitMillis = 0
	return req
}

// told lists what a response says: "topic:end of its records".
func told(t *testing.T, resp *kmsg.FetchResponse) string {
	t.Helper()
	names := map[cluster.UUID]string{topicID("a"): "a", topicID("b"): "b", topicID("c"): "c"}
	var parts []string
	for _, topic := range resp.Topics {
		name := topic.Topic
		if name == "" {
			name = names[topic.TopicID]
		}
		for _, p := range topic.Partitions {
			what := "-"
			if got := offsets(t, p.RecordBatches); len(got) > 0 {
				what = fmt.Sprint(got[len(got)-1] + 1)
			}
			if p.ErrorCode != 0 {
				what = fmt.Sprintf("code %d", p.ErrorCode)
			}
			parts = append(parts, name+":"+what)
		}
	}
	return strings.Join(parts, " ")
}

func TestFetchSessionsTellOnlyNews(t *testing.T) {
	t.Parallel()
	for _, version := range versions(t, 1, 7) {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := sessionBed(t)
				resp := ask[*kmsg.FetchResponse](b, fetchSessionRequest(version, 0, 0, fetchFrom{"a", 0, 0}, fetchFrom{"b", 0, 1}), version)
				id := resp.SessionID
				if id == 0 {
					t.Fatal("no session was opened")
				}
				steps := []struct {
					name   string
					before func()
					from   []fetchFrom
					forget string
					want   string
				}{
					{name: "nothing new, the same offset again", want: "a:1"},
					{name: "at the end of both", from: []fetchFrom{{"a", 0, 1}}, want: ""},
					{name: "a record in b", before: func() { b.produce("b", 0, batch(1)) }, want: "b:2"},
					{name: "c joins", from: []fetchFrom{{"b", 0, 2}, {"c", 0, 0}}, want: "c:1"},
					{name: "c is forgotten", forget: "c", want: ""},
					{name: "a record in c, which is forgotten", before: func() { b.produce("c", 0, batch(1)) }, want: ""},
					{name: "c joins and leaves at once: it joins", from: []fetchFrom{{"c", 0, 2}}, forget: "c", want: "c:-"},
					{name: "a is deleted", before: func() { b.apply(cluster.DeleteTopic{Name: "a"}) }, want: deletedTopic(version)},
					{name: "and that is told again", want: deletedTopic(version)},
				}
				for i, step := range steps {
					if step.before != nil {
						step.before()
					}
					req := fetchSessionRequest(version, id, int32(i)+1, step.from...)
					if step.forget != "" {
						forgotten := kmsg.FetchRequestForgottenTopic{Topic: step.forget, Partitions: []int32{0}}
						if version >= firstTopicIDFetch {
							forgotten.Topic, forgotten.TopicID = "", topicID(step.forget)
						}
						req.ForgottenTopics = append(req.ForgottenTopics, forgotten)
					}
					resp := ask[*kmsg.FetchResponse](b, req, version)
					wantCode(t, step.name, resp.ErrorCode, codeNone)
					if resp.SessionID != id {
						t.Errorf("%s: session %d, want %d", step.name, resp.SessionID, id)
					}
					if got := told(t, resp); got != step.want {
						t.Errorf("%s: told %q, want %q", step.name, got, step.want)
					}
				}
			})
		})
	}
}

func deletedTopic(version int16) string {
	if version >= firstTopicIDFetch {
		return "a:code 100"
	}
	return "a:code 3"
}

func TestFetchSessionErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := sessionBed(t)
		open := func(version int16) int32 {
			return ask[*kmsg.FetchResponse](b, fetchSessionRequest(version, 0, 0, fetchFrom{"a", 0, 0}), version).SessionID
		}
		id := open(12)
		tests := []struct {
			name      string
			version   int16
			id, epoch int32
			want      code
		}{
			{name: "unknown session", version: 12, id: id ^ 1, epoch: 1, want: codeFetchSessionIDNotFound},
			{name: "epoch skipped", version: 12, id: id, epoch: 2, want: codeInvalidFetchSessionEpoch},
			{name: "topic ids in a session of names", version: 13, id: id, epoch: 1, want: codeFetchSessionTopicIDError},
			{name: "in order", version: 12, id: id, epoch: 1, want: codeNone},
			{name: "epoch repeated", version: 12, id: id, epoch: 1, want: codeInvalidFetchSessionEpoch},
			{name: "next in order", version: 12, id: id, epoch: 2, want: codeNone},
			{name: "closed", version: 12, id: id, epoch: -1, want: codeNone},
			{name: "after it was closed", version: 12, id: id, epoch: 3, want: codeFetchSessionIDNotFound},
		}
		for _, tt := range tests {
			resp := ask[*kmsg.FetchResponse](b, fetchSessionRequest(tt.version, tt.id, tt.epoch), tt.version)
			wantCode(t, tt.name, resp.ErrorCode, tt.want)
		}
		if first, second := open(12), open(12); first == second {
			t.Errorf("two sessions have the id %d", first)
		}
	})
}

func TestASessionIsReplacedByItsOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := sessionBed(t)
		first := ask[*kmsg.FetchResponse](b, fetchSessionRequest(12, 0, 0, fetchFrom{"a", 0, 0}), 12).SessionID
		second := ask[*kmsg.FetchResponse](b, fetchSessionRequest(12, first, 0, fetchFrom{"b", 0, 0}), 12)
		if second.SessionID == first || told(t, second) != "b:1" {
			t.Errorf("session %d told %q, want another than %d, and b:1", second.SessionID, told(t, second), first)
		}
		old := ask[*kmsg.FetchResponse](b, fetchSessionRequest(12, first, 1), 12)
		wantCode(t, "the first session", old.ErrorCode, codeFetchSessionIDNotFound)
	})
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		limit func(*Options)
	}{
		{name: "their number", limit: func(o *Options) { o.MaxFetchSessions = 2 }},
		{name: "their partitions", limit: func(o *Options) { o.MaxFetchSessionPartitions = 2 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := sessionBed(t, tt.limit, func(o *Options) { o.FetchSessionIdle = time.Minute })
				open := func() int32 {
					resp := ask[*kmsg.FetchResponse](b, fetchSessionRequest(12, 0, 0, fetchFrom{"a", 0, 0}), 12)
					if got := told(t, resp); got != "a:1" {
						t.Errorf("told %q, want a:1 with or without a session", got)
					}
					return resp.SessionID
				}
				oldest := open()
				<-time.After(time.Second)
				newer := open()
				if third := open(); third != 0 {
					t.Errorf("a third session, %d, while two are in use", third)
				}
				<-time.After(time.Minute)
				wantCode(t, "the oldest one, used again", ask[*kmsg.FetchResponse](b, fetchSessionRequest(12, oldest, 1), 12).ErrorCode, codeNone)
				if third := open(); third == 0 {
					t.Error("no session although one has not been used for a minute")
				}
				wantCode(t, "the newer one", ask[*kmsg.FetchResponse](b, fetchSessionRequest(12, newer, 1), 12).ErrorCode, codeFetchSessionIDNotFound)
				wantCode(t, "the oldest one", ask[*kmsg.FetchResponse](b, fetchSessionRequest(12, oldest, 2), 12).ErrorCode, codeNone)
			})
		})
	}
}

func TestASessionThatOutgrowsTheLimitIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := sessionBed(t, func(o *Options) { o.MaxFetchSessionPartitions = 2 })
		id := ask[*kmsg.FetchResponse](b, fetchSessionRequest(12, 0, 0, fetchFrom{"a", 0, 0}), 12).SessionID
		grown := fetchSessionRequest(12, id, 1, fetchFrom{"b", 0, 0}, fetchFrom{"c", 0, 0})
		resp := ask[*kmsg.FetchResponse](b, grown, 12)
		if got := told(t, resp); got != "a:1 b:1 c:1" {
			t.Errorf("told %q, want all three", got)
		}
		again := ask[*kmsg.FetchResponse](b, fetchSessionRequest(12, id, 2), 12)
		wantCode(t, "the next request", again.ErrorCode, codeFetchSessionIDNotFound)
		if n := b.api.sessions.total; n != 0 {
			t.Errorf("%d partitions accounted for without a session", n)
		}
	})
}

// A partition that failed and works again is told, even if nothing in it changed
// meanwhile.
func TestAPartitionThatWorksAgainIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("a", nil, []cluster.BrokerID{1, 2})
		const version = firstFollowerFetch - 1
		id := ask[*kmsg.FetchResponse](b, fetchSessionRequest(version, 0, 0, fetchFrom{"a", 0, 0}), version).SessionID
		for i, step := range []struct {
			leader cluster.BrokerID
			want   string
		}{{1, ""}, {2, "a:code 6"}, {1, "a:-"}, {1, ""}} {
			if topic, _ := b.Image().Topic("a"); topic.Partitions[0].Leader != step.leader {
				b.lead("a", 0, step.leader)
			}
			if got := told(t, ask[*kmsg.FetchResponse](b, fetchSessionRequest(version, id, int32(i)+1), version)); got != step.want {
				t.Errorf("step %d: told %q, want %q", i, got, step.want)
			}
		}
	})
}

// Responses that are full must not starve the partitions behind.
func TestAFullResponseStarvesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := sessionBed(t)
		open := fetchSessionRequest(12, 0, 0, fetchFrom{"a", 0, 0}, fetchFrom{"b", 0, 0}, fetchFrom{"c", 0, 0})
		open.MaxBytes = 1 // room for the first batch only
		resp := ask[*kmsg.FetchResponse](b, open, 12)
		got := []string{told(t, resp)}
		for epoch := int32(1); epoch < 4; epoch++ {
			req := fetchSessionRequest(12, resp.SessionID, epoch)
			req.MaxBytes = 1
			got = append(got, told(t, ask[*kmsg.FetchResponse](b, req, 12)))
		}
		want := []string{"a:1 b:- c:-", "b:1", "c:1", "a:1"}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}
