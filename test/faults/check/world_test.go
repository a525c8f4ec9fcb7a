package check

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chronik-project/chronik/test/faults/history"
)

// world is a model of a cluster that keeps every promise. It does whatever may
// happen to one: elections, cut tails, lost answers, late appends, retries that
// write twice, deposed leaders that answer, retention, consumers that start
// again. Its histories must give no anomaly.
type world struct {
	rng       *rand.Rand
	now       time.Duration
	ops       []history.Op
	logs      []*modelLog
	producers []*modelProducer
	readers   []*modelReader
	retention bool
	nextID    int32
}

const modelNodes = 3

// modelLog is one partition.
type modelLog struct {
	index    int32
	records  []history.Record
	batches  []history.Batch
	hw       int // records[:hw] are committed
	start    int64
	epoch    int32
	leader   int32
	isr      []int32
	changes  int                   // of isr in this epoch
	deposed  map[int32]modelLead   // by node: those that do not know it yet
	nodeSaid [modelNodes + 1]int32 // epoch that each node's metadata has
	leaders  map[int32]int32
}

// modelLead is what a deposed leader goes on to say.
type modelLead struct {
	epoch     int32
	hw, start int64
}

type modelProducer struct {
	client    int32
	guarantee history.Guarantee
	attempts  int32
	sequence  uint64
	late      []lateRecord
}

// lateRecord is on its way although its producer gave up.
type lateRecord struct {
	log   *modelLog
	value uint64
}

type modelReader struct {
	client int32
	log    *modelLog
	next   int64
}

func newWorld(seed uint64, retention bool) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 17)), retention: retention, nextID: 1}
	for i := range int32(2) {
		l := &modelLog{index: i, leader: 1, isr: []int32{1, 2, 3}, leaders: map[int32]int32{0: 1}, deposed: map[int32]modelLead{}}
		w.logs = append(w.logs, l)
		for range 2 {
			w.readers = append(w.readers, &modelReader{client: w.id(), log: l})
		}
	}
	for _, g := range []history.Guarantee{history.Idempotent, history.Idempotent, history.Ordered, history.Unordered} {
		w.producers = append(w.producers, &modelProducer{client: w.id(), guarantee: g, attempts: 2 * int32(g&1)})
	}
	return w
}

func (w *world) id() int32 {
	w.nextID++
	return w.nextID - 1
}

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

// span is an operation around now.
func (w *world) span() (start, end time.Duration) {
	return w.now - time.Duration(w.rng.IntN(int(time.Millisecond))), w.now + time.Duration(w.rng.IntN(int(3*time.Millisecond)))
}

func (w *world) record(op history.Op) {
	op.Topic = "orders"
	w.ops = append(w.ops, op)
}

// run makes a history of so many steps, with faults in the middle third.
func (w *world) run(steps int) ([]history.Op, []history.Replica) {
	for i := range steps {
		w.now += time.Duration(1+w.rng.IntN(2000)) * time.Microsecond
		l := w.logs[w.rng.IntN(len(w.logs))]
		faulty := i > steps/3 && i < 2*steps/3
		switch n := w.rng.IntN(100); {
		case n < 50:
			w.send(w.producers[w.rng.IntN(len(w.producers))], l, faulty)
		case n < 70:
			w.poll(w.readers[w.rng.IntN(len(w.readers))], 1+w.rng.IntN(20))
		case n < 74:
			w.append(l, w.arrivals(l), true)
		case n < 76:
			r := w.readers[w.rng.IntN(len(w.readers))]
			r.client, r.next = w.id(), r.log.start
		case n < 90:
			w.sample(l)
		case n < 93 && faulty:
			w.elect(l)
		case n < 96 && faulty:
			w.changeISR(l)
		case n < 97 && w.retention:
			l.start = max(l.start, int64(w.rng.IntN(l.hw+1)))
		}
	}
	return w.finish()
}

// finish heals, lets consumers catch up and reads the replicas.
func (w *world) finish() ([]history.Op, []history.Replica) {
	var final []history.Replica
	for _, l := range w.logs {
		w.append(l, w.arrivals(l), true)
		l.isr = []int32{1, 2, 3}
		w.now += 5 * time.Millisecond
		w.metadata(l, l.leader)
		for _, r := range w.readers {
			for r.log == l && r.next < int64(l.hw) {
				w.poll(r, 10)
			}
		}
		for node := range int32(modelNodes) {
			start := l.start // each deletes at its own time
			if w.retention && node+1 != l.leader {
				start = int64(w.rng.IntN(int(l.start) + 1))
			}
			first := slices.IndexFunc(l.batches, func(b history.Batch) bool { return b.Last >= start })
			final = append(final, history.Replica{
				Node: node + 1, Topic: "orders", Partition: l.index, LogStart: start, HighWatermark: int64(l.hw),
				Records: slices.Clone(l.records[start:l.hw]), Batches: slices.Clone(l.batches[max(first, 0):]),
			})
		}
	}
	return w.ops, final
}

// append writes one batch and commits, or not yet.
func (w *world) append(l *modelLog, values []uint64, commit bool) (base int64) {
	base = int64(len(l.records))
	for i, v := range values {
		l.records = append(l.records, history.Record{Offset: base + int64(i), Value: v, LeaderEpoch: l.epoch})
	}
	if len(values) > 0 {
		l.batches = append(l.batches, history.Batch{Base: base, Last: base + int64(len(values)) - 1, LeaderEpoch: l.epoch, CRC: w.rng.Uint32()})
	}
	if commit && len(l.isr) > 1 {
		l.hw = len(l.records)
	}
	return base
}

