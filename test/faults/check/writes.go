package check

import (
	"slices"

	"github.com/chronik-project/chronik/test/faults/history"
)

// writes checks C1 to C5: what the producers were told against what stands in
// the log.
func (c *checker) writes() {
	c.consistent()
	c.present()
	c.passedOver()
	c.values()
	c.sendOrder()
	c.realTimeOrder()
}

// consistent checks C3: one value at each offset, whoever looks, and whenever.
func (c *checker) consistent() {
	for i, others := range c.log.others {
		values := []uint64{c.log.values[i]}
		for _, s := range others {
			values = append(values, s.value)
		}
		c.flag(InconsistentOffsets, c.log.offsets[i], values, "known from %s and %s",
			sourceText(c.log.sources[i]), sourceText(others[0].sources))
	}
}

func sourceText(sources uint8) string {
	switch {
	case sources&fromAck != 0:
		return "an acknowledgement"
	case sources&fromPoll != 0:
		return "a poll"
	default:
		return "a replica"
	}
}

// present checks C1, and C2's "once seen it stays": what was acknowledged or
// polled stands in every replica.
func (c *checker) present() {
	if len(c.final) == 0 {
		return
	}
	var end int64
	for _, r := range c.final {
		end = max(end, r.HighWatermark)
	}
	for s := range c.log.all() {
		if s.promised() && s.offset >= end {
			c.flag(LostWrite, s.offset, []uint64{s.value}, "known from %s; all replicas end at %d", sourceText(s.sources), end)
		}
	}
	for _, r := range c.final {
		c.presentIn(r)
	}
}

// presentIn goes through the version order and one replica side by side. What
// lies above the replica's high watermark is lost everywhere, or the replica
// lags.
func (c *checker) presentIn(r *history.Replica) {
	start := int64(0)
	if c.rules.Retention {
		start = r.LogStart
	}
	next := 0
	for s := range c.log.all() {
		for next < len(r.Records) && r.Records[next].Offset < s.offset {
			next++
		}
		held := next < len(r.Records) && r.Records[next].Offset == s.offset
		switch {
		case !s.promised() || s.offset < start || s.offset >= r.HighWatermark:
		case !held:
			c.flag(LostWrite, s.offset, []uint64{s.value}, "known from %s; replica %d holds nothing there", sourceText(s.sources), r.Node)
		case r.Records[next].Value != s.value:
			c.flag(LostWrite, s.offset, []uint64{s.value}, "known from %s; replica %d holds %s there", sourceText(s.sources), r.Node, valueText(r.Records[next].Value))
		}
	}
}

