package check

import "github.com/chronik-project/chronik/test/faults/history"

// reads checks C6: what each consumer was handed, in its order.
func (c *checker) reads() {
	var session reader
	for i := range c.polls {
		p := &c.polls[i]
		if i == 0 || c.polls[i-1].client != p.client {
			session = reader{checker: c, client: p.client, last: -1}
			session.expect(p)
		}
		session.read(p, c.records[p.from:p.to])
	}
}

// reader is one consumer session of a partition.
type reader struct {
	*checker
	client int32
	last   int  // index of the last record handed out; -1 before the first
	placed bool // last is known
}

// expect places a session before the first record that it asked for.
func (r *reader) expect(p *poll) {
	if p.expected >= 0 {
		at, _ := r.log.find(p.expected)
		r.last, r.placed = at-1, true
	}
}

func (r *reader) read(p *poll, records []history.Record) {
	for n, record := range records {
		index, _ := r.log.find(record.Offset)
		nonmonotonic, skip := NonmonotonicPoll, PollSkip
		if n > 0 {
			nonmonotonic, skip = IntNonmonotonicPoll, IntPollSkip
		}
		switch {
		case !r.placed:
		case index <= r.last:
			r.flag(nonmonotonic, record.Offset, []uint64{record.Value}, "consumer %d had read offset %d before", r.client, r.log.offsets[r.last])
		case r.kept(r.last+1, index):
			r.flag(skip, record.Offset, []uint64{record.Value}, "consumer %d did not get offset %d", r.client, r.log.offsets[index-1])
		}
		if p.highWatermark >= 0 && record.Offset >= p.highWatermark {
			r.flag(DirtyRead, record.Offset, []uint64{record.Value}, "consumer %d got it with high watermark %d", r.client, p.highWatermark)
		}
		r.last, r.placed = index, true
	}
}

// kept says that of the records between two indexes at least one, the last,
// can not have been deleted.
func (r *reader) kept(from, to int) bool {
	return to > from && r.log.offsets[to-1] >= r.log.start
}
