package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

type brokerIDs = []cluster.BrokerID

// theTP is partition 0 of topicOn.
var theTP = cluster.TopicPartition{TopicID: cluster.UUID{9}}

// shrink has the leader's in-sync set replaced.
func shrink(partitionEpoch cluster.PartitionEpoch, isr ...cluster.BrokerID) cluster.Command {
	change := cluster.ISRChange{TP: theTP, PartitionEpoch: partitionEpoch}
	for _, id := range isr {
		change.ISR = append(change.ISR, cluster.ISRMember{ID: id, Epoch: epochOf(id)})
	}
	return cluster.AlterISR{Broker: isr[0], BrokerEpoch: epochOf(isr[0]), Changes: []cluster.ISRChange{change}}
}

// plans writes what was planned as "partition>leader", with a minus when the old
// leader leaves the in-sync set.
func plans(cmds []cluster.Command) []string {
	var got []string
	for _, cmd := range cmds {
		for _, c := range cmd.(cluster.ElectLeaders).Changes {
			s := fmt.Sprintf("%d>%d", c.TP.Partition, c.Leader)
			if c.Drop {
				s += "-"
			}
			got = append(got, s)
		}
	}
	return got
}

// cutWorld drives a planner through heartbeats in which brokers complain.
type cutWorld struct {
	t   *testing.T
	p   *planner
	s   *sessions
	img *cluster.Image
	now time.Time
}

func newCutWorld(t *testing.T, img *cluster.Image) *cutWorld {
	now := time.Now()
	return &cutWorld{t: t, p: newPlanner(3*time.Second, 10*time.Second), s: newSessions(1, time.Hour, time.Second, now, img), img: img, now: now}
}

// beats lets every broker send a heartbeat. cuts are "1x2": leader 1 and follower
// 2 say that they do not hear each other; "1-2" is what only the leader says, and
// "1~2" what only the follower does.
func (w *cutWorld) beats(d time.Duration, cuts ...string) {
	for _, b := range w.img.Brokers() {
		beat := Heartbeat{Broker: b.ID, Epoch: b.Epoch}
		for _, cut := range cuts {
			var leader, follower cluster.BrokerID
			var kind rune
			if _, err := fmt.Sscanf(cut, "%d%c%d", &leader, &kind, &follower); err != nil {
				w.t.Fatal(cut, err)
			}
			if b.ID == leader && strings.ContainsRune("x-", kind) {
				beat.NoFollowerStream = append(beat.NoFollowerStream, Silence{follower, d})
			}
			if b.ID == follower && strings.ContainsRune("x~", kind) {
				beat.NoLeaderStream = append(beat.NoLeaderStream, Silence{leader, d})
			}
		}
		w.s.heard(w.now, 1, beat)
	}
}

// run lets a cut last, with heartbeats twice a second, and returns what was
// planned first and after how long.
func (w *cutWorld) run(limit time.Duration, cuts ...string) (got []string, after time.Duration) {
	for began := w.now; w.now.Sub(began) <= limit; w.now = w.now.Add(100 * time.Millisecond) {
		if d := w.now.Sub(began); d%(500*time.Millisecond) == 0 && d >= time.Second {
			w.beats(d, cuts...)
		}
		if got := plans(w.p.plan(w.now, w.img, w.s)); len(got) > 0 {
			return got, w.now.Sub(began)
		}
	}
	return nil, 0
}

