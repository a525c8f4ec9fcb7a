package producer_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run random histories from this seed; 0 picks one")
	runsFlag = flag.Uint64("runs", 300, "number of random histories")
)

// TestRandomProducers lets idempotent clients write through a lossy network to a
// partition that changes its leader: requests and answers get lost, whatever is
// unanswered is sent again, in order, as Kafka's clients do. Every batch must be
// in the log exactly once and in order, every answer must give its true offset,
// and no client may be told that it is out of order.
func TestRandomProducers(t *testing.T) {
	t.Parallel()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	for run := range *runsFlag {
		p := newPartition(rand.New(rand.NewPCG(seed, run)))
		for step := range 400 {
			if err := p.step(); err != nil {
				t.Fatalf("-seed %d: run %d step %d: %v", seed, run, step, err)
			}
		}
		if err := p.check(); err != nil {
			t.Fatalf("-seed %d: run %d: %v", seed, run, err)
		}
	}
}

// partition is a log, the committed part of which survives everything.
type partition struct {
	r       *rand.Rand
	state   *producer.State
	log     []record.Batch
	end     int64
	clients []*client
}

// client is one idempotent producer with up to five batches in flight.
type client struct {
	id       int64
	epoch    int16
	next     int32          // sequence of its next new batch
	inFlight []record.Batch // not answered yet, oldest first
	sent     []record.Batch // all it ever made, in order
}

func newPartition(r *rand.Rand) *partition {
	p := &partition{r: r, state: producer.New()}
	for id := range int64(3) {
		c := &client{id: id, epoch: int16(r.IntN(3))}
		if r.IntN(2) == 0 {
			c.next = math.MaxInt32 - int32(r.IntN(40)) // it is about to wrap
		}
		p.clients = append(p.clients, c)
	}
	return p
}

func (p *partition) step() error {
	c := p.clients[p.r.IntN(len(p.clients))]
	switch k := p.r.IntN(20); {
	case k < 9:
		if len(c.inFlight) < 5 {
			c.produce(1 + p.r.IntN(4))
		}
		return nil
	case k < 17:
		return p.send(c)
	case k < 18:
		return p.restart()
	case k < 19:
		p.truncate()
		return nil
	default:
		if len(c.inFlight) == 0 { // the client takes a new epoch, as librdkafka does after an error
			c.epoch++
			c.next = 0
		}
		return nil
	}
}

func (c *client) produce(records int) {
	b := batch(0, c.id, c.epoch, c.next, records)
	c.next = int32((int64(b.LastSequence()) + 1) & math.MaxInt32)
	c.inFlight = append(c.inFlight, b)
	c.sent = append(c.sent, b)
}

// send transmits what is in flight, in order; some requests get lost, and then
// those behind them too, as they share a connection; and some answers do.
func (p *partition) send(c *client) error {
	answered := 0
	for i, b := range c.inFlight {
		if p.r.IntN(6) == 0 {
			break
		}
		base, err := p.receive(b)
		if err != nil {
			return fmt.Errorf("producer %d: batch %d in flight: %w", c.id, i, err)
		}
		if got := p.at(base); got == nil || got.BaseSequence() != b.BaseSequence() || got.ProducerID() != c.id || got.ProducerEpoch() != b.ProducerEpoch() {
			return fmt.Errorf("producer %d sequence %d is answered with offset %d, which holds %v", c.id, b.BaseSequence(), base, got)
		}
		if answered == i && p.r.IntN(4) != 0 {
			answered++
		}
	}
	c.inFlight = c.inFlight[answered:]
	return nil
}

// receive is what a leader does.
func (p *partition) receive(b record.Batch) (base int64, err error) {
	v, err := p.state.Check(b)
	if err != nil {
		return 0, err
	}
	if v.Kind == producer.Duplicate {
		return v.Base, nil
	}
	b = append(record.Batch(nil), b...)
	b.Stamp(p.end, 0)
	p.log = append(p.log, b)
	p.end = b.NextOffset()
	p.state.Update(b, now)
	return b.BaseOffset(), nil
}

func (p *partition) at(offset int64) record.Batch {
	for _, b := range p.log {
		if b.BaseOffset() == offset {
			return b
		}
	}
	return nil
}

// restart restores a snapshot, or builds the state from the log.
func (p *partition) restart() error {
	before := p.state.Snapshot(p.end)
	if p.r.IntN(2) == 0 {
		s, end, err := producer.Restore(before)
		if err != nil || end != p.end {
			return fmt.Errorf("restored up to %d of %d: %w", end, p.end, err)
		}
		p.state = s
	} else {
		p.rebuild()
	}
	if after := p.state.Snapshot(p.end); string(after) != string(before) {
		return fmt.Errorf("state differs after a restart:\n%x, was\n%x", after, before)
	}
	return nil
}

// truncate cuts batches that nobody was told of, as a change of leader may.
func (p *partition) truncate() {
	for len(p.log) > 0 && p.r.IntN(2) == 0 {
		last := p.log[len(p.log)-1]
		for _, b := range p.clients[last.ProducerID()].inFlight {
			if b.BaseSequence() == last.BaseSequence() && b.ProducerEpoch() == last.ProducerEpoch() {
				p.log = p.log[:len(p.log)-1]
				p.end = last.BaseOffset()
				break
			}
		}
		if p.end == last.NextOffset() {
			break // it was answered, so it is committed
		}
	}
	p.rebuild()
}

func (p *partition) rebuild() {
	p.state = producer.New()
	for _, b := range p.log {
		p.state.Update(b, now)
	}
}

// check compares the log with what the clients made.
func (p *partition) check() error {
	got := map[int64][]record.Batch{}
	for _, b := range p.log {
		got[b.ProducerID()] = append(got[b.ProducerID()], b)
	}
	for _, c := range p.clients {
		answered := len(c.sent) - len(c.inFlight)
		if n := len(got[c.id]); n < answered || n > len(c.sent) {
			return fmt.Errorf("producer %d: %d batches in the log, %d answered, %d sent", c.id, n, answered, len(c.sent))
		}
		for i, b := range got[c.id] {
			if want := c.sent[i]; b.BaseSequence() != want.BaseSequence() || b.ProducerEpoch() != want.ProducerEpoch() {
				return fmt.Errorf("producer %d: batch %d is sequence %d, want %d", c.id, i, b.BaseSequence(), want.BaseSequence())
			}
		}
	}
	return nil
}