// passedOver is Jepsen's lost-write: somebody polled later records, and nobody
// this one. Polls that read to the end leave nothing unseen.
func (c *checker) passedOver() {
	first, last := -1, -1
	for i, source := range c.log.sources {
		if source&fromPoll != 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	for i := range c.log.offsets {
		value := c.log.values[i]
		if c.log.sources[i]&(fromAck|fromPoll) != fromAck || c.log.offsets[i] < c.log.start || c.log.polled(value) {
			continue
		}
		c.unseen++
		switch {
		case first >= 0 && i > first && i < last:
			c.flag(LostWrite, c.log.offsets[i], []uint64{value}, "acknowledged; consumers read on to offset %d without it", c.log.offsets[last])
		case c.rules.CaughtUp:
			c.flag(Unseen, c.log.offsets[i], []uint64{value}, "acknowledged, and no consumer ever got it")
		}
	}
}

// values checks C2, C4 and the rest of C3: each value that is read was sent,
// not surely refused, and stands as often as it may.
func (c *checker) values() {
	next := 0
	for from := 0; from < len(c.log.byValue); {
		value := c.log.byValue[from].value
		to := from
		for to < len(c.log.byValue) && c.log.byValue[to].value == value {
			to++
		}
		for next < len(c.sends) && c.sends[next].value < value {
			next++
		}
		spots := c.log.byValue[from:to]
		switch {
		case value == history.Garbled:
			for _, s := range spots {
				c.flag(CorruptRecord, c.log.offsets[s.index], nil, "the record is not what any client wrote")
			}
		case next == len(c.sends) || c.sends[next].value != value:
			c.flag(Phantom, c.log.offsets[spots[0].index], []uint64{value}, "nobody sent it")
		default:
			c.copies(&c.sends[next], spots)
		}
		from = to
	}
}

func (c *checker) copies(s *send, spots []spot) {
	first := c.log.offsets[spots[0].index]
	if s.outcome == history.Fail {
		c.flag(AbortedRead, first, []uint64{s.value}, "the send failed for certain, and the record is there")
	}
	allowed := int(s.attempts)
	switch {
	case s.guarantee == history.Idempotent:
		allowed = 1
	case allowed == 0:
		return
	}
	if len(spots) > allowed {
		c.flag(Duplicate, first, []uint64{s.value}, "stands at %d offsets, next at %d; sent at most %d times", len(spots), c.log.offsets[spots[1].index], allowed)
	}
}

// sendOrder checks C5 within each producer. c.sends is in the order of values,
// which is that of sending for each client.
func (c *checker) sendOrder() {
	var before *send // with the highest place of the client so far
	highest := -1
	for i := range c.sends {
		s := &c.sends[i]
		if before != nil && history.ClientOf(before.value) != history.ClientOf(s.value) {
			before, highest = nil, -1
		}
		first, last, ok := c.stands(s)
		if !ok {
			continue
		}
		if before != nil && last < highest {
			c.flag(NonmonotonicSend, c.log.offsets[last], []uint64{before.value, s.value},
				"sent later by the same producer than the record at offset %d", c.log.offsets[highest])
		}
		if first > highest {
			before, highest = s, first
		}
	}
}

// stands returns the first and the last index of a record for which its
// producer claims an order.
func (c *checker) stands(s *send) (first, last int, ok bool) {
	switch s.guarantee {
	case history.Idempotent:
		spots := c.log.spots(s.value)
		if len(spots) == 0 {
			return 0, 0, false
		}
		return spots[0].index, spots[len(spots)-1].index, true
	case history.Ordered:
		// A copy that a retry left behind may stand anywhere; the acknowledged
		// one may not.
		if !s.acked() {
			return 0, 0, false
		}
		i, _ := c.log.find(s.offset)
		return i, i, true
	default:
		return 0, 0, false
	}
}

// realTimeOrder checks C5 across all producers: what is sent after an
// acknowledgement stands behind the record that was acknowledged.
func (c *checker) realTimeOrder() {
	var acked []*send
	for i := range c.sends {
		if c.sends[i].acked() {
			acked = append(acked, &c.sends[i])
		}
	}
	var highest *send
	inRealTime(acked, (*send).span, func(s *send) {
		if highest == nil || s.offset > highest.offset {
			highest = s
		}
	}, func(s *send) {
		if highest != nil && s.offset < highest.offset {
			c.flag(NonmonotonicSend, s.offset, []uint64{highest.value, s.value},
				"sent after offset %d had been acknowledged", highest.offset)
		}
	})
}

func (s *send) span() Window { return Window{s.start, s.end} }

// inRealTime calls judge for each item, in the order of their starts, after it
// has called absorb for every item that ended before that start.
func inRealTime[T any](items []T, span func(T) Window, absorb, judge func(T)) {
	byStart, byEnd := slices.Clone(items), slices.Clone(items)
	slices.SortStableFunc(byStart, func(a, b T) int { return int(min(1, max(-1, span(a).From-span(b).From))) })
	slices.SortStableFunc(byEnd, func(a, b T) int { return int(min(1, max(-1, span(a).To-span(b).To))) })
	ended := 0
	for _, item := range byStart {
		for ended < len(byEnd) && span(byEnd[ended]).To < span(item).From {
			absorb(byEnd[ended])
			ended++
		}
		judge(item)
	}
}
