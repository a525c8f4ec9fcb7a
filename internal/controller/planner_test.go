package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// topicOn is a topic with one partition for each assignment.
func topicOn(assignment ...[]cluster.BrokerID) cluster.Command {
	return cluster.CreateTopic{ID: cluster.UUID{9}, Name: "t", Assignment: assignment}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	type ids = []cluster.BrokerID
	const after = 10 * time.Second
	drop := func(index int, isr ...cluster.BrokerID) cluster.Command {
		change := cluster.ISRChange{TP: cluster.TopicPartition{TopicID: cluster.UUID{9}, Partition: int32(index)}}
		for _, id := range isr {
			change.ISR = append(change.ISR, cluster.ISRMember{ID: id, Epoch: epochOf(id)})
		}
		return cluster.AlterISR{Broker: isr[0], BrokerEpoch: epochOf(isr[0]), Changes: []cluster.ISRChange{change}}
	}
	moved := func(index int, to cluster.BrokerID) cluster.Command {
		return cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: cluster.TopicPartition{TopicID: cluster.UUID{9}, Partition: int32(index)}, Leader: to}}}
	}
	tests := []struct {
		name   string
		prep   []cluster.Command
		slow   ids
		full   ids
		failed ids
		after  time.Duration
		want   []string // "partition>leader"
	}{
		{name: "all is well", prep: []cluster.Command{topicOn(ids{1, 2, 3})}, after: after},
		{name: "the preferred leader waits", prep: []cluster.Command{topicOn(ids{1, 2, 3}), moved(0, 2)}, after: after - time.Second},
		{name: "the preferred leader is due", prep: []cluster.Command{topicOn(ids{1, 2, 3}), moved(0, 2)}, after: after, want: []string{"0>1"}},
		{name: "not while it is out of sync", prep: []cluster.Command{
			topicOn(ids{1, 2, 3}), moved(0, 2),
			cluster.FenceBroker{ID: 1, Epoch: epochOf(1)},
			cluster.UnfenceBroker{ID: 1, Epoch: epochOf(1)},
		}, after: after},
		{name: "not while it catches up elsewhere", prep: []cluster.Command{topicOn(ids{1, 2, 3}, ids{2, 1, 3}), moved(0, 2), drop(1, 2, 3)}, after: after},
		{name: "what failed elsewhere does not hold it up", prep: []cluster.Command{topicOn(ids{1, 2, 3}, ids{2, 1, 3}), moved(0, 2), drop(1, 2, 3)}, failed: ids{1}, after: after, want: []string{"0>1"}},
		{name: "not where it failed itself", prep: []cluster.Command{topicOn(ids{2, 1, 3}, ids{1, 2, 3}), moved(1, 2), cluster.FailReplicas{
			ID: 1, Epoch: epochOf(1), Partitions: []cluster.TopicPartition{{TopicID: cluster.UUID{9}, Partition: 1}},
		}}, failed: ids{1}, after: after},
		{name: "not while its disk hangs", prep: []cluster.Command{topicOn(ids{1, 2, 3}), moved(0, 2)}, slow: ids{1}, after: after},
		{name: "not while it drains", prep: []cluster.Command{topicOn(ids{1, 2, 3}), cluster.DrainBroker{ID: 1, Epoch: epochOf(1)}}, after: after},
		{name: "a hanging disk at once", prep: []cluster.Command{topicOn(ids{1, 2, 3}, ids{2, 3, 1}, ids{1, 3, 2})}, slow: ids{1}, want: []string{"0>2-", "2>3-"}},
		{name: "to nobody whose disk hangs as well", prep: []cluster.Command{topicOn(ids{1, 2, 3})}, slow: ids{1, 2}, want: []string{"0>3-"}},
		{name: "to nobody whose disk is full", prep: []cluster.Command{topicOn(ids{1, 2, 3})}, slow: ids{1}, full: ids{2}, want: []string{"0>3-"}},
		{name: "a hanging disk stays in sync if the others are too few", prep: []cluster.Command{topicOn(ids{1, 2, 3}), drop(0, 1, 2)}, slow: ids{1}, want: []string{"0>2"}},
		{name: "a full disk", prep: []cluster.Command{topicOn(ids{1, 2, 3}, ids{2, 3, 1}, ids{1, 3, 2})}, full: ids{1}, want: []string{"0>2-", "2>3-"}},
		{name: "a full disk leaves also if the others are too few", prep: []cluster.Command{topicOn(ids{1, 2, 3}), drop(0, 1, 2)}, full: ids{1}, want: []string{"0>2-"}},
		{name: "to nobody whose disk is full as well", prep: []cluster.Command{topicOn(ids{1, 2, 3})}, full: ids{1, 2}, want: []string{"0>3-"}},
		{name: "nowhere if all are full", prep: []cluster.Command{topicOn(ids{1, 2, 3})}, full: ids{1, 2, 3}},
		{name: "not back to a full disk", prep: []cluster.Command{topicOn(ids{1, 2, 3}), moved(0, 2)}, full: ids{1}, after: after},
		{name: "nowhere if all hang", prep: []cluster.Command{topicOn(ids{1, 2, 3})}, slow: ids{1, 2, 3}},
		{name: "nowhere if it is alone", prep: []cluster.Command{topicOn(ids{1, 2, 3}), drop(0, 1)}, slow: ids{1}},
		{name: "nobody leads", prep: []cluster.Command{topicOn(ids{1}), cluster.FenceBroker{ID: 1, Epoch: epochOf(1)}}, after: after},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			img := image(t, 3, tt.prep...)
			now := time.Now()
			s := newSessions(1, time.Hour, time.Second, now, img)
			for _, id := range tt.slow {
				s.of[id].beat.OldestFsyncAge = 4 * time.Second
			}
			for _, id := range tt.full {
				s.of[id].beat.LowSpace = true
			}
			for _, id := range tt.failed {
				s.of[id].beat.FailedReplicas = []cluster.TopicPartition{{TopicID: cluster.UUID{9}, Partition: 1}}
			}
			p := newPlanner(3*time.Second, after)
			cmds := p.plan(now, img, s)
			if tt.after > 0 {
				if len(cmds) > 0 {
					t.Errorf("planned %+v at once", cmds)
				}
				cmds = p.plan(now.Add(tt.after), img, s)
			}
			if got := plans(cmds); !slices.Equal(got, tt.want) {
				t.Errorf("planned %v, want %v", got, tt.want)
			}
		})
	}
}