func TestALeaderThatNobodyHearsIsReplaced(t *testing.T) {
	t.Parallel()
	three := topicOn(brokerIDs{1, 2, 3})
	min1 := cluster.SetTopicConfigs{Name: "t", Set: map[string]string{cluster.ConfigMinInsyncReplicas: "1"}}
	fence := func(id cluster.BrokerID) cluster.Command { return cluster.FenceBroker{ID: id, Epoch: epochOf(id)} }
	tests := []struct {
		name string
		prep []cluster.Command
		cuts []string
		want []string
	}{
		{name: "by none if one follower hears it", prep: []cluster.Command{three}, cuts: []string{"1x2"}},
		{name: "by the first that does not", prep: []cluster.Command{three}, cuts: []string{"1x2", "1x3"}, want: []string{"0>2-"}},
		{name: "not on the followers' word alone", prep: []cluster.Command{three}, cuts: []string{"1~2", "1~3"}},
		{name: "not on its own word alone", prep: []cluster.Command{three}, cuts: []string{"1-2", "1-3"}},
		{name: "not if one of them is not of one mind with it", prep: []cluster.Command{three}, cuts: []string{"1x2", "1-3"}},
		{name: "not if it does not need them", prep: []cluster.Command{three, min1}, cuts: []string{"1x2", "1x3"}},
		{name: "by one that it left out already", prep: []cluster.Command{three, shrink(0, 1, 2)}, cuts: []string{"1x2", "1x3"}, want: []string{"0>2-"}},
		{name: "by one of the elr when it is alone", prep: []cluster.Command{three, shrink(0, 1, 2), shrink(1, 1)}, cuts: []string{"1x2", "1x3"}, want: []string{"0>2-"}},
		{name: "by nobody outside the elr", prep: []cluster.Command{three, shrink(0, 1, 3), shrink(1, 1)}, cuts: []string{"1x2", "1x3"}, want: []string{"0>3-"}},
		{name: "not when it is alone and somebody could join", prep: []cluster.Command{three, shrink(0, 1, 2), shrink(1, 1)}, cuts: []string{"1x2"}},
		{name: "not by one that would be alone too", prep: []cluster.Command{three, fence(3)}, cuts: []string{"1x2"}},
		{name: "not by one that reaches nobody either", prep: []cluster.Command{three}, cuts: []string{"1x2", "1x3", "2x3"}},
		{name: "by one of many partitions' followers", prep: []cluster.Command{topicOn(brokerIDs{1, 2, 3}, brokerIDs{1, 4, 5}, brokerIDs{2, 1, 3}, brokerIDs{1, 2, 4})}, cuts: []string{"1x2", "1x3"}, want: []string{"0>2-"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newCutWorld(t, image(t, 5, tt.prep...))
			got, after := w.run(20*time.Second, tt.cuts...)
			if !slices.Equal(got, tt.want) {
				t.Errorf("planned %v, want %v", got, tt.want)
			}
			if want := 3 * time.Second; got != nil && after != want {
				t.Errorf("planned after %s, want %s", after, want)
			}
		})
	}
}

// TestASuspicionHasToLast: pauses, old heartbeats and new leaders begin it anew.
func TestASuspicionHasToLast(t *testing.T) {
	t.Parallel()
	img := image(t, 3, topicOn(brokerIDs{1, 2, 3}))
	cuts := []string{"1x2", "1x3"}
	t.Run("links that heal in between", func(t *testing.T) {
		t.Parallel()
		w := newCutWorld(t, img)
		for range 10 {
			if got, _ := w.run(2500*time.Millisecond, cuts...); got != nil {
				t.Fatalf("planned %v", got)
			}
			w.beats(0)
			w.p.plan(w.now, w.img, w.s)
		}
	})
	t.Run("heartbeats that stop", func(t *testing.T) {
		t.Parallel()
		w := newCutWorld(t, img)
		w.beats(2900*time.Millisecond, cuts...)
		w.p.plan(w.now, w.img, w.s)
		w.beats(time.Hour, cuts...)
		w.now = w.now.Add(2 * time.Second)
		if got := plans(w.p.plan(w.now, w.img, w.s)); got != nil {
			t.Errorf("planned %v from old heartbeats", got)
		}
	})
	t.Run("a leader that has just been elected", func(t *testing.T) {
		t.Parallel()
		w := newCutWorld(t, img)
		w.beats(time.Hour, cuts...)
		for range 20 {
			if got := plans(w.p.plan(w.now, w.img, w.s)); got != nil {
				t.Fatalf("planned %v at once", got)
			}
			w.now = w.now.Add(50 * time.Millisecond)
		}
		w.img = image(t, 3, topicOn(brokerIDs{1, 2, 3}), cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: theTP, Leader: 2}}},
			cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: theTP, PartitionEpoch: 1, Leader: 1}}})
		w.beats(time.Hour, cuts...)
		w.now = w.now.Add(time.Second)
		w.beats(time.Hour, cuts...)
		if got := plans(w.p.plan(w.now, w.img, w.s)); got != nil {
			t.Errorf("planned %v: the suspicion was of another epoch", got)
		}
		w.now = w.now.Add(cutSeen)
		w.beats(time.Hour, cuts...)
		if got := plans(w.p.plan(w.now, w.img, w.s)); len(got) != 1 {
			t.Errorf("planned %v, want a move in the end", got)
		}
	})
}

