package check

import (
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/history"
)

// rebuild makes a history of operations.
func rebuild(ops []history.Op) *history.History {
	h := history.New()
	for _, op := range ops {
		h.Add(op)
	}
	return h
}

// strict are the rules that every history of the model keeps.
func strict(w *world) Rules {
	return Rules{Retention: w.retention, CaughtUp: true}
}

// TestGoodHistoriesPass runs the model with many seeds: whatever it does is
// allowed, and no anomaly.
func TestGoodHistoriesPass(t *testing.T) {
	t.Parallel()
	for seed := range uint64(80) {
		w := newWorld(seed, seed%2 == 1)
		ops, final := w.run(2000)
		report := Check(rebuild(ops), final, strict(w))
		if !report.OK() {
			t.Fatalf("seed %d: %s", seed, report.String())
		}
		if report.Acked < 500 || report.Unknown == 0 || report.Failed == 0 || report.Polled < 500 || report.Sampled < 100 || report.UnseenValues > 0 && !w.retention {
			t.Fatalf("seed %d: too little happened: %s", seed, report.String())
		}
	}
}

// TestWithoutReplicas judges by what clients saw alone.
func TestWithoutReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(4, false)
	ops, _ := w.run(2000)
	if report := Check(rebuild(ops), nil, strict(w)); !report.OK() {
		t.Fatal(report.String())
	}
}

func TestVoid(t *testing.T) {
	t.Parallel()
	ack := func(at time.Duration) history.Op {
		return history.Op{Kind: history.Send, Outcome: history.OK, Topic: "orders", Value: uint64(at), Offset: int64(at), Start: at, End: at, Node: history.Unknown}
	}
	kill := history.Op{Kind: history.Fault, Start: 10, End: 20, Partition: history.Unknown}
	tests := []struct {
		name  string
		ops   []history.Op
		rules Rules
		void  string
	}{
		{name: "one in each phase", ops: []history.Op{ack(5), kill, ack(15), ack(25)}},
		{name: "none at all", ops: []history.Op{kill}, void: "0 acknowledgements before the faults, want at least 1"},
		{name: "none during", ops: []history.Op{ack(5), kill, ack(25)}, void: "0 acknowledgements during the faults, want at least 1"},
		{name: "none during, and none needed", ops: []history.Op{ack(5), kill, ack(25)}, rules: Rules{Floor: Floor{During: -1}}},
		{name: "none after", ops: []history.Op{ack(5), kill, ack(15)}, void: "0 acknowledgements after the faults, want at least 1"},
		{name: "too few after", ops: []history.Op{ack(5), kill, ack(15), ack(25)}, rules: Rules{Floor: Floor{After: 2}}, void: "1 acknowledgements after the faults, want at least 2"},
		{name: "no fault", ops: []history.Op{ack(5)}, void: "no fault is in the history"},
		{name: "no fault, and none wanted", ops: []history.Op{ack(5)}, rules: Rules{Floor: Floor{During: -1, After: -1}}},
		{name: "window given", ops: []history.Op{ack(5), ack(15), ack(25)}, rules: Rules{Window: Window{10, 20}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if report := Check(rebuild(tt.ops), nil, tt.rules); report.Void != tt.void || len(report.Counts) > 0 {
				t.Errorf("%s, want void %q", report.String(), tt.void)
			}
		})
	}
}

// TestStalls measures the time in which records waited, not that in which
// nobody sent any.
func TestStalls(t *testing.T) {
	t.Parallel()
	const second = time.Second
	send := func(start, end time.Duration, outcome history.Outcome) history.Op {
		return history.Op{Kind: history.Send, Outcome: outcome, Topic: "orders", Value: uint64(start), Offset: int64(start), Start: start, End: end, Node: history.Unknown}
	}
	tests := []struct {
		name    string
		ops     []history.Op
		longest time.Duration
		gaps    []Window
	}{
		{name: "nothing sent"},
		{name: "answered late", ops: []history.Op{send(0, 1, history.OK), send(second, 4*second, history.OK)}, longest: 3 * second, gaps: []Window{{second, 4 * second}}},
		{name: "nothing to answer", ops: []history.Op{send(0, 1, history.OK), send(9*second, 10*second, history.OK)}, longest: second},
		{name: "answered otherwise", ops: []history.Op{send(0, 5*second, history.OK), send(second, 2*second, history.OK), send(second, 3*second, history.OK)}, longest: 2 * second, gaps: []Window{{0, 2 * second}, {3 * second, 5 * second}}},
		{name: "never answered", ops: []history.Op{send(0, second, history.OK), send(second, 8*second, history.Info)}, longest: 7 * second, gaps: []Window{{second, 8 * second}}},
		{name: "refused all the time", ops: []history.Op{send(0, second, history.Fail), send(second, 3*second, history.Fail)}, longest: 3 * second, gaps: []Window{{0, 3 * second}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			report := Check(rebuild(tt.ops), nil, Rules{})
			if report.Longest() != tt.longest {
				t.Errorf("longest %s, want %s", report.Longest(), tt.longest)
			}
			var gaps []Window
			for _, s := range report.Stalls {
				gaps = append(gaps, s.Gaps...)
			}
			if !slices.Equal(gaps, tt.gaps) {
				t.Errorf("gaps %v, want %v", gaps, tt.gaps)
			}
		})
	}
}

// TestRecovery measures from the end of the faults.
func TestRecovery(t *testing.T) {
	t.Parallel()
	ops := []history.Op{
		{Kind: history.Fault, Start: 10, End: 20, Partition: history.Unknown},
		{Kind: history.Send, Outcome: history.OK, Topic: "orders", Offset: 0, Start: 15, End: 18},
		{Kind: history.Send, Outcome: history.Info, Topic: "orders", Value: 1, Offset: history.Unknown, Start: 15, End: 21},
		{Kind: history.Send, Outcome: history.OK, Topic: "orders", Value: 2, Offset: 1, Start: 19, End: 25},
		{Kind: history.Send, Outcome: history.OK, Topic: "orders", Value: 3, Offset: 2, Start: 20, End: 26},
	}
	for i, isr := range [][]int32{{1, 2}, {1, 2, 3}, {1, 3}, {1, 2, 3}, {1, 2, 3}} {
		at := time.Duration(22 + 10*i)
		ops = append(ops, history.Op{Kind: history.State, Outcome: history.OK, Topic: "orders", Start: at, End: at + 1, State: &history.Sample{Replicas: []int32{1, 2, 3}, ISR: isr}})
	}
	s := Check(rebuild(ops), nil, Rules{}).Stalls[0]
	if s.Recovered != 5 || s.FullISR != 33 {
		t.Errorf("recovered %d, full in-sync set %d, want 5 and 33", s.Recovered, s.FullISR)
	}
}

// BenchmarkCheck reports how many operations it judges in a second: a minute
// must be enough for ten million.
func BenchmarkCheck(b *testing.B) {
	w := newWorld(1, false)
	ops, final := w.run(200_000)
	h := rebuild(ops)
	for b.Loop() {
		Check(h, final, strict(w))
	}
	b.ReportMetric(float64(len(ops))*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