// TestFlappingLosesItsTurn: the preferred replica drops out once in a while.
func TestFlappingLosesItsTurn(t *testing.T) {
	t.Parallel()
	lead2 := cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: cluster.TopicPartition{TopicID: cluster.UUID{9}}, Leader: 2}}}
	fit := image(t, 3, topicOn([]cluster.BrokerID{1, 2, 3}), lead2)
	out := image(t, 3, topicOn([]cluster.BrokerID{1, 2, 3}), lead2, cluster.FenceBroker{ID: 1, Epoch: epochOf(1)})
	p := newPlanner(3*time.Second, 10*time.Second)
	start := time.Now()
	s := newSessions(1, time.Hour, time.Second, start, fit)
	for second := range 60 {
		img := fit
		if second%8 == 7 {
			img = out
		}
		if cmds := p.plan(start.Add(time.Duration(second)*time.Second), img, s); len(cmds) > 0 {
			t.Fatalf("planned %+v after %d s", cmds, second)
		}
	}
}

// TestQuietEndsWithTheImage: what was looked at once is looked at again when
// something changed.
func TestQuietEndsWithTheImage(t *testing.T) {
	t.Parallel()
	quiet := image(t, 3, topicOn([]cluster.BrokerID{1, 2, 3}))
	moved := image(t, 3, topicOn([]cluster.BrokerID{1, 2, 3}),
		cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: cluster.TopicPartition{TopicID: cluster.UUID{9}}, Leader: 2}}})
	p := newPlanner(3*time.Second, 10*time.Second)
	start := time.Now()
	s := newSessions(1, time.Hour, time.Second, start, quiet)
	p.plan(start, quiet, s)
	p.plan(start.Add(time.Second), moved, s)
	if cmds := p.plan(start.Add(11*time.Second), moved, s); len(cmds) != 1 {
		t.Errorf("planned %+v, want the leadership given back", cmds)
	}
}

func TestMovesComeInChunks(t *testing.T) {
	t.Parallel()
	moves := make([]cluster.LeaderChange, 2*maxMoves+1)
	if cmds := chunks(moves, "x"); len(cmds) != 3 {
		t.Errorf("%d commands for %d moves, want 3", len(cmds), len(moves))
	}
	if cmds := chunks(nil, "x"); len(cmds) != 0 {
		t.Errorf("%d commands for no moves", len(cmds))
	}
}

