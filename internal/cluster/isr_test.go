package cluster

import (
	"errors"
	"reflect"
	"testing"
)

func TestAlterISRRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(h *history)
		change  func(h *history, c *AlterISR)
		want    error
	}{
		{name: "as it should be", change: func(*history, *AlterISR) {}},
		{name: "stale broker epoch of the leader", change: func(_ *history, c *AlterISR) { c.BrokerEpoch-- }, want: ErrStaleBrokerEpoch},
		{name: "unknown requester", change: func(_ *history, c *AlterISR) { c.Broker = 9 }, want: ErrUnknownBroker},
		{name: "not the leader", change: func(h *history, c *AlterISR) { c.Broker, c.BrokerEpoch = 2, h.epoch(2) }, want: ErrNotLeader},
		{name: "unknown topic", change: func(_ *history, c *AlterISR) { c.Changes[0].TP.TopicID = uuid(9) }, want: ErrUnknownTopic},
		{name: "unknown partition", change: func(_ *history, c *AlterISR) { c.Changes[0].TP.Partition = 1 }, want: ErrUnknownTopic},
		{name: "negative partition", change: func(_ *history, c *AlterISR) { c.Changes[0].TP.Partition = -1 }, want: ErrUnknownTopic},
		{name: "older leader epoch", change: func(_ *history, c *AlterISR) { c.Changes[0].LeaderEpoch-- }, want: ErrFencedLeaderEpoch},
		{name: "newer leader epoch", change: func(_ *history, c *AlterISR) { c.Changes[0].LeaderEpoch++ }, want: ErrUnknownLeaderEpoch},
		{name: "older partition epoch", prepare: func(h *history) { h.must(h.isr(1, 2)) }, change: func(_ *history, c *AlterISR) { c.Changes[0].PartitionEpoch-- }, want: ErrInvalidUpdateVersion},
		{name: "newer partition epoch", change: func(_ *history, c *AlterISR) { c.Changes[0].PartitionEpoch++ }, want: ErrInvalidUpdateVersion},
		{name: "no members", change: func(_ *history, c *AlterISR) { c.Changes[0].ISR = nil }, want: ErrInvalidRequest},
		{name: "without the leader", change: func(_ *history, c *AlterISR) { c.Changes[0].ISR = c.Changes[0].ISR[1:] }, want: ErrInvalidRequest},
		{name: "a member twice", change: func(_ *history, c *AlterISR) { c.Changes[0].ISR[2] = c.Changes[0].ISR[1] }, want: ErrInvalidRequest},
		{name: "no replica", change: func(h *history, c *AlterISR) { c.Changes[0].ISR[2] = ISRMember{4, h.epoch(4)} }, want: ErrInvalidRequest},
		{name: "member registered anew", prepare: func(h *history) { h.must(h.isr(1, 2)) }, change: func(_ *history, c *AlterISR) { c.Changes[0].ISR[2].Epoch-- }, want: ErrIneligibleReplica},
		{name: "fenced member", prepare: func(h *history) { h.fence(3) }, change: func(*history, *AlterISR) {}, want: ErrIneligibleReplica},
		{name: "draining member", prepare: func(h *history) { h.drain(3) }, change: func(*history, *AlterISR) {}, want: ErrIneligibleReplica},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			h.start(4)
			h.topic(nil, 1, 2, 3)
			if tt.prepare != nil {
				tt.prepare(h)
			}
			before := h.partition()
			cmd := h.isr(1, 2, 3)
			tt.change(h, &cmd)
			res := h.apply(cmd)
			if err := errors.Join(append(res.Errs, res.Err)...); !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			switch after := h.partition(); {
			case errors.Is(tt.want, ErrIneligibleReplica):
				checkRenewed(t, before, after)
				h.unfence(3)
				if again := h.apply(cmd); !errors.Is(again.Errs[0], ErrInvalidUpdateVersion) {
					t.Fatalf("another copy of it: error %v, want %v", again.Errs[0], ErrInvalidUpdateVersion)
				}
			case tt.want != nil && after != before:
				t.Fatalf("a refused change left %+v, was %+v", *after, *before)
			}
		})
	}
}

// checkRenewed expects a partition to differ in nothing but a partition epoch
// that is one larger (M5).
func checkRenewed(t *testing.T, before, after *Partition) {
	t.Helper()
	want := *before
	want.PartitionEpoch++
	if !reflect.DeepEqual(*after, want) {
		t.Fatalf("a refusal left %+v, want %+v", *after, want)
	}
}

func TestAlterISRRepeatIsSuccess(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.start(3)
	h.topic(nil, 1, 2, 3)
	shrink := h.isr(1, 2)
	h.must(shrink)
	after := h.partition()
	h.must(shrink)
	if h.partition() != after {
		t.Fatalf("the repeat changed the partition to %+v, was %+v", *h.partition(), *after)
	}
	h.must(h.isr(1, 2, 3))
	if res := h.apply(shrink); !errors.Is(res.Errs[0], ErrInvalidUpdateVersion) {
		t.Fatalf("a late repeat after another change: error %v, want %v", res.Errs[0], ErrInvalidUpdateVersion)
	}
}

func TestAlterISRJudgesEachChange(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.start(3)
	h.topic(nil, 1, 2, 3)
	cmd := h.isr(1, 2)
	bad := cmd.Changes[0]
	bad.TP.Partition = 7
	cmd.Changes = []ISRChange{bad, cmd.Changes[0]}
	res := h.apply(cmd)
	if res.Err != nil || len(res.Errs) != 2 || !errors.Is(res.Errs[0], ErrUnknownTopic) || res.Errs[1] != nil {
		t.Fatalf("result %+v, want only the first change refused", res)
	}
	h.want(1, 0, ids{1, 2}, nil)
}
