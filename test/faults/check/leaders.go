package check

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/test/faults/history"
)

// leaders checks C7: what brokers said of the partition, in real time.
func (c *checker) leaders() {
	states := make([]*state, len(c.states))
	for i := range c.states {
		states[i] = &c.states[i]
	}
	led := slices.DeleteFunc(slices.Clone(states), func(s *state) bool { return !s.leads() })
	c.regressions(RegressedHighWatermark, led, func(s *state) int64 { return s.highWatermark })
	c.regressions(RegressedLogStart, led, func(s *state) int64 { return s.LogStart })
	c.epochs(states)
	c.oneLeader(states)
	for _, s := range states {
		c.insideReplicas(s)
	}
	c.underMinISR(led)
}

func (s *state) span() Window { return Window{s.start, s.end} }

// regressions flags a leader that names less than what a leader of its epoch
// or an earlier one had named before. A deposed leader that does not know it
// yet may name less: its epoch is older.
func (c *checker) regressions(class Class, led []*state, of func(*state) int64) {
	var known staircase
	inRealTime(led, (*state).span, func(s *state) {
		known.add(s, of(s))
	}, func(s *state) {
		before, was := known.best(s.epoch)
		if now := of(s); before != nil && now >= 0 && now < was {
			c.flag(class, now, nil, "broker %d in epoch %d names it; broker %d in epoch %d had named %d", s.node, s.epoch, before.node, before.epoch, was)
		}
	})
}

// staircase is the highest offset named in each epoch or an earlier one: steps
// ascend in both.
type staircase struct {
	steps   []*state
	offsets []int64
}

func (k *staircase) add(s *state, offset int64) {
	if _, best := k.best(s.epoch); offset <= best {
		return
	}
	at := k.after(s.epoch - 1)
	end := at
	for end < len(k.steps) && k.offsets[end] <= offset {
		end++
	}
	k.steps = slices.Replace(k.steps, at, end, s)
	k.offsets = slices.Replace(k.offsets, at, end, offset)
}

func (k *staircase) best(epoch int32) (*state, int64) {
	at := k.after(epoch)
	if at == 0 {
		return nil, -1
	}
	return k.steps[at-1], k.offsets[at-1]
}

// after is the position of the first step above an epoch.
func (k *staircase) after(epoch int32) int {
	at, _ := slices.BinarySearchFunc(k.steps, epoch+1, func(s *state, e int32) int { return int(s.epoch) - int(e) })
	return at
}

// epochs flags a broker that went back to an older epoch. A broker may answer
// different requests from different places, so each sampler stands for itself.
func (c *checker) epochs(states []*state) {
	type source struct{ client, node int32 }
	known := map[source]int32{}
	inRealTime(states, (*state).span, func(s *state) {
		key := source{s.client, s.node}
		known[key] = max(known[key], s.epoch)
	}, func(s *state) {
		if before := known[source{s.client, s.node}]; s.epoch >= 0 && s.epoch < before {
			c.flag(RegressedEpoch, -1, nil, "broker %d names epoch %d, and had named %d", s.node, s.epoch, before)
		}
	})
}

// oneLeader flags an epoch with two leaders: by what brokers said, and by what
// they acknowledged.
func (c *checker) oneLeader(states []*state) {
	leaders := map[int32]int32{}
	claim := func(epoch, node int32, offset int64, how string) {
		switch other, ok := leaders[epoch]; {
		case epoch < 0 || node < 0:
		case !ok:
			leaders[epoch] = node
		case other != node:
			c.flag(SplitBrain, offset, nil, "brokers %d and %d both lead in epoch %d: the second %s", other, node, epoch, how)
		}
	}
	for _, s := range states {
		claim(s.epoch, s.Leader, -1, "by what a broker said")
	}
	for i := range c.sends {
		// The retry of an idempotent producer may be acknowledged by a later
		// leader than the one that wrote the record.
		if s := &c.sends[i]; s.acked() && s.guarantee != history.Idempotent {
			claim(c.epochAt(s), s.node, s.offset, "acknowledged")
		}
	}
}

// epochAt is the epoch in which an acknowledged record was written.
func (c *checker) epochAt(s *send) int32 {
	i, ok := c.log.find(s.offset)
	if !ok || c.log.values[i] != s.value {
		return history.Unknown
	}
	return c.log.epochs[i]
}

func (c *checker) insideReplicas(s *state) {
	if s.Replicas == nil {
		return
	}
	for _, id := range s.ISR {
		if !slices.Contains(s.Replicas, id) {
			c.flag(ISROutsideReplicas, -1, nil, "broker %d is in sync and not among the replicas %v, says broker %d in epoch %d", id, s.Replicas, s.node, s.epoch)
		}
	}
}

// tenure is a time in which one leader's in-sync set did not change.
type tenure struct {
	first, last *state
}

// underMinISR flags a send that began, was acknowledged, and was followed by
// another one in its epoch, while the leader of the epoch had too few in-sync
// replicas all the time. The one that followed proves that the leader was not
// deposed: a successor would not have it.
func (c *checker) underMinISR(led []*state) {
	tenures := c.tenures(led)
	if len(tenures) == 0 {
		return
	}
	lastStart := map[int32]time.Duration{} // of sends written in the epoch
	for i := range c.sends {
		if s := &c.sends[i]; s.acked() {
			epoch := c.epochAt(s)
			lastStart[epoch] = max(lastStart[epoch], s.start)
		}
	}
	for i := range c.sends {
		s := &c.sends[i]
		if !s.acked() {
			continue
		}
		epoch := c.epochAt(s)
		for _, t := range tenures[epoch] {
			if s.start > t.first.end && s.end < t.last.start && s.end < lastStart[epoch] {
				c.flag(UnderMinISRAck, s.offset, []uint64{s.value}, "in sync were %v in epoch %d, min.insync.replicas is %d", t.first.ISR, epoch, c.minISR(t.first))
			}
		}
	}
}

func (c *checker) minISR(s *state) int {
	if c.rules.MinISR > 0 {
		return c.rules.MinISR
	}
	return int(s.MinISR)
}

// tenures returns those with too few in-sync replicas, by epoch.
func (c *checker) tenures(led []*state) map[int32][]tenure {
	type key struct {
		node, epoch int32
		version     string
	}
	found := map[key]tenure{}
	for _, s := range led { // by start
		if s.ISRVersion == "" || s.ISR == nil || len(s.ISR) >= c.minISR(s) {
			continue
		}
		k := key{s.node, s.epoch, s.ISRVersion}
		t, ok := found[k]
		if !ok || s.end < t.first.end {
			t.first = s
		}
		t.last = s
		found[k] = t
	}
	byEpoch := map[int32][]tenure{}
	for k, t := range found {
		byEpoch[k.epoch] = append(byEpoch[k.epoch], t)
	}
	return byEpoch
}
