package bench

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/trace"
)

// stage is a part of a record's way. The stages of a record add up to its
// response time, to the nanosecond.
type stage int

const (
	stageClient   stage = iota // due to the request's write, and response to the callback: this process
	stageNet                   // between the two sockets, there and back
	stageQueue                 // received, to being taken up by its partition
	stageAppend                // taken up, to being in the log's memory
	stageFsync                 // the rest until the commit, where the leader's own disk was last
	stageFollower              // the same, where a follower was last, or the in-sync set changed
	stageRespond               // committed, to the response's write
	stageCount
)

// hop is a part of stageFollower, for the follower that was last. The hops of
// a record add up to its stageFollower.
type hop int

const (
	hopLink  hop = iota // appended, to the frame's write
	hopNet              // frame and acknowledgement on the network, and whatever no one accounts for
	hopQueue            // the follower's wait for its round to begin, as it told
	hopFsync            // the round's write and sync, as it told
	hopOther            // in-sync set changed: nobody's path
	hopCount
)

// Who was last, beside brokers.
const (
	lastUnknown int32 = -2 // no broker traces
	lastChange  int32 = -1 // the in-sync set changed
)

// way is where one record's response time went.
type way struct {
	total  time.Duration
	stages [stageCount]time.Duration
	hops   [hopCount]time.Duration
	leader int32 // broker that answered; lastUnknown without traces
	last   int32 // broker that was last, or one of the above
}

// clientPath explains a record by what the client saw alone: everything beyond
// its socket is "net".
func clientPath(s sample, e exchange) way {
	p := way{total: s.acked.Sub(s.due), leader: lastUnknown, last: lastUnknown}
	p.stages[stageClient] = e.wrote.Sub(s.due) + s.acked.Sub(e.read)
	p.stages[stageNet] = e.read.Sub(e.wrote)
	return p
}

// tracedPath explains a record with the leader's trace of its batch. Only
// differences of one clock are taken: the client's, or the leader's.
func tracedPath(s sample, e exchange, leader int32, t *trace.Produce) way {
	p := clientPath(s, e)
	p.leader, p.last = leader, lastChange
	if t.Last != nil {
		p.last = *t.Last
	}
	p.stages[stageNet] -= time.Duration(t.Written)
	p.stages[stageQueue] = time.Duration(t.Began)
	p.stages[stageAppend] = time.Duration(t.Appended - t.Began)
	p.stages[stageRespond] = time.Duration(t.Written - t.Committed)
	waited := time.Duration(t.Committed - t.Appended)
	if p.last == leader {
		p.stages[stageFsync] = waited
		return p
	}
	p.stages[stageFollower] = waited
	i := slices.IndexFunc(t.Followers, func(f trace.ProduceFollower) bool { return f.Broker == p.last })
	if i < 0 {
		p.hops[hopOther] = waited
		return p
	}
	p.hops = followerHops(t, &t.Followers[i], waited)
	return p
}

// followerHops shares the wait for a follower. What it told of its round is the
// longest wait and the whole sync of all that was in it, so each is cut down to
// what this record waited.
func followerHops(t *trace.Produce, f *trace.ProduceFollower, waited time.Duration) (hops [hopCount]time.Duration) {
	rest := waited
	take := func(h hop, d time.Duration) {
		hops[h] = min(max(d, 0), rest)
		rest -= hops[h]
	}
	if f.Sent != nil {
		take(hopLink, time.Duration(*f.Sent-t.Appended))
	}
	take(hopFsync, time.Duration(f.Fsync))
	take(hopQueue, time.Duration(f.Queue))
	hops[hopNet] = rest
	return hops
}

// joiner explains the records of one arm.
type joiner struct {
	traced bool // broker traces are to be had
	kept   reservoir
	log    stageLog
	acked  int64 // records that were looked at
	recent map[int32][]ledTrace
}

// ledTrace is a trace and the broker that led.
type ledTrace struct {
	leader int32
	*trace.Produce
}

// join explains samples. news are the traces that came since the last call;
// those of the call before are looked at again, since a record may be acked
// here before the broker has noted that it was.
func (j *joiner) join(samples []sample, exchanges []exchange, news []ledTrace) {
	passed := byPartition(exchanges, func(e exchange) (int32, int64) { return e.partition, e.base })
	fresh := byPartition(news, func(t ledTrace) (int32, int64) { return t.Partition, t.BaseOffset })
	for _, s := range samples {
		j.acked++
		e, ok := at(passed[s.partition], s.offset, func(e exchange) int64 { return e.base })
		if !ok {
			e = exchange{wrote: s.sent, read: s.acked} // the socket was not seen, as with TLS
		}
		if !j.traced {
			j.explained(s, clientPath(s, e))
			continue
		}
		for _, known := range []map[int32][]ledTrace{fresh, j.recent} {
			t, ok := at(known[s.partition], s.offset, func(t ledTrace) int64 { return t.BaseOffset })
			if ok && s.offset < t.BaseOffset+int64(t.Count) {
				j.explained(s, tracedPath(s, e, t.leader, t.Produce))
				break
			}
		}
	}
	j.recent = fresh
}

func (j *joiner) explained(s sample, w way) {
	j.kept.add(w)
	j.log.add(s.due, w, j.traced)
}

// byPartition sorts items by partition and offset.
func byPartition[T any](items []T, place func(T) (partition int32, offset int64)) map[int32][]T {
	m := map[int32][]T{}
	for _, x := range items {
		partition, _ := place(x)
		m[partition] = append(m[partition], x)
	}
	for _, list := range m {
		slices.SortStableFunc(list, func(a, b T) int {
			_, x := place(a)
			_, y := place(b)
			return cmp.Compare(x, y)
		})
	}
	return m
}

// at returns the last item whose offset is not beyond the one asked for.
func at[T any](sorted []T, offset int64, base func(T) int64) (item T, ok bool) {
	n, found := slices.BinarySearchFunc(sorted, offset, func(x T, o int64) int { return cmp.Compare(base(x), o) })
	for found && n+1 < len(sorted) && base(sorted[n+1]) == offset {
		n++ // the last of equals: a retry that was answered again
	}
	if !found {
		n--
	}
	if n < 0 {
		return item, false
	}
	return sorted[n], true
}

// maxPaths is how many records of one arm are explained: 14 MiB.
const maxPaths = 1 << 17

// reservoir keeps a uniform random choice of all paths it is shown.
type reservoir struct {
	paths []way
	seen  int64
}

func (r *reservoir) add(p way) {
	r.seen++
	if len(r.paths) < maxPaths {
		r.paths = append(r.paths, p)
	} else if i := rand.Int64N(r.seen); i < maxPaths {
		r.paths[i] = p
	}
}
