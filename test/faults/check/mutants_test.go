package check

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/history"
)

// mutant is a good history that a mutator may break.
type mutant struct {
	rng   *rand.Rand
	ops   []history.Op
	final []history.Replica // of all partitions
	rules Rules
}

// pick returns the index of a random operation that satisfies, or -1.
func (m *mutant) pick(satisfies func(op *history.Op) bool) int {
	var found []int
	for i := range m.ops {
		if satisfies(&m.ops[i]) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return -1
	}
	return found[m.rng.IntN(len(found))]
}

// acked picks an acknowledged send that is not near the end of its partition.
func (m *mutant) acked(also func(op *history.Op) bool) *history.Op {
	i := m.pick(func(op *history.Op) bool {
		return op.Kind == history.Send && op.Outcome == history.OK && op.Offset > 10 && op.Offset < m.end(op.Partition)-50 &&
			m.copies(op) == 1 && (also == nil || also(op))
	})
	return &m.ops[i]
}

func (m *mutant) polled(least int) *history.Op {
	return &m.ops[m.pick(func(op *history.Op) bool { return op.Kind == history.Poll && len(op.Records) >= least })]
}

func (m *mutant) end(partition int32) int64 {
	for _, r := range m.final {
		if r.Partition == partition {
			return r.HighWatermark
		}
	}
	return 0
}

// copies counts how often a value stands in the first replica.
func (m *mutant) copies(op *history.Op) int {
	n := 0
	for _, r := range m.replicas(op.Partition)[0].Records {
		if r.Value == op.Value {
			n++
		}
	}
	return n
}

func (m *mutant) replicas(partition int32) []*history.Replica {
	var found []*history.Replica
	for i := range m.final {
		if m.final[i].Partition == partition {
			found = append(found, &m.final[i])
		}
	}
	return found
}

// everywhere changes every record of a partition that anyone ever read.
func (m *mutant) everywhere(partition int32, change func(r *history.Record)) {
	m.inPolls(partition, change)
	for _, r := range m.replicas(partition) {
		for i := range r.Records {
			change(&r.Records[i])
		}
	}
}

func (m *mutant) inPolls(partition int32, change func(r *history.Record)) {
	for i := range m.ops {
		if m.ops[i].Kind == history.Poll && m.ops[i].Partition == partition {
			for j := range m.ops[i].Records {
				change(&m.ops[i].Records[j])
			}
		}
	}
}

// drop takes a record out of replicas.
func drop(offset int64, replicas ...*history.Replica) {
	for _, r := range replicas {
		r.Records = slices.DeleteFunc(r.Records, func(r history.Record) bool { return r.Offset == offset })
	}
}

// unpoll takes a record out of every poll.
func (m *mutant) unpoll(partition int32, offset int64) {
	for i := range m.ops {
		if op := &m.ops[i]; op.Kind == history.Poll && op.Partition == partition {
			op.Records = slices.DeleteFunc(op.Records, func(r history.Record) bool { return r.Offset == offset })
		}
	}
}

// exchange makes two acknowledged sends change places everywhere.
func (m *mutant) exchange(a, b *history.Op) {
	m.everywhere(a.Partition, func(r *history.Record) {
		switch r.Offset {
		case a.Offset:
			r.Value = b.Value
		case b.Offset:
			r.Value = a.Value
		}
	})
	a.Offset, b.Offset = b.Offset, a.Offset
}

// later picks another acknowledged send of the same partition.
func (m *mutant) later(a *history.Op, also func(b *history.Op) bool) *history.Op {
	return m.acked(func(b *history.Op) bool { return b.Partition == a.Partition && b.Offset > a.Offset && also(b) })
}

// leaderSaid picks a state in which a leader spoke of itself, after another one
// of the same epoch.
func (m *mutant) leaderSaid() (before, op *history.Op) {
	said := func(op *history.Op) bool {
		return op.Kind == history.State && op.State.Leader == op.Node && op.HighWatermark > 0 && op.State.ISRVersion != ""
	}
	i := m.pick(func(op *history.Op) bool {
		return said(op) && slices.ContainsFunc(m.ops[:op.ID], func(b history.Op) bool {
			return said(&b) && b.Partition == op.Partition && b.LeaderEpoch == op.LeaderEpoch
		})
	})
	op = &m.ops[i]
	at := slices.IndexFunc(m.ops, func(b history.Op) bool {
		return said(&b) && b.Partition == op.Partition && b.LeaderEpoch == op.LeaderEpoch
	})
	return &m.ops[at], op
}

