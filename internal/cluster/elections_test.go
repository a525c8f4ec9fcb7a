package cluster

import (
	"errors"
	"testing"
)

func TestElections(t *testing.T) {
	t.Parallel()
	min1 := map[string]string{ConfigMinInsyncReplicas: "1"}
	tests := []struct {
		name    string
		configs map[string]string // default: min.insync.replicas 2 of 3
		run     func(h *history)
		leader  BrokerID
		epoch   Epoch
		isr     ids
		elr     ids
	}{
		{name: "a new topic is led by its first replica", run: func(*history) {}, leader: 1, isr: ids{1, 2, 3}},
		{name: "a fenced leader is followed by the next in sync", run: func(h *history) { h.fence(1) }, leader: 2, epoch: 1, isr: ids{2, 3}},
		{name: "a fenced follower leaves without an election", run: func(h *history) { h.fence(2) }, leader: 1, isr: ids{1, 3}},
		{name: "who leaves below the minimum stays electable", run: func(h *history) {
			h.fence(2)
			h.fence(3)
		}, leader: 1, isr: ids{1}, elr: ids{3}},
		{name: "the last in sync moves to the elr and nobody leads", run: func(h *history) {
			h.fence(2)
			h.fence(3)
			h.fence(1)
		}, leader: NoBroker, epoch: 1, elr: ids{1, 3}},
		{name: "the first of the elr to return leads", run: func(h *history) {
			h.fence(2)
			h.fence(3)
			h.fence(1)
			h.unfence(3)
		}, leader: 3, epoch: 2, isr: ids{3}, elr: ids{1}},
		{name: "a replica outside isr and elr is never elected", run: func(h *history) {
			h.fence(2)
			h.fence(3)
			h.fence(1)
			h.unfence(2)
		}, leader: NoBroker, epoch: 1, elr: ids{1, 3}},
		{name: "never merely the first replica", run: func(h *history) {
			h.must(h.isr(1, 2, 3))
			h.fence(1)
			h.unfence(1)
			h.fence(2)
		}, leader: 3, epoch: 2, isr: ids{3}, elr: ids{2}},
		{name: "a restarted leader alone in sync leads under a new epoch", configs: min1, run: func(h *history) {
			h.must(h.isr(1))
			h.register(1, 11, 1)
			h.unfence(1)
		}, leader: 1, epoch: 2, isr: ids{1}},
		{name: "a restarted leader hands over even if it is back at once", run: func(h *history) {
			h.register(1, 11, 1)
			h.unfence(1)
		}, leader: 2, epoch: 1, isr: ids{2, 3}},
		{name: "a wiped directory leaves the elr", run: func(h *history) {
			h.fence(2)
			h.fence(3)
			h.register(3, 13, 33)
		}, leader: 1, isr: ids{1}},
		{name: "a wiped last member leaves the partition without anybody electable", configs: min1, run: func(h *history) {
			h.must(h.isr(1))
			h.register(1, 11, 111)
			h.unfence(1)
		}, leader: NoBroker, epoch: 1},
		{name: "an empty directory id counts as wiped", configs: min1, run: func(h *history) {
			h.must(RegisterBroker{Broker: Broker{ID: 1, Incarnation: uuid(11)}})
			h.unfence(1)
			h.must(h.isr(1, 2))
			h.fence(2)
			h.must(RegisterBroker{Broker: Broker{ID: 1, Incarnation: uuid(12)}})
			h.unfence(1)
		}, leader: NoBroker, epoch: 3},
		{name: "a failed log leaves isr and elr at registration", run: func(h *history) {
			h.fence(2)
			h.fence(3)
			h.must(RegisterBroker{
				Broker:         Broker{ID: 1, Incarnation: uuid(11), Directory: uuid(1)},
				FailedReplicas: []TopicPartition{testTP},
			})
		}, leader: NoBroker, epoch: 1, elr: ids{3}},
		{name: "a failed log leaves isr and elr while the broker runs", run: func(h *history) {
			h.fence(3)
			h.must(FailReplicas{ID: 1, Epoch: h.epoch(1), Partitions: []TopicPartition{testTP}})
		}, leader: 2, epoch: 1, isr: ids{2}},
		{name: "a failed log of a follower begins a new epoch of the same leader", run: func(h *history) {
			h.must(FailReplicas{ID: 3, Epoch: h.epoch(3), Partitions: []TopicPartition{testTP}})
		}, leader: 1, epoch: 1, isr: ids{1, 2}},
		{name: "a failed log that did not count begins a new epoch as well", run: func(h *history) {
			h.must(h.isr(1, 2))
			h.must(FailReplicas{ID: 3, Epoch: h.epoch(3), Partitions: []TopicPartition{testTP}})
		}, leader: 1, epoch: 1, isr: ids{1, 2}},
		{name: "an unclean restart keeps fsynced logs electable", run: func(h *history) {
			h.fence(2)
			h.fence(3)
			h.must(RegisterBroker{Broker: Broker{ID: 1, Incarnation: uuid(11), Directory: uuid(1)}, Unclean: true})
		}, leader: NoBroker, epoch: 1, elr: ids{1, 3}},
		{name: "an unclean restart drops logs that are not fsynced", configs: map[string]string{ConfigFlush: "async"}, run: func(h *history) {
			h.fence(2)
			h.fence(3)
			h.must(RegisterBroker{Broker: Broker{ID: 1, Incarnation: uuid(11), Directory: uuid(1)}, Unclean: true})
		}, leader: NoBroker, epoch: 1, elr: ids{3}},
		{name: "a repeated registration changes nothing", run: func(h *history) {
			h.register(1, 1, 1)
		}, leader: 1, isr: ids{1, 2, 3}},
		{name: "reaching the minimum clears the elr", run: func(h *history) {
			h.fence(2)
			h.fence(3)
			h.unfence(2)
			h.must(h.isr(1, 2))
		}, leader: 1, isr: ids{1, 2}},
		{name: "a lower minimum clears the elr", run: func(h *history) {
			h.fence(2)
			h.fence(3)
			h.must(SetTopicConfigs{Name: "t", Set: min1})
		}, leader: 1, isr: ids{1}},
		{name: "a draining leader hands over and leaves", run: func(h *history) { h.drain(1) }, leader: 2, epoch: 1, isr: ids{2, 3}},
		{name: "a draining follower leaves", run: func(h *history) { h.drain(3) }, leader: 1, isr: ids{1, 2}},
		{name: "a draining broker alone in sync leads on", configs: min1, run: func(h *history) {
			h.must(h.isr(1))
			h.drain(1)
		}, leader: 1, isr: ids{1}},
		{name: "a draining broker hands over as soon as somebody joins", configs: min1, run: func(h *history) {
			h.must(h.isr(1))
			h.drain(1)
			h.must(h.isr(1, 2))
		}, leader: 2, epoch: 1, isr: ids{2}},
		{name: "a draining broker is not elected from the elr", run: func(h *history) {
			h.fence(2)
			h.drain(3)
			h.fence(1)
		}, leader: NoBroker, epoch: 1, elr: ids{1, 3}},
		{name: "a leadership moves on request within the isr", run: func(h *history) {
			h.must(ElectLeaders{Changes: []LeaderChange{{TP: testTP, Leader: 3}}})
		}, leader: 3, epoch: 1, isr: ids{1, 2, 3}},
		{name: "a leader that is replaced may leave with that", run: func(h *history) {
			h.must(ElectLeaders{Changes: []LeaderChange{{TP: testTP, Leader: 3, Drop: true}}})
		}, leader: 3, epoch: 1, isr: ids{2, 3}},
		{name: "a leader that leaves below the minimum stays electable", run: func(h *history) {
			h.must(h.isr(1, 2))
			h.must(ElectLeaders{Changes: []LeaderChange{{TP: testTP, PartitionEpoch: 1, Leader: 2, Drop: true}}})
		}, leader: 2, epoch: 1, isr: ids{2}, elr: ids{1}},
		{name: "a leader alone in sync may leave to the elr", run: func(h *history) {
			h.must(h.isr(1, 2))
			h.must(h.isr(1))
			h.must(ElectLeaders{Changes: []LeaderChange{{TP: testTP, PartitionEpoch: 2, Leader: 2, Drop: true}}})
		}, leader: 2, epoch: 1, isr: ids{2}, elr: ids{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			h.start(3)
			h.topic(tt.configs, 1, 2, 3)
			tt.run(h)
			h.want(tt.leader, tt.epoch, tt.isr, tt.elr)
		})
	}
}

