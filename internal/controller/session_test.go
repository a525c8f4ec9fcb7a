package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// image builds an image in which brokers 1 to n are registered, at the indexes
// 1, 3, 5 and so on, and unfenced.
func image(t *testing.T, n int, more ...cluster.Command) *cluster.Image {
	t.Helper()
	img := cluster.NewImage()
	apply := func(cmd cluster.Command) {
		next, res := cluster.Apply(img, img.Index()+1, cmd)
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		img = next
	}
	for id := cluster.BrokerID(1); id <= cluster.BrokerID(n); id++ {
		apply(cluster.RegisterBroker{Broker: cluster.Broker{ID: id, Incarnation: cluster.UUID{1, byte(id)}}})
		apply(cluster.UnfenceBroker{ID: id, Epoch: epochOf(id)})
	}
	for _, cmd := range more {
		apply(cmd)
	}
	return img
}

// epochOf is the epoch that image gives a broker.
func epochOf(id cluster.BrokerID) cluster.BrokerEpoch { return cluster.BrokerEpoch(2*id - 1) }

// TestSessions drives the soft state of broker 2 with a script: lines of
// "milliseconds event", where "=" compares what is decided and dialed.
func TestSessions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		fenced  bool
		witness bool // is fenced
		script  string
	}{
		{name: "heartbeats keep it", script: `
			0 beat
			5000 beat
			11000 =
		`},
		{name: "silence fences it", script: `
			0 beat
			6000 =
			6001 = fence: no heartbeat for 6.001s
		`},
		{name: "a new controller dials at once and waits a session", script: `
			0 = dial
			50 open
			100 =
			150 = dial
			160 unknown
			6001 = fence: no heartbeat for 6.001s dial
		`},
		{name: "a new controller believes those who miss it", script: `
			0 = dial
			50 open
			400 missed 3900ms
			2000 missed 5500ms
			2500 =dial
			2501 = fence: no heartbeat for 2.501s, all of this term, and others have not heard it for 6.001s
		`},
		{name: "it may still look for the new controller", script: `
			0 missed 1h
			1000 missed 1h
			1999 = dial
			2000 = fence: no heartbeat for 2s, all of this term, and others have not heard it for 1h0m1s
		`},
		{name: "or they for it", script: `
			0 missed 1h
			500 missed 0
			1500 missed 1h
			2000 = dial
			3000 missed 1h
			3499 =
			3500 = fence: no heartbeat for 3.5s, all of this term, and others have not heard it for 1h0m0.5s
		`},
		{name: "what was said a while ago means nothing", script: `
			0 missed 1h
			1501 =dial
			2000 =
		`},
		{name: "nor what an older incarnation says", script: `
			0 missed-by-old 1h
			1000 missed-by-old 1h
			2000 = dial
		`},
		{name: "nor what a fenced broker says", witness: true, script: `
			0 missed 1h
			1000 missed 1h
			2000 = unfence dial
		`}, // the witness is unfenced
		{name: "nor what is said of one that was heard", script: `
			0 missed 1h
			1000 beat
			2000 missed 1h
			2100 =
			7001 = fence: no heartbeat for 6.001s
		`},
		{name: "two refusals fence it", script: `
			0 beat
			1000 end
			1000 = dial
			1001 refused
			1100 =
			1101 = dial
			1102 refused
			1102 = fence: its connection ended and its port refuses connections
		`},
		{name: "a second refusal must be of another moment", script: `
			0 beat
			1000 end
			1000 = dial
			1001 refused
			1101 = dial
			1101 open
			1201 = dial
			1202 refused
			1302 =dial
			1303 refused
			1303 = fence: its connection ended and its port refuses connections
		`},
		{name: "a heartbeat over another connection saves it", script: `
			0 beat
			1000 end
			1000 = dial
			1001 refused
			1101 = dial
			1101 beat 2
			1102 refused
			1103 =
			1200 end
			1201 =
		`},
		{name: "the end of an old connection means nothing", script: `
			0 beat
			100 beat 2
			200 end
			200 =
		`},
		{name: "a wish to be fenced", script: `
			0 beat
			100 want
			100 = fence: it asks to be fenced
		`},
		{name: "a wish of an older incarnation", script: `
			0 old want
			100 =
		`},
		{name: "unfenced when it sees its registration", fenced: true, script: `
			0 =
			100 behind
			100 =
			200 beat
			200 = unfence
		`},
		{name: "not unfenced without its epoch", fenced: true, script: `
			0 old
			1 =
		`},
		{name: "not unfenced when silent", fenced: true, script: `
			0 beat
			6001 =
		`},
		{name: "not unfenced when its connection has ended", fenced: true, script: `
			0 beat
			1 end
			2 =
		`},
		{name: "not unfenced while it wants to be fenced", fenced: true, script: `
			0 want
			1 =
		`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			img := image(t, 3)
			if tt.fenced {
				img = image(t, 3, cluster.FenceBroker{ID: 2, Epoch: epochOf(2)})
			}
			if tt.witness {
				img = image(t, 3, cluster.FenceBroker{ID: 3, Epoch: epochOf(3)})
			}
			start := time.Now()
			s := newSessions(1, 6*time.Second, 100*time.Millisecond, start, img)
			for line := range strings.Lines(tt.script) {
				words := strings.Fields(strings.Replace(line, "=", "= ", 1))
				if len(words) == 0 {
					continue
				}
				var millis int
				if _, err := fmt.Sscan(words[0], &millis); err != nil {
					t.Fatal(err)
				}
				step(t, s, img, start.Add(time.Duration(millis)*time.Millisecond), words[1], strings.Join(words[2:], " "))
			}
		})
	}
}