// mutants break a good history in one way each, and name what must be found.
var mutants = []struct {
	name   string
	class  Class
	mutate func(m *mutant)
}{
	{"an acknowledged record is missing from all replicas", LostWrite, func(m *mutant) {
		op := m.acked(nil)
		drop(op.Offset, m.replicas(op.Partition)...)
	}},
	{"an acknowledged record is missing from one replica", LostWrite, func(m *mutant) {
		op := m.acked(nil)
		drop(op.Offset, m.replicas(op.Partition)[m.rng.IntN(modelNodes)])
	}},
	{"one replica holds another record instead", LostWrite, func(m *mutant) {
		op := m.acked(nil)
		r := m.replicas(op.Partition)[m.rng.IntN(modelNodes)]
		r.Records[op.Offset].Value = r.Records[op.Offset+1].Value
	}},
	{"another record was written over it, and nobody had read it", LostWrite, func(m *mutant) {
		op := m.acked(nil)
		m.everywhere(op.Partition, func(r *history.Record) {
			if r.Offset == op.Offset {
				r.Value = history.ValueOf(op.Client, 1<<30)
			}
		})
	}},
	{"all replicas lost their tail", LostWrite, func(m *mutant) {
		op := m.acked(nil)
		for _, r := range m.replicas(op.Partition) {
			r.HighWatermark = op.Offset
			r.Records = slices.DeleteFunc(r.Records, func(r history.Record) bool { return r.Offset >= op.Offset })
			r.Batches = slices.DeleteFunc(r.Batches, func(b history.Batch) bool { return b.Last >= op.Offset })
		}
	}},
	{"all replicas lost their head, and call it retention", LostWrite, func(m *mutant) {
		op := m.acked(nil)
		for _, r := range m.replicas(op.Partition) {
			r.LogStart = op.Offset + 1
			r.Records = slices.DeleteFunc(r.Records, func(r history.Record) bool { return r.Offset <= op.Offset })
		}
	}},
	{"consumers passed over an acknowledged record, and no replica was read", LostWrite, func(m *mutant) {
		op := m.acked(nil)
		m.unpoll(op.Partition, op.Offset)
		m.final = nil
	}},
	{"a record of unknown outcome was read and is gone", LostWrite, func(m *mutant) {
		op := m.acked(nil)
		op.Outcome, op.Offset = history.Info, history.Unknown
		for _, r := range m.replicas(op.Partition) {
			r.Records = slices.DeleteFunc(r.Records, func(r history.Record) bool { return r.Value == op.Value })
		}
	}},
	{"nobody was handed the last record", Unseen, func(m *mutant) {
		end := m.end(0)
		m.unpoll(0, end-1)
	}},
	{"a send that failed for certain is there", AbortedRead, func(m *mutant) {
		op := m.acked(nil)
		op.Outcome, op.Offset = history.Fail, history.Unknown
	}},
	{"one replica holds another value", InconsistentOffsets, func(m *mutant) {
		op := m.acked(nil)
		r := m.replicas(op.Partition)[m.rng.IntN(modelNodes)]
		r.Records[op.Offset].Value = r.Records[op.Offset+1].Value
	}},
	{"one poll got another value", InconsistentOffsets, func(m *mutant) {
		op := m.polled(2)
		op.Records[0].Value = op.Records[1].Value
	}},
	{"an acknowledgement names another offset", InconsistentOffsets, func(m *mutant) { m.acked(nil).Offset++ }},
	{"a record that nobody sent", Phantom, func(m *mutant) {
		op := m.acked(nil)
		m.everywhere(op.Partition, func(r *history.Record) {
			if r.Offset == op.Offset {
				r.Value = history.ValueOf(999, 1)
			}
		})
	}},
	{"bytes that nobody wrote", CorruptRecord, func(m *mutant) { m.polled(1).Records[0].Value = history.Garbled }},
	{"an idempotent retry was written again", Duplicate, func(m *mutant) {
		op := m.acked(func(op *history.Op) bool { return op.Guarantee == history.Idempotent })
		end := m.end(op.Partition)
		for _, r := range m.replicas(op.Partition) {
			r.HighWatermark++
			r.Records = append(r.Records, history.Record{Offset: end, Value: op.Value, LeaderEpoch: r.Records[end-1].LeaderEpoch})
		}
	}},
	{"a plain record was written more often than sent", Duplicate, func(m *mutant) {
		op := m.acked(func(op *history.Op) bool { return op.Attempts > 0 })
		for n := range int64(op.Attempts) {
			m.everywhere(op.Partition, func(r *history.Record) {
				if r.Offset == op.Offset-1-n {
					r.Value = op.Value
				}
			})
		}
	}},
	{"records of an idempotent producer changed places", NonmonotonicSend, func(m *mutant) {
		// Overlapping in time: only the producer's order is broken.
		a := m.acked(func(op *history.Op) bool { return op.Guarantee == history.Idempotent })
		b := m.later(a, func(b *history.Op) bool { return b.Client == a.Client })
		a.End, b.Start = max(a.End, b.End), min(a.Start, b.Start)
		m.exchange(a, b)
	}},
	{"acknowledged records of an ordered producer changed places", NonmonotonicSend, func(m *mutant) {
		a := m.acked(func(op *history.Op) bool { return op.Guarantee == history.Ordered })
		b := m.later(a, func(b *history.Op) bool { return b.Client == a.Client })
		a.End, b.Start = max(a.End, b.End), min(a.Start, b.Start)
		m.exchange(a, b)
	}},
	{"a record went before one acknowledged long ago", NonmonotonicSend, func(m *mutant) {
		a := m.acked(func(op *history.Op) bool { return op.Guarantee == history.Unordered })
		b := m.later(a, func(b *history.Op) bool {
			return b.Client != a.Client && b.Guarantee == history.Unordered || b.Start > a.End
		})
		m.exchange(a, b)
	}},
	{"a consumer was handed records again", NonmonotonicPoll, func(m *mutant) {
		op := *m.polled(2)
		op.Start, op.End, op.Offset = op.End+1, op.End+2, history.Unknown
		m.ops = append(m.ops, op)
	}},
	{"a consumer went back without an assignment", NonmonotonicPoll, func(m *mutant) {
		op := &m.ops[m.pick(func(op *history.Op) bool { return op.Kind == history.Poll && op.Offset > 0 })]
		op.Records[0] = history.Record{Offset: 0, Value: m.replicas(op.Partition)[0].Records[0].Value}
		op.Records = op.Records[:1]
	}},
	{"a consumer passed over a whole poll", PollSkip, func(m *mutant) {
		i := m.pick(func(op *history.Op) bool {
			return op.Kind == history.Poll && op.Offset > 0 && slices.ContainsFunc(m.ops, func(b history.Op) bool { return b.Client == op.Client && b.Start > op.End })
		})
		m.ops = slices.Delete(m.ops, i, i+1)
	}},
	{"a consumer began behind what it asked for", PollSkip, func(m *mutant) {
		i := m.pick(func(op *history.Op) bool { return op.Kind == history.Poll && op.Offset == 0 && len(op.Records) > 1 })
		m.ops[i].Records = m.ops[i].Records[1:]
	}},
	{"a consumer passed over a record within a poll", IntPollSkip, func(m *mutant) {
		op := m.polled(3)
		op.Records = slices.Delete(op.Records, 1, 2)
	}},
	{"a poll is out of order", IntNonmonotonicPoll, func(m *mutant) {
		op := m.polled(2)
		op.Records[0], op.Records[1] = op.Records[1], op.Records[0]
	}},
	{"a poll got what was not committed", DirtyRead, func(m *mutant) {
		op := m.polled(1)
		op.HighWatermark = op.Records[len(op.Records)-1].Offset
	}},
	{"a leader's high watermark went back", RegressedHighWatermark, func(m *mutant) {
		before, op := m.leaderSaid()
		op.HighWatermark = before.HighWatermark - 1
	}},
	{"a new leader's high watermark is lower", RegressedHighWatermark, func(m *mutant) {
		before, op := m.leaderSaid()
		op.LeaderEpoch, op.HighWatermark = op.LeaderEpoch+1000, before.HighWatermark-1
	}},
	{"a leader's log start went back", RegressedLogStart, func(m *mutant) {
		before, op := m.leaderSaid()
		before.State.LogStart, op.State.LogStart = 2, 1
	}},
	{"a broker's epoch went back", RegressedEpoch, func(m *mutant) {
		op := m.ops[m.pick(func(op *history.Op) bool { return op.Kind == history.State && op.LeaderEpoch > 0 })]
		op.Start, op.End, op.LeaderEpoch, op.HighWatermark = op.End+1, op.End+2, op.LeaderEpoch-1, history.Unknown
		op.State = &history.Sample{Leader: history.Unknown, LogStart: history.Unknown}
		m.ops = append(m.ops, op)
	}},
	{"two brokers say that they lead", SplitBrain, func(m *mutant) {
		_, op := m.leaderSaid()
		op.Node = op.Node%modelNodes + 1
		op.State.Leader = op.Node
	}},
	{"metadata names two leaders", SplitBrain, func(m *mutant) {
		op := &m.ops[m.pick(func(op *history.Op) bool { return op.Kind == history.State && op.State.Replicas != nil })]
		op.State.Leader = op.State.Leader%modelNodes + 1
	}},
	{"two brokers acknowledged in one epoch", SplitBrain, func(m *mutant) {
		op := m.acked(func(op *history.Op) bool { return op.Guarantee != history.Idempotent })
		op.Node = op.Node%modelNodes + 1
	}},
	{"a broker is in sync that is no replica", ISROutsideReplicas, func(m *mutant) {
		op := &m.ops[m.pick(func(op *history.Op) bool { return op.Kind == history.State && op.State.Replicas != nil })]
		op.State.ISR = append(op.State.ISR, 9)
	}},
	{"acknowledged under min.insync.replicas", UnderMinISRAck, func(m *mutant) {
		m.ops = slices.DeleteFunc(m.ops, func(op history.Op) bool { return op.Kind == history.State })
		op := m.acked(func(op *history.Op) bool {
			return op.Start > 0 && m.replicas(op.Partition)[0].Records[op.Offset].LeaderEpoch == 0
		})
		for _, at := range []time.Duration{op.Start - 1, op.End + 1} {
			m.ops = append(m.ops, history.Op{
				Kind: history.State, Outcome: history.OK, Topic: "orders", Partition: op.Partition, Node: 1, HighWatermark: history.Unknown, Start: at, End: at,
				State: &history.Sample{Leader: 1, ISR: []int32{1}, MinISR: 2, ISRVersion: "v", LogStart: history.Unknown},
			})
		}
	}},
	{"one replica has other batches", DivergedReplicas, func(m *mutant) {
		r := m.replicas(0)[1]
		i := slices.IndexFunc(r.Batches, func(b history.Batch) bool { return b.Last > b.Base })
		split := r.Batches[i]
		r.Batches[i].Last = split.Base
		split.Base++
		r.Batches = slices.Insert(r.Batches, i+1, split)
	}},
	{"one replica's batch has another epoch", DivergedReplicas, func(m *mutant) { m.replicas(0)[2].Batches[20].LeaderEpoch++ }},
	{"one replica's batch has other bytes", DivergedReplicas, func(m *mutant) { m.replicas(1)[0].Batches[20].CRC++ }},
	{"one replica holds a record more", DivergedReplicas, func(m *mutant) {
		for i, r := range m.replicas(0) {
			if i > 0 {
				drop(30, r)
			}
		}
	}},
	{"one replica never caught up", LaggingReplica, func(m *mutant) {
		r := m.replicas(0)[m.rng.IntN(modelNodes)]
		r.HighWatermark -= 5
		r.Records = r.Records[:len(r.Records)-5]
	}},
	{"a partition came back late", NoRecovery, func(m *mutant) {
		m.rules.MaxRecovery = time.Second
		end := Check(rebuild(m.ops), nil, m.rules).Window.To
		m.ops = slices.DeleteFunc(m.ops, func(op history.Op) bool {
			return op.Kind == history.Send && op.Partition == 1 && op.Outcome == history.OK && op.End > end && op.End < end+time.Second
		})
	}},
	{"a partition never got its replicas back", ISRNotFull, func(m *mutant) {
		m.rules.MaxFullISR = time.Minute
		last := slices.MaxFunc(m.ops, func(a, b history.Op) int { return int(a.End - b.End) })
		m.ops = append(m.ops, history.Op{
			Kind: history.State, Outcome: history.OK, Topic: "orders", Node: 1, LeaderEpoch: history.Unknown, HighWatermark: history.Unknown,
			Start: last.End + 1, End: last.End + 2,
			State: &history.Sample{Leader: history.Unknown, LogStart: history.Unknown, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2}},
		})
	}},
}

// TestMutantsAreFlagged breaks good histories in every way that the checker
// must know: one that passes them proves nothing.
func TestMutantsAreFlagged(t *testing.T) {
	t.Parallel()
	for _, tt := range mutants {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				w := newWorld(seed, false)
				m := &mutant{rng: rand.New(rand.NewPCG(seed, 3)), rules: strict(w)}
				m.ops, m.final = w.run(1500)
				for i := range m.ops {
					m.ops[i].ID = int64(i)
				}
				if report := Check(rebuild(m.ops), m.final, m.rules); !report.OK() {
					t.Fatalf("seed %d, unbroken: %s", seed, report.String())
				}
				tt.mutate(m)
				report := Check(rebuild(m.ops), m.final, m.rules)
				if report.Counts[tt.class] == 0 {
					t.Fatalf("seed %d: %s is not among %v", seed, tt.class, report.Counts)
				}
			}
		})
	}
}