// TestTheELRDoesNotReplaceALeaderInCompany: the other in-sync member comes first.
func TestTheELRDoesNotReplaceALeaderInCompany(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.start(3)
	h.topic(map[string]string{ConfigMinInsyncReplicas: "3"}, 1, 2, 3)
	h.must(h.isr(1, 2))
	change := LeaderChange{TP: testTP, PartitionEpoch: 1, Leader: 3, Drop: true}
	if res := h.apply(ElectLeaders{Changes: []LeaderChange{change}}); !errors.Is(res.Errs[0], ErrIneligibleReplica) {
		t.Fatalf("error %v, want %v", res.Errs[0], ErrIneligibleReplica)
	}
	h.want(1, 0, ids{1, 2}, ids{3})
}

// TestWhoMayLeadANewPartition: all logs are empty, so whoever is registered with
// a directory holds what was committed before the in-sync set had its minimum.
func TestWhoMayLeadANewPartition(t *testing.T) {
	t.Parallel()
	min1 := map[string]string{ConfigMinInsyncReplicas: "1"}
	tests := []struct {
		name    string
		configs map[string]string
		down    func(h *history)
		then    func(h *history)
		leader  BrokerID
		isr     ids
		elr     ids
	}{
		{name: "enough are alive", down: func(h *history) { h.fence(3) }, leader: 1, isr: ids{1, 2}},
		{name: "too few are alive", down: func(h *history) {
			h.fence(1)
			h.fence(3)
		}, leader: 2, isr: ids{2}, elr: ids{1, 3}},
		{name: "one is enough", configs: min1, down: func(h *history) {
			h.fence(1)
			h.fence(3)
		}, leader: 2, isr: ids{2}},
		{name: "a broker without a directory", down: func(h *history) {
			h.must(RegisterBroker{Broker: Broker{ID: 1, Incarnation: uuid(11)}})
			h.fence(3)
		}, leader: 2, isr: ids{2}, elr: ids{3}},
		{name: "a broker that shuts down", down: func(h *history) {
			h.drain(1)
			h.fence(3)
		}, leader: 2, isr: ids{2}, elr: ids{1, 3}},
		{name: "the first one's disk is lost", down: func(h *history) {
			h.fence(1)
			h.fence(3)
		}, then: func(h *history) {
			h.register(2, 12, 22)
			h.unfence(3)
		}, leader: 3, isr: ids{3}, elr: ids{1}},
		{name: "another's disk is lost", down: func(h *history) {
			h.fence(1)
			h.fence(3)
		}, then: func(h *history) { h.register(3, 13, 33) }, leader: 2, isr: ids{2}, elr: ids{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			h.start(3)
			tt.down(h)
			h.topic(tt.configs, 1, 2, 3)
			if tt.then != nil {
				tt.then(h)
			}
			h.want(tt.leader, h.partition().LeaderEpoch, tt.isr, tt.elr)
		})
	}
}