// arrivals are late records that come now.
func (w *world) arrivals(l *modelLog) []uint64 {
	var values []uint64
	for _, p := range w.producers {
		p.late = slices.DeleteFunc(p.late, func(r lateRecord) bool {
			if r.log == l {
				values = append(values, r.value)
			}
			return r.log == l
		})
	}
	return values
}

// send is one batch of a producer, with all that may come of it.
func (w *world) send(p *modelProducer, l *modelLog, faulty bool) {
	start, end := w.span()
	var ops []history.Op
	var values []uint64
	for range 1 + w.rng.IntN(3) {
		value := history.ValueOf(p.client, p.sequence)
		p.sequence++
		values = append(values, value)
		ops = append(ops, history.Op{
			Client: p.client, Kind: history.Send, Partition: l.index, Value: value, Offset: history.Unknown, Node: history.Unknown,
			Guarantee: p.guarantee, Attempts: p.attempts, LeaderEpoch: history.Unknown, Start: max(start, 0), End: end,
		})
	}
	outcome, base := history.OK, int64(0)
	switch n := w.rng.IntN(100); {
	case len(l.isr) < 2:
		outcome = history.Fail
	case !faulty || n < 60:
		base = w.append(l, values, true)
	case n < 65:
		outcome = history.Fail
	case n < 70: // the answer is lost, or the request
		outcome = history.Info
		if w.chance(50) {
			w.append(l, values, w.chance(50))
		}
	case n < 80 && p.guarantee != history.Idempotent: // given up, and written later
		outcome = history.Info
		for _, v := range values {
			p.late = append(p.late, lateRecord{l, v})
		}
	case n < 90 && p.guarantee != history.Idempotent: // tried twice, written twice
		w.append(l, values, true)
		base = w.append(l, values, true)
	default:
		base = w.append(l, values, true)
	}
	for i := range ops {
		ops[i].Outcome = outcome
		if outcome == history.OK {
			ops[i].Offset = base + int64(i)
			if p.guarantee != history.Idempotent {
				ops[i].Node = l.leader
			}
		}
		w.record(ops[i])
	}
}

func (w *world) poll(r *modelReader, most int) {
	r.next = max(r.next, r.log.start) // retention went past it
	from, to := int(r.next), min(int(r.next)+most, r.log.hw)
	if from >= to {
		return
	}
	start, end := w.span()
	w.record(history.Op{
		Client: r.client, Kind: history.Poll, Outcome: history.OK, Partition: r.log.index, Node: history.Unknown, LeaderEpoch: history.Unknown,
		Start: max(start, w.now-time.Microsecond), End: end, Offset: r.next, HighWatermark: int64(r.log.hw), Records: slices.Clone(r.log.records[from:to]),
	})
	w.now = end + 2*time.Microsecond // one poll after the other
	r.next = int64(to)
}

// elect takes the next node; what was not committed may be cut off.
func (w *world) elect(l *modelLog) {
	if len(l.isr) < 2 {
		return
	}
	l.deposed[l.leader] = modelLead{l.epoch, int64(l.hw), l.start}
	if w.chance(50) && l.hw < len(l.records) {
		l.records = l.records[:l.hw]
		l.batches = slices.DeleteFunc(l.batches, func(b history.Batch) bool { return b.Base >= int64(l.hw) })
	}
	l.hw = len(l.records)
	l.epoch++
	l.leader = l.isr[w.rng.IntN(len(l.isr))]
	delete(l.deposed, l.leader)
	l.changes = 0
	l.leaders[l.epoch] = l.leader
	w.record(history.Op{Kind: history.Fault, Outcome: history.OK, Partition: history.Unknown, Start: w.now, End: w.now, Error: "kill"})
}

func (w *world) changeISR(l *modelLog) {
	l.changes++
	l.isr = []int32{l.leader}
	for n := range int32(modelNodes) {
		if n+1 != l.leader && w.chance(60) {
			l.isr = append(l.isr, n+1)
		}
	}
	if len(l.isr) > 1 {
		l.hw = len(l.records)
	}
}

// sample is what a leader, a deposed one or any node says.
func (w *world) sample(l *modelLog) {
	node := 1 + w.rng.Int32N(modelNodes)
	deposed, ok := l.deposed[node]
	switch {
	case w.chance(30):
		w.metadata(l, node)
	case ok:
		w.state(l, 110, node, deposed.epoch, deposed.hw, history.Sample{Leader: node, LogStart: deposed.start})
	default:
		w.state(l, 110, l.leader, l.epoch, int64(l.hw), history.Sample{
			Leader: l.leader, LogStart: l.start, ISR: slices.Clone(l.isr), MinISR: 2, ISRVersion: fmt.Sprint("v", l.changes),
		})
	}
}

// metadata is what a node knows of who leads: late, but never less than before.
func (w *world) metadata(l *modelLog, node int32) {
	epoch := l.nodeSaid[node]
	epoch += w.rng.Int32N(l.epoch - epoch + 1)
	l.nodeSaid[node] = epoch
	w.state(l, 120, node, epoch, history.Unknown, history.Sample{
		Leader: l.leaders[epoch], LogStart: history.Unknown, ISR: slices.Clone(l.isr), Replicas: []int32{1, 2, 3},
	})
}

func (w *world) state(l *modelLog, client, node, epoch int32, hw int64, s history.Sample) {
	w.record(history.Op{
		Client: client, Kind: history.State, Outcome: history.OK, Partition: l.index, Offset: history.Unknown, Node: node,
		LeaderEpoch: epoch, HighWatermark: hw, Start: w.now - time.Microsecond, End: w.now, State: &s,
	})
}