// allJoin puts all replicas of partition 0 in sync.
func allJoin(t *testing.T, img *cluster.Image) *cluster.Image {
	t.Helper()
	part := img.Topics()[0].Partitions[0]
	isr := brokerIDs{part.Leader}
	for _, id := range part.Replicas {
		if id != part.Leader {
			isr = append(isr, id)
		}
	}
	alter := shrink(part.PartitionEpoch, isr...).(cluster.AlterISR)
	alter.Changes[0].LeaderEpoch = part.LeaderEpoch
	img, res := cluster.Apply(img, img.Index()+1, alter)
	if res.Err != nil || res.Errs[0] != nil {
		t.Fatal(res.Err, res.Errs)
	}
	return img
}

// TestLeadershipsDoNotPingPong lets a cut go with the leadership, from broker to
// broker: each further move waits twice as long.
func TestLeadershipsDoNotPingPong(t *testing.T) {
	t.Parallel()
	w := newCutWorld(t, image(t, 3, topicOn(brokerIDs{1, 2, 3})))
	var at []time.Duration
	began := w.now
	for range 5 {
		part := w.img.Topics()[0].Partitions[0]
		var cuts []string
		for _, id := range part.Replicas {
			if id != part.Leader {
				cuts = append(cuts, fmt.Sprintf("%dx%d", part.Leader, id))
			}
		}
		// The others hear each other again as soon as somebody else leads.
		for w.now.Sub(began) < 10*time.Minute {
			w.beats(time.Hour, cuts...)
			cmds := w.p.plan(w.now, w.img, w.s)
			w.now = w.now.Add(500 * time.Millisecond)
			if len(cmds) == 0 {
				continue
			}
			at = append(at, w.now.Sub(began))
			img, res := cluster.Apply(w.img, w.img.Index()+1, cmds[0])
			if res.Err != nil || res.Errs[0] != nil {
				t.Fatal(res.Err, res.Errs)
			}
			img = allJoin(t, img)
			w.img = img
			break
		}
	}
	if len(at) != 5 {
		t.Fatalf("moved at %v, want five moves", at)
	}
	for i := 1; i < len(at); i++ {
		if gap, least := at[i]-at[i-1], cutPause<<(i-1); gap < least {
			t.Errorf("moved at %v: move %d came after %s, want %s at least", at, i+1, gap, least)
		}
	}
}

// TestABrokerThatFailsOftenWaitsLonger: it gets its leaderships back later each
// time that it lost them.
func TestABrokerThatFailsOftenWaitsLonger(t *testing.T) {
	t.Parallel()
	p := newPlanner(3*time.Second, 10*time.Second)
	now := time.Now()
	for i := range 8 {
		p.failed(now, 1)
		p.failed(now.Add(100*time.Millisecond), 1) // of the same cause
		if got, want := p.patience(now, 1), 10*time.Second<<min(i, maxDoublings); got != want {
			t.Errorf("waits %s after %d failures, want %s", got, i+1, want)
		}
		now = now.Add(time.Minute)
	}
	if got := p.patience(now.Add(forgetAfter+time.Minute), 1); got != 10*time.Second {
		t.Errorf("waits %s long after, want 10s", got)
	}
	if got := p.patience(now, 2); got != 10*time.Second {
		t.Errorf("another broker waits %s, want 10s", got)
	}
}
