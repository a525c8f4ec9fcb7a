package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/chronik-project/chronik/test/faults/history"
)

// partition is all that a history says of one partition.
type partition struct {
	topic   string
	index   int32
	sends   []send // by value
	polls   []poll // by client, then start
	records []history.Record
	states  []state // by start
	final   []*history.Replica
}

type send struct {
	value      uint64
	offset     int64
	start, end time.Duration
	node       int32
	attempts   int32
	outcome    history.Outcome
	guarantee  history.Guarantee
}

// acked says that the record is at a known place.
func (s *send) acked() bool { return s.outcome == history.OK && s.offset >= 0 }

// poll has its records in records[from:to] of its partition.
type poll struct {
	client        int32
	start, end    time.Duration
	expected      int64
	highWatermark int64
	from, to      int
}

type state struct {
	client, node  int32
	start, end    time.Duration
	epoch         int32
	highWatermark int64
	*history.Sample
}

// leads says that the broker spoke of itself.
func (s *state) leads() bool { return s.node >= 0 && s.Leader == s.node && s.epoch >= 0 }

type place struct {
	topic string
	index int32
}

// group sorts a history into partitions, and counts.
func group(h *history.History, final []history.Replica, report *Report) []*partition {
	byPlace := map[place]*partition{}
	at := func(topic string, index int32) *partition {
		key := place{topic, index}
		p, ok := byPlace[key]
		if !ok {
			p = &partition{topic: topic, index: index}
			byPlace[key] = p
		}
		return p
	}
	faults := faultWindow{given: report.Window != Window{}}
	for op := range h.All() {
		switch op.Kind {
		case history.Fault:
			faults.add(op, &report.Window)
		case history.Send:
			at(op.Topic, op.Partition).addSend(&op)
		case history.Poll:
			at(op.Topic, op.Partition).addPoll(&op)
		case history.State:
			if op.Outcome == history.OK && op.State != nil {
				at(op.Topic, op.Partition).addState(&op)
			}
		}
	}
	for i := range final {
		p := at(final[i].Topic, final[i].Partition)
		p.final = append(p.final, &final[i])
	}
	partitions := make([]*partition, 0, len(byPlace))
	for _, p := range byPlace {
		p.sort()
		p.tally(report)
		partitions = append(partitions, p)
	}
	slices.SortFunc(partitions, func(a, b *partition) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.index, b.index))
	})
	return partitions
}

// faultWindow finds the window of the faults, unless it was given.
type faultWindow struct{ given, begun bool }

func (f *faultWindow) add(op history.Op, w *Window) {
	switch {
	case f.given:
	case !f.begun:
		f.begun = true
		*w = Window{From: op.Start, To: op.End}
	default:
		w.From, w.To = min(w.From, op.Start), max(w.To, op.End)
	}
}

func (p *partition) addSend(op *history.Op) {
	p.sends = append(p.sends, send{
		value: op.Value, offset: op.Offset, start: op.Start, end: op.End, node: op.Node,
		attempts: op.Attempts, outcome: op.Outcome, guarantee: op.Guarantee,
	})
}

func (p *partition) addPoll(op *history.Op) {
	from := len(p.records)
	p.records = append(p.records, op.Records...)
	p.polls = append(p.polls, poll{
		client: op.Client, start: op.Start, end: op.End,
		expected: op.Offset, highWatermark: op.HighWatermark, from: from, to: len(p.records),
	})
}

func (p *partition) addState(op *history.Op) {
	p.states = append(p.states, state{
		client: op.Client, node: op.Node, start: op.Start, end: op.End,
		epoch: op.LeaderEpoch, highWatermark: op.HighWatermark, Sample: op.State,
	})
}

func (p *partition) sort() {
	slices.SortFunc(p.sends, func(a, b send) int { return cmp.Compare(a.value, b.value) })
	slices.SortStableFunc(p.polls, func(a, b poll) int {
		return cmp.Or(cmp.Compare(a.client, b.client), cmp.Compare(a.start, b.start))
	})
	slices.SortStableFunc(p.states, func(a, b state) int { return cmp.Compare(a.start, b.start) })
}

func (p *partition) tally(r *Report) {
	for i := range p.sends {
		switch s := &p.sends[i]; s.outcome {
		case history.Info:
			r.Unknown++
		case history.Fail:
			r.Failed++
		case history.OK:
			r.Acked++
			switch {
			case s.end <= r.Window.From || r.Window == Window{}:
				r.Before++
			case s.end > r.Window.To:
				r.After++
			default:
				r.During++
			}
		}
	}
	r.Polled += len(p.records)
	r.Sampled += len(p.states)
}
