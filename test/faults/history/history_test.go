package history

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// samples are operations with every field in use and at its edges.
func samples() []Op {
	return []Op{
		{Client: 1, Kind: Send, Outcome: OK, Start: 5, End: 9, Topic: "orders", Value: ValueOf(1, 7), Offset: 3, Guarantee: Idempotent, Node: Unknown, LeaderEpoch: Unknown},
		{Client: 2, Kind: Send, Outcome: Info, Start: 1, End: time.Hour, Topic: "orders", Partition: 2, Value: ValueOf(2, 1<<40-1), Offset: Unknown, Guarantee: Ordered, Attempts: 3, Error: "timed out", Node: 2, LeaderEpoch: 4},
		{Client: 2, Kind: Send, Outcome: Fail, Start: 3, End: 3, Topic: "orders", Partition: 2, Value: Garbled, Offset: 1<<63 - 1, Error: "too large"},
		{Client: 3, Kind: Poll, Outcome: OK, Start: 8, End: 9, Topic: "orders", Offset: 3, HighWatermark: 6, Records: []Record{{3, ValueOf(1, 7), 0}, {4, Garbled, 2}, {2, 0, -1}}},
		{Client: 3, Kind: Poll, Outcome: Fail, Topic: "orders", Offset: Unknown, HighWatermark: Unknown, Error: "out of range"},
		{
			Client: 4, Kind: State, Outcome: OK, Topic: "orders", Partition: 1, Node: 1, LeaderEpoch: 6, HighWatermark: 17,
			State: &Sample{Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{}, LogStart: 4, MinISR: 2, ISRVersion: "v7"},
		},
		{Kind: State, Outcome: OK, Topic: "orders", Node: 1, HighWatermark: Unknown, State: &Sample{Leader: Unknown, LogStart: Unknown}},
		{Kind: Fault, Outcome: OK, Start: 3, End: 4, Partition: Unknown, Node: 2, Error: "kill"},
	}
}

func numbered(ops []Op) []Op {
	for i := range ops {
		ops[i].ID = int64(i)
	}
	return ops
}

func TestOperationsComeBackAsAdded(t *testing.T) {
	t.Parallel()
	h := New()
	want := numbered(samples())
	for i, op := range samples() {
		if id := h.Add(op); id != int64(i) {
			t.Errorf("id %d, want %d", id, i)
		}
	}
	if got := slices.Collect(h.All()); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if h.Len() != int64(len(want)) {
		t.Errorf("length %d, want %d", h.Len(), len(want))
	}
}

func TestWrittenHistoryReadsBack(t *testing.T) {
	t.Parallel()
	h := New()
	for _, op := range samples() {
		h.Add(op)
	}
	long := Replica{Node: 2, Topic: "orders", Partition: 1, LogStart: 1, HighWatermark: 3*piece + 2}
	for i := range int64(3*piece + 1) {
		long.Records = append(long.Records, Record{Offset: i + 1, Value: ValueOf(1, uint64(i)), LeaderEpoch: int32(i / piece)})
		long.Batches = append(long.Batches, Batch{Base: i + 1, Last: i + 1, CRC: 1<<32 - 1 - uint32(i)})
	}
	final := []Replica{{Node: 1, Topic: "orders", Partition: 1}, long, {Node: 3, Topic: "orders", Partition: 1}}

	var text bytes.Buffer
	if err := Write(&text, h, final); err != nil {
		t.Fatal(err)
	}
	back, backFinal, err := Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Collect(back.All()), slices.Collect(h.All()); !reflect.DeepEqual(got, want) {
		t.Errorf("operations: got\n%+v\nwant\n%+v", got, want)
	}
	if !reflect.DeepEqual(backFinal, final) {
		t.Errorf("replicas differ: %d, %d records, want %d, %d", len(backFinal), len(backFinal[1].Records), len(final), len(long.Records))
	}
}

func TestMalformedLines(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{}\n", "nonsense\n", `{"op":{"kind":"gone"}}`, `{"op":{"kind":"send","outcome":"ok","guarantee":"?"}}`, `{"op":{"kind":"send","outco`,
	} {
		if _, _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, want %v", text, err, ErrMalformed)
		}
	}
}

// TestConcurrentUse adds from several goroutines while others read: a prefix
// stays as it was.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const clients, each = 4, 20_000
	h := New()
	var done sync.WaitGroup
	for c := range int32(clients) {
		done.Go(func() {
			for i := range uint64(each) {
				h.Add(Op{Client: c, Kind: Send, Topic: "orders", Partition: c, Value: ValueOf(c, i), End: h.Now()})
			}
		})
	}
	next := make([]uint64, clients)
	done.Go(func() {
		for h.Len() < clients*each {
			clear(next)
			for op := range h.All() {
				if op.Value != ValueOf(op.Client, next[op.Client]) {
					t.Errorf("client %d: value %d, want %d", op.Client, op.Value, ValueOf(op.Client, next[op.Client]))
					return
				}
				next[op.Client]++
			}
			runtime.Gosched()
		}
	})
	done.Wait()
}

// TestMemoryPerOperation bounds what a history costs: five million sends and
// as many records polled must fit beside a cluster.
func TestMemoryPerOperation(t *testing.T) {
	t.Parallel()
	const ops, bound = 500_000, 40 // bytes
	h := New()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range uint64(ops) {
		start := time.Duration(i) * 100 * time.Microsecond
		h.Add(Op{
			Client: 3, Kind: Send, Outcome: OK, Guarantee: Idempotent, Topic: "orders", Partition: int32(i % 12), Node: Unknown, LeaderEpoch: Unknown,
			Value: ValueOf(3, i), Offset: int64(i / 12), Start: start, End: start + time.Duration(rng.IntN(10_000_000)),
		})
	}
	var bytesUsed int
	for _, chunk := range h.chunks {
		bytesUsed += cap(chunk)
	}
	if per := float64(bytesUsed) / ops; per > bound {
		t.Errorf("%.1f bytes per operation, want at most %d", per, bound)
	} else {
		t.Logf("%.1f bytes per operation", per)
	}
}
