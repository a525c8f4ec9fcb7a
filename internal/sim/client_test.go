package sim

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
)

// errRetry is every answer that lets a client try again.
var errRetry = errors.New("not here, not now")

// maxInFlight is what an idempotent client allows itself.
const maxInFlight = 5

// client is an idempotent producer of one partition.
type client struct {
	w          *world
	tp         cluster.TopicPartition
	producerID int64
	epoch      int16
	next       int32     // sequence
	inFlight   []request // not acknowledged, oldest first
}

// request is a batch on its way.
type request struct {
	producerID int64
	epoch      int16
	sequence   int32
	value      int64
}

func (q request) batch() record.Batch {
	var value [8]byte
	binary.BigEndian.PutUint64(value[:], uint64(q.value))
	return record.NewBuilder(0).Append(nil, value[:], nil, 0).Producer(q.producerID, q.epoch, q.sequence).Bytes()
}

// act sends something new, or something again, to whom the client takes for
// the leader.
func (c *client) act() {
	w := c.w
	if len(c.inFlight) < maxInFlight && w.r.IntN(2) == 0 && !w.calm {
		w.values++
		c.inFlight = append(c.inFlight, request{c.producerID, c.epoch, c.next, w.values})
		c.next++
	}
	if len(c.inFlight) == 0 {
		return
	}
	i := len(c.inFlight) - 1
	if w.r.IntN(2) == 0 {
		i = w.r.IntN(len(c.inFlight))
	}
	for _, b := range w.brokers {
		r := b.replica(c.tp)
		if !b.up || r == nil || r.lead == nil || w.r.IntN(4) == 0 && !w.calm {
			continue
		}
		if w.r.IntN(8) == 0 && !w.calm {
			w.send(&message{kind: msgProduce, to: b.id, tp: c.tp, request: c.inFlight[i]})
			return
		}
		q := c.inFlight[i]
		c.answered(q, r.produce(q))
		return
	}
}

// answered gives everything up when the oldest batch cannot be written any
// more, as clients do: they begin a new epoch.
func (c *client) answered(q request, err error) {
	if errors.Is(err, producer.ErrOutOfOrderSequence) && len(c.inFlight) > 0 && c.inFlight[0] == q {
		c.epoch++
		c.next, c.inFlight = 0, nil
	}
}

// acked forgets what was acknowledged, and counts it unless it was before.
func (c *client) acked(value int64) (first int) {
	before := len(c.inFlight)
	c.inFlight = slices.DeleteFunc(c.inFlight, func(q request) bool { return q.value == value })
	return before - len(c.inFlight)
}

// fetch reads what consumers may see on any replica, leading or not (R14).
func (b *broker) fetch() {
	if !b.up {
		return
	}
	for _, r := range b.replicas {
		to := r.hw
		if b.w.is(ruleR14Fetch) {
			to = r.end()
		}
		b.w.oracles[r.tp].consume(r, to)
	}
}