// step performs one event of a script.
func step(t *testing.T, s *sessions, img *cluster.Image, now time.Time, event, arg string) {
	t.Helper()
	s.heard(now, localConn, Heartbeat{Broker: 1, Epoch: epochOf(1), AppliedIndex: img.Index()})
	beat := Heartbeat{Broker: 2, Epoch: epochOf(2), AppliedIndex: img.Index()}
	conn := connID(1)
	if arg == "2" {
		conn = 2
	}
	switch event {
	case "beat":
		s.heard(now, conn, beat)
	case "want":
		beat.WantFence = true
		s.heard(now, conn, beat)
	case "behind":
		beat.AppliedIndex = uint64(epochOf(2)) - 1
		s.heard(now, conn, beat)
	case "old":
		beat.Epoch--
		beat.WantFence = arg == "want"
		s.heard(now, conn, beat)
	case "end":
		s.ended(now, 2, conn)
		s.ended(now, 9, conn) // nobody
	case "missed", "missed-by-old":
		silent, err := time.ParseDuration(arg)
		if err != nil {
			t.Fatal(err)
		}
		witness := Heartbeat{Broker: 3, Epoch: epochOf(3), AppliedIndex: img.Index(), NoLeaderStream: []Silence{{Broker: 1, For: time.Hour}}}
		if silent > 0 {
			witness.NoLeaderStream = append(witness.NoLeaderStream, Silence{Broker: 2, For: silent})
		}
		if event == "missed-by-old" {
			witness.Epoch--
		}
		s.heard(now, 3, witness)
	case "open":
		s.probed(now, 2, false)
	case "unknown":
		s.probed(now, 2, false)
	case "refused":
		s.probed(now, 2, true)
		s.probed(now, 9, true) // nobody
	case "=":
		var got []string
		for _, cmd := range s.decide(now, img) {
			switch c := cmd.(type) {
			case cluster.FenceBroker:
				if c.ID == 2 {
					got = append(got, "fence: "+c.Reason)
				}
			case cluster.UnfenceBroker:
				got = append(got, "unfence")
			default:
				got = append(got, fmt.Sprintf("%T", cmd))
			}
		}
		for _, b := range s.due(now, img) {
			if b.ID == 2 {
				got = append(got, "dial")
			}
		}
		if strings.Join(got, " ") != arg {
			t.Fatalf("after %s: %q, want %q", now.Sub(s.startedAt), got, arg)
		}
	default:
		t.Fatalf("unknown event %q", event)
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	img := image(t, 2)
	start := time.Now()
	at := start.Add
	tests := []struct {
		name string
		do   func(s *sessions)
		at   time.Duration
		want bool
	}{
		{name: "connected", do: func(s *sessions) { s.heard(at(0), 1, Heartbeat{Broker: 2}) }, at: 5 * time.Second, want: true},
		{name: "silent", do: func(s *sessions) { s.heard(at(0), 1, Heartbeat{Broker: 2}) }, at: 7 * time.Second},
		{name: "its connection ended", do: func(s *sessions) {
			s.heard(at(0), 1, Heartbeat{Broker: 2})
			s.ended(at(1), 2, 1)
		}, at: 2},
		{name: "not back yet under a new controller", do: func(*sessions) {}, at: 999 * time.Millisecond, want: true},
		{name: "never back under a new controller", do: func(*sessions) {}, at: time.Second},
		{name: "unknown", do: func(s *sessions) { delete(s.of, 2) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSessions(1, 6*time.Second, 100*time.Millisecond, start, img)
			tt.do(s)
			if got := s.alive(at(tt.at), 2); got != tt.want {
				t.Errorf("alive %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDrainingBrokersStayFenced(t *testing.T) {
	t.Parallel()
	img := image(t, 2, cluster.DrainBroker{ID: 2, Epoch: epochOf(2)}, cluster.FenceBroker{ID: 2, Epoch: epochOf(2)})
	s := newSessions(1, 6*time.Second, 100*time.Millisecond, time.Now(), img)
	s.heard(time.Now(), 1, Heartbeat{Broker: 2, Epoch: epochOf(2), AppliedIndex: img.Index()})
	if cmds := s.decide(time.Now(), img); len(cmds) != 0 {
		t.Errorf("decided %+v for a broker that is on its way out", cmds)
	}
}

func TestTheControllerDoesNotProbeItself(t *testing.T) {
	t.Parallel()
	img := image(t, 2)
	now := time.Now()
	s := newSessions(1, 6*time.Second, 100*time.Millisecond, now, img)
	if due := s.due(now, img); len(due) != 1 || due[0].ID != 2 {
		t.Errorf("dials %+v, want broker 2", due)
	}
}

func TestFailuresOfAnotherIncarnationMeanNothing(t *testing.T) {
	t.Parallel()
	img := image(t, 2, topicOn([]cluster.BrokerID{1, 2}))
	now := time.Now()
	s := newSessions(1, 6*time.Second, 100*time.Millisecond, now, img)
	failed := []cluster.TopicPartition{{TopicID: cluster.UUID{9}}}
	s.heard(now, 1, Heartbeat{Broker: 2, FailedReplicas: failed}) // does not see its registration yet
	if cmds := s.decide(now, img); len(cmds) != 0 {
		t.Errorf("decided %+v", cmds)
	}
	s.heard(now, 1, Heartbeat{Broker: 2, Epoch: epochOf(2), FailedReplicas: failed})
	if cmds := s.decide(now, img); len(cmds) != 1 {
		t.Errorf("decided %+v, want the replica dropped", cmds)
	}
}

func TestReached(t *testing.T) {
	t.Parallel()
	img := image(t, 3, cluster.FenceBroker{ID: 3, Epoch: epochOf(3)})
	s := newSessions(1, 6*time.Second, 100*time.Millisecond, time.Now(), img)
	if s.reached(5, 1, img) {
		t.Error("reached by a broker that has said nothing")
	}
	s.heard(time.Now(), 1, Heartbeat{Broker: 2, AppliedIndex: 4})
	if s.reached(5, 1, img) {
		t.Error("reached by a broker at 4")
	}
	s.heard(time.Now(), 1, Heartbeat{Broker: 2, AppliedIndex: 5})
	if !s.reached(5, 1, img) {
		t.Error("not reached although all live brokers but the excepted one are there")
	}
}

func TestUnknownRegistrationsGetASession(t *testing.T) {
	t.Parallel()
	s := newSessions(1, 6*time.Second, 100*time.Millisecond, time.Now(), cluster.NewImage())
	img := image(t, 2)
	start := time.Now()
	if cmds := s.decide(start, img); len(cmds) != 0 {
		t.Errorf("decided %+v about brokers just seen", cmds)
	}
	cmds := s.decide(start.Add(7*time.Second), img)
	if !slices.ContainsFunc(cmds, func(c cluster.Command) bool { f, ok := c.(cluster.FenceBroker); return ok && f.ID == 2 }) {
		t.Errorf("decided %+v, want broker 2 fenced", cmds)
	}
}

// TestFailuresBeginAnotherEpoch also of replicas that are out of the in-sync set
// already: a proposal to add them may be on its way.
func TestFailuresBeginAnotherEpoch(t *testing.T) {
	t.Parallel()
	img := image(t, 2, topicOn([]cluster.BrokerID{1, 2}), cluster.FenceBroker{ID: 2, Epoch: epochOf(2)}, cluster.UnfenceBroker{ID: 2, Epoch: epochOf(2)})
	now := time.Now()
	s := newSessions(1, 6*time.Second, 100*time.Millisecond, now, img)
	tp := cluster.TopicPartition{TopicID: cluster.UUID{9}}
	_, p, _ := img.Partition(tp)
	if p.InISR(2) || p.InELR(2) {
		t.Fatalf("partition %+v", p)
	}
	for _, tt := range []struct {
		name string
		in   []cluster.Epoch
		want int
	}{
		{name: "it had part in this epoch", in: []cluster.Epoch{p.LeaderEpoch}, want: 1},
		{name: "it had no part in it", in: []cluster.Epoch{p.LeaderEpoch - 1}},
		{name: "it does not say"},
	} {
		s.heard(now, 1, Heartbeat{Broker: 2, Epoch: epochOf(2), FailedReplicas: []cluster.TopicPartition{tp}, FailedIn: tt.in})
		if cmds := s.decide(now, img); len(cmds) != tt.want {
			t.Errorf("%s: decided %+v, want %d", tt.name, cmds, tt.want)
		}
	}
}