// brokersIn are brokers, numbered from 1, in racks.
func brokersIn(racks ...string) []*cluster.Broker {
	var brokers []*cluster.Broker
	for i, rack := range racks {
		brokers = append(brokers, &cluster.Broker{ID: cluster.BrokerID(i + 1), Rack: rack})
	}
	return brokers
}

func TestPlace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		brokers []*cluster.Broker
		n, rf   int
		start   int
		want    [][]cluster.BrokerID
	}{
		{name: "one broker", brokers: brokersIn(""), n: 2, rf: 1, want: [][]cluster.BrokerID{{1}, {1}}},
		{name: "round robin with shifting followers", brokers: brokersIn("", "", ""), n: 6, rf: 2, want: [][]cluster.BrokerID{{1, 2}, {2, 3}, {3, 1}, {1, 3}, {2, 1}, {3, 2}}},
		{name: "start", brokers: brokersIn("", "", ""), n: 2, rf: 3, start: 2, want: [][]cluster.BrokerID{{3, 1, 2}, {1, 2, 3}}},
		{name: "racks first", brokers: brokersIn("a", "a", "b", "b"), n: 4, rf: 2, want: [][]cluster.BrokerID{{1, 3}, {3, 2}, {2, 4}, {4, 1}}},
		{name: "a rack twice only after all", brokers: brokersIn("a", "a", "a", "b"), n: 1, rf: 3, want: [][]cluster.BrokerID{{1, 4, 2}}},
		{name: "no rack is a rack of its own", brokers: brokersIn("a", "", "a", ""), n: 1, rf: 3, start: 0, want: [][]cluster.BrokerID{{2, 1, 4}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := place(tt.brokers, tt.n, tt.rf, tt.start)
			if !slices.EqualFunc(got, tt.want, slices.Equal) {
				t.Errorf("placed %v, want %v", got, tt.want)
			}
		})
	}
}

// TestPlaceProperties places random topics on random clusters.
func TestPlaceProperties(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		racks := make([]string, 1+r.IntN(9))
		names := []string{"", "a", "b", "c", "d"}[:1+r.IntN(5)]
		for i := range racks {
			racks[i] = names[r.IntN(len(names))]
		}
		brokers := brokersIn(racks...)
		n, rf := 1+r.IntN(40), 1+r.IntN(len(brokers))
		assignment := place(brokers, n, rf, r.IntN(len(brokers)))
		if err := checkPlacement(brokers, assignment, n, rf); err != nil {
			t.Fatalf("seed %d: racks %q, %d partitions x %d: %v\n%v", seed, racks, n, rf, err, assignment)
		}
	}
}

func checkPlacement(brokers []*cluster.Broker, assignment [][]cluster.BrokerID, n, rf int) error {
	if len(assignment) != n {
		return fmt.Errorf("%d partitions", len(assignment))
	}
	leads := map[cluster.BrokerID]int{}
	for p, replicas := range assignment {
		if len(replicas) != rf {
			return fmt.Errorf("partition %d has %d replicas", p, len(replicas))
		}
		leads[replicas[0]]++
		inRack := map[string]int{}
		for i, id := range replicas {
			if slices.Contains(replicas[:i], id) {
				return fmt.Errorf("partition %d has broker %d twice", p, id)
			}
			if rack := brokers[id-1].Rack; rack != "" {
				inRack[rack]++
			}
		}
		// A rack may be used again only if every other is used as often or full.
		for _, b := range brokers {
			for rack, used := range inRack {
				if slices.Contains(replicas, b.ID) || b.Rack == rack {
					continue
				}
				if spare := inRack[b.Rack]; (b.Rack == "" && used > 1) || (b.Rack != "" && used > spare+1) {
					return fmt.Errorf("partition %d uses rack %q %d times while broker %d in rack %q is free", p, rack, used, b.ID, b.Rack)
				}
			}
		}
	}
	for _, b := range brokers {
		if got := leads[b.ID]; got < n/len(brokers) || got > (n+len(brokers)-1)/len(brokers) {
			return fmt.Errorf("broker %d leads %d of %d", b.ID, got, n)
		}
	}
	return nil
}
