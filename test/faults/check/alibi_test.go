package check

import (
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/history"
)

// leading is a leader's own answer, with itself alone in sync.
func leading(node, epoch int32, at int, version string) history.Op {
	return history.Op{
		Kind: history.State, Outcome: history.OK, Topic: "orders", Node: node, LeaderEpoch: epoch, HighWatermark: history.Unknown,
		Start: time.Duration(at), End: time.Duration(at + 1),
		State: &history.Sample{Leader: node, ISR: []int32{node}, MinISR: 2, ISRVersion: version, LogStart: history.Unknown},
	}
}

// sent is an acknowledged send.
func sent(guarantee history.Guarantee, sequence uint64, offset int64, node int32, start, end int) history.Op {
	return history.Op{
		Client: 1, Kind: history.Send, Outcome: history.OK, Topic: "orders", Value: history.ValueOf(1, sequence), Guarantee: guarantee,
		Offset: offset, Node: node, LeaderEpoch: history.Unknown, Start: time.Duration(start), End: time.Duration(end),
	}
}

// read is a poll of the first records, with their epochs.
func read(epochs ...int32) history.Op {
	op := history.Op{Client: 2, Kind: history.Poll, Outcome: history.OK, Topic: "orders", Start: time.Duration(900), End: time.Duration(901), HighWatermark: int64(len(epochs))}
	for i, e := range epochs {
		op.Records = append(op.Records, history.Record{Offset: int64(i), Value: history.ValueOf(1, uint64(i)), LeaderEpoch: e})
	}
	return op
}

// TestAlibis has pairs of histories: one that a correct cluster may produce and
// that looks bad, and one in which what excuses it is missing.
func TestAlibis(t *testing.T) {
	t.Parallel()
	const idempotent, unordered = history.Idempotent, history.Unordered
	tests := []struct {
		name  string
		ops   []history.Op
		class Class // none if it is excused
	}{
		{
			name: "the retry of an idempotent producer, acknowledged by the next leader",
			ops:  []history.Op{sent(idempotent, 0, 0, 2, 10, 20), leading(1, 0, 5, ""), read(0)},
		},
		{
			name:  "a plain record, acknowledged by another than the leader that wrote it",
			ops:   []history.Op{sent(unordered, 0, 0, 2, 10, 20), leading(1, 0, 5, ""), read(0)},
			class: SplitBrain,
		},
		{
			name: "written by a leader that then slept, acknowledged by its successor",
			ops:  []history.Op{leading(1, 0, 5, "v"), sent(idempotent, 0, 0, history.Unknown, 10, 20), leading(1, 0, 30, "v"), read(0)},
		},
		{
			name: "written and acknowledged by a leader that wrote on, all alone in sync",
			ops: []history.Op{
				leading(1, 0, 5, "v"), sent(idempotent, 0, 0, history.Unknown, 10, 20), leading(1, 0, 30, "v"),
				sent(idempotent, 1, 1, history.Unknown, 40, 50), read(0, 0),
			},
			class: UnderMinISRAck,
		},
		{
			name: "the in-sync set changed meanwhile",
			ops: []history.Op{
				leading(1, 0, 5, "v"), sent(idempotent, 0, 0, history.Unknown, 10, 20), leading(1, 0, 30, "w"),
				sent(idempotent, 1, 1, history.Unknown, 40, 50), read(0, 0),
			},
		},
		{
			name: "sent before the in-sync set is known to have been small",
			ops: []history.Op{
				sent(idempotent, 0, 0, history.Unknown, 1, 20), leading(1, 0, 5, "v"), leading(1, 0, 30, "v"),
				sent(idempotent, 1, 1, history.Unknown, 40, 50), read(0, 0),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			report := Check(rebuild(tt.ops), nil, Rules{})
			switch {
			case tt.class == "" && len(report.Counts) > 0:
				t.Errorf("%v, want no anomaly", report.Counts)
			case tt.class != "" && (report.Counts[tt.class] != 1 || len(report.Counts) != 1):
				t.Errorf("%v, want one %s", report.Counts, tt.class)
			}
		})
	}
}
