package load

import (
	"fmt"
	"time"

	"github.com/chronik-project/chronik/test/faults/history"
)

// Config describes a load. Brokers, Topic, Partitions and History are
// required; so is at least one producer.
type Config struct {
	// Brokers are the addresses of all brokers for clients, by node id.
	Brokers map[int32]string

	// Topic exists, with so many Partitions.
	Topic      string
	Partitions int32

	// History takes everything down.
	History *history.History

	// Idempotent, Ordered and Unordered are how many producers there are of each
	// guarantee, all with acks=all and the retries of a common client library.
	Idempotent, Ordered, Unordered int

	// Direct is how many producers there are without any retry: one request at a
	// time to each partition. Of their records it is known which broker answered,
	// and a refusal is one for certain.
	Direct int

	// Rate is how many records each producer offers in a second, over all
	// partitions, whether or not the earlier ones are answered. A direct producer
	// waits for each answer and offers fewer.
	//
	// The default is 200.
	Rate float64

	// ValueBytes is the size of each record's value.
	//
	// The default is 100, the least is 8.
	ValueBytes int

	// MaxBuffered is how many records of a producer may be unanswered. What is
	// offered beyond fails at once.
	//
	// The default is 10,000.
	MaxBuffered int

	// AckTimeout is how long a broker may take to acknowledge, by the request.
	//
	// The default is 5 s.
	AckTimeout time.Duration

	// DeliveryTimeout is when a producer gives a record up, if it may.
	//
	// The default is 1 minute.
	DeliveryTimeout time.Duration

	// Consumers is how many consumers read all partitions from the start.
	Consumers int

	// ConsumerLife is how long a consumer session lasts before another one takes
	// up where it ended. Zero is for ever.
	ConsumerLife time.Duration

	// SampleEvery is how often each broker is asked how the partitions stand.
	//
	// The default is 250 ms; negative is never.
	SampleEvery time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.Rate == 0 {
		c.Rate = 200
	}
	if c.ValueBytes == 0 {
		c.ValueBytes = 100
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = 10_000
	}
	if c.AckTimeout == 0 {
		c.AckTimeout = 5 * time.Second
	}
	if c.DeliveryTimeout == 0 {
		c.DeliveryTimeout = time.Minute
	}
	if c.SampleEvery == 0 {
		c.SampleEvery = 250 * time.Millisecond
	}
	switch {
	case len(c.Brokers) == 0 || c.Topic == "" || c.Partitions < 1 || c.History == nil:
		return c, fmt.Errorf("load on %d partitions of topic %q at %d brokers: brokers, topic, partitions and a history are required", c.Partitions, c.Topic, len(c.Brokers))
	case c.Idempotent+c.Ordered+c.Unordered+c.Direct < 1:
		return c, fmt.Errorf("load on %s: no producer", c.Topic)
	case c.ValueBytes < valueBytes:
		return c, fmt.Errorf("load on %s: values of %d bytes, want at least %d", c.Topic, c.ValueBytes, valueBytes)
	}
	return c, nil
}

// addresses returns those of all brokers.
func (c *Config) addresses() []string {
	var all []string
	for _, a := range c.Brokers {
		all = append(all, a)
	}
	return all
}
