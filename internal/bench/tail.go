package bench

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeLimit is how long, after the last ack, consumers may take to get what
// was sent.
const consumeLimit = 30 * time.Second

// tail consumes this run's records while they are produced. A nil tail consumes
// nothing. Its methods are called by the goroutine that runs the benchmark, but
// for take.
type tail struct {
	target   *target
	reader   *reader
	passages []*passage // by number of the producer
	sights   sights
	stop     func() // stops the consumer and waits for its end
}

// follow begins to consume what the producers of a lane send.
func (t *target) follow(ctx context.Context, l *lane, fetch Fetching) (*tail, error) {
	r, err := t.newReader(t.starts, fetch.options()...)
	if err != nil {
		return nil, err
	}
	consumer := &tail{target: t, reader: r, passages: make([]*passage, len(t.ledgers)), sights: sights{skip: t.cfg.SkipVerify}}
	for _, p := range l.producers {
		p.passage = newPassage()
		consumer.passages[p.id] = p.passage
	}
	consumer.open(time.Time{}, false) // until there is a block
	l.tail = consumer
	r.take = consumer.take
	consumer.stop = background(ctx, func(ctx context.Context) {
		for ctx.Err() == nil {
			r.poll(ctx)
		}
	})
	return consumer, nil
}

// open starts a block.
func (c *tail) open(start time.Time, fine bool) {
	if c == nil {
		return
	}
	for _, p := range c.passages {
		p.open(start, fine)
	}
}

// take notes one record that has come.
func (c *tail) take(rec *kgo.Record) {
	st, err := parseStamp(rec.Value)
	if err == nil && st.run == c.target.run && int64(st.producer) < int64(len(c.passages)) {
		c.passages[st.producer].arrived(st.sequence, c.reader.came)
	}
	c.sights.keep(rec, st, err)
}

// drain waits until the records of the newest block have been consumed, ends the
// consumer, and returns what was recorded, one recorder a producer.
func (c *tail) drain(ctx context.Context) (consumed, afterAck []*recorder) {
	rest, cancel := grace(ctx, consumeLimit, drainGrace)
	defer cancel()
	for _, p := range c.passages {
		arrived, late := p.recorders()
		arrived.drain(rest, FailureNotConsumed)
		consumed, afterAck = append(consumed, arrived), append(afterAck, late)
	}
	c.stop()
	return consumed, afterAck
}

// verify holds what was consumed under load against the ledgers, and reads on
// from there to the end of the log. The producers must be closed.
func (c *tail) verify(ctx context.Context, m *monitor) *Verification {
	ctx, cancel := grace(ctx, readLimit, readGrace)
	defer cancel()
	return c.target.hold(func(v *verifier) error {
		c.sights.show(v)
		return c.reader.verify(ctx, v, m)
	})
}

func (c *tail) close() {
	c.stop()
	c.reader.client.Close()
}