func TestElectLeadersRefusals(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.start(4)
	h.topic(nil, 1, 2, 3)
	h.must(h.isr(1, 2))
	h.must(h.isr(1, 2, 3))
	h.fence(3)
	pe := h.partition().PartitionEpoch
	tests := []struct {
		name string
		in   LeaderChange
		want error
	}{
		{name: "unknown partition", in: LeaderChange{TP: TopicPartition{TopicID: uuid(9)}, PartitionEpoch: pe, Leader: 2}, want: ErrUnknownTopic},
		{name: "stale partition epoch", in: LeaderChange{TP: testTP, PartitionEpoch: pe - 1, Leader: 2}, want: ErrInvalidUpdateVersion},
		{name: "not in sync", in: LeaderChange{TP: testTP, PartitionEpoch: pe, Leader: 3}, want: ErrIneligibleReplica},
		{name: "no replica", in: LeaderChange{TP: testTP, PartitionEpoch: pe, Leader: 4}, want: ErrIneligibleReplica},
		{name: "not in sync, in place of a leader that is dropped", in: LeaderChange{TP: testTP, PartitionEpoch: pe, Leader: 3, Drop: true}, want: ErrIneligibleReplica},
		{name: "nobody", in: LeaderChange{TP: testTP, PartitionEpoch: pe, Leader: NoBroker}, want: ErrIneligibleReplica},
		{name: "who leads already", in: LeaderChange{TP: testTP, PartitionEpoch: pe - 1, Leader: 1}},
		{name: "who leads already is not dropped", in: LeaderChange{TP: testTP, PartitionEpoch: pe, Leader: 1, Drop: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.t = t
			before := h.partition()
			if res := h.apply(ElectLeaders{Changes: []LeaderChange{tt.in}}); !errors.Is(res.Errs[0], tt.want) {
				t.Fatalf("error %v, want %v", res.Errs[0], tt.want)
			}
			if h.partition() != before {
				t.Fatalf("changed to %+v, was %+v", *h.partition(), *before)
			}
		})
	}
}
