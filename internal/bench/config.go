package bench

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrConfig is the cause of every error about a Config that cannot be run.
var ErrConfig = errors.New("invalid benchmark configuration")

// What every arm of acks-all has in common, beside Config.
const (
	maxInflight = 5           // produce requests per broker, the client's own default with idempotence
	maxRecord   = 64 << 20    // bytes of one record
	maxRecords  = 500_000_000 // records of one run: the ledger takes 16 bytes for each
	minBlocks   = 4           // turns of each arm, when there are several
)

// Target says where records go and how the run is checked: what every kind of
// benchmark shares.
type Target struct {
	// Client holds the options that reach the cluster: seeds, TLS, SASL.
	Client []kgo.Opt

	// Topic is an existing topic to use. It is never deleted, and Partitions,
	// Replicas and TopicConfigs do not apply.
	//
	// The default is a temporary topic.
	Topic string

	// Partitions is the number of partitions of a temporary topic.
	//
	// The default is 6.
	Partitions int32

	// Replicas is the replication factor of a temporary topic.
	//
	// The default is 3, or the number of brokers if there are fewer.
	Replicas int16

	// TopicConfigs are settings of a temporary topic by Kafka name.
	TopicConfigs map[string]string

	// KeepTopic leaves a temporary topic behind.
	KeepTopic bool

	// RecordBytes is the size of a record's value, stamp included.
	//
	// The default is 1,024.
	RecordBytes int

	// AckTimeout is how long one produce request may wait on the broker. A
	// record fails at the latest twice as long after it was due.
	//
	// The default is 10 s.
	AckTimeout time.Duration

	// Producers is how many clients each arm has. They share its rate.
	//
	// The default is 1.
	Producers int

	// SkipVerify leaves out reading back. The report then says nothing about
	// loss.
	SkipVerify bool

	// SampleVerify reads back only a sample of what was written.
	SampleVerify bool

	// Version is the caller's own version, for the report.
	Version string

	// OnProgress is called by one goroutine about every ProgressInterval, and
	// must return soon.
	OnProgress func(Progress)

	// Logger receives state changes.
	//
	// The default discards them.
	Logger *slog.Logger
}

func (t Target) withDefaults() Target {
	if t.Partitions == 0 {
		t.Partitions = 6
	}
	if t.RecordBytes == 0 {
		t.RecordBytes = 1024
	}
	if t.AckTimeout == 0 {
		t.AckTimeout = 10 * time.Second
	}
	if t.Producers == 0 {
		t.Producers = 1
	}
	if t.Logger == nil {
		t.Logger = slog.New(slog.DiscardHandler)
	}
	t.TopicConfigs = maps.Clone(t.TopicConfigs)
	return t
}

func (t Target) validate() error {
	switch {
	case t.RecordBytes < StampBytes || t.RecordBytes > maxRecord:
		return fmt.Errorf("%w: record size %d: want %d (the stamp that is verified) to %d bytes", ErrConfig, t.RecordBytes, StampBytes, maxRecord)
	case t.Partitions < 0 || t.Replicas < 0:
		return fmt.Errorf("%w: %d partitions with %d replicas", ErrConfig, t.Partitions, t.Replicas)
	case t.Producers < 0 || t.Producers > maxProducers:
		return fmt.Errorf("%w: %d producers: want 1 to %d", ErrConfig, t.Producers, maxProducers)
	case t.AckTimeout < time.Millisecond:
		return fmt.Errorf("%w: ack timeout %s", ErrConfig, t.AckTimeout)
	}
	return nil
}

// maxProducers bounds the threads that pacing takes.
const maxProducers = 64

// Config is one run of acks-all. The zero value of a field means its default.
type Config struct {
	Target

	// Arms are the acks settings to compare.
	//
	// The default is all, 1, 0.
	Arms []Arm

	// Rate is how many records per second each arm offers during its turns.
	//
	// The default is 1,000.
	Rate float64

	// Arrival is how records are spaced.
	//
	// The default is Uniform.
	Arrival Arrival

	// Seed makes Poisson arrivals repeatable.
	//
	// The default is a random one, which the report names.
	Seed uint64

	// ClosedLoop replaces the schedule: Concurrency callers each send their
	// next record when the last one is answered. A stalled cluster slows the
	// load down and so hides the stall; the report carries a warning.
	ClosedLoop bool

	// Concurrency is the number of callers in a closed loop.
	//
	// The default is 1.
	Concurrency int

	// Duration is the measured time, shared evenly by the arms.
	//
	// The default is 10 s.
	Duration time.Duration

	// Warmup is the least time before it, shared evenly by the arms, whose
	// records are sent and verified but not measured. It goes on until the median
	// ack times of every arm have settled. Negative means none.
	//
	// The default is 3 s.
	Warmup time.Duration

	// WarmupMax is when it ends, settled or not.
	//
	// The default is 60 s, or Warmup if that is more.
	WarmupMax time.Duration

	// Block is the longest turn an arm has before the next arm's.
	//
	// The default is 5 s. With several arms it is cut so that each has at
	// least four turns.
	Block time.Duration

	// SkipTraces leaves out saying where the time goes.
	SkipTraces bool

	// gate is where a worker meets the others, of whom it is number index; nil
	// for a run of its own.
	gate    *gate
	index   int
	workers int

	// latenessFloor is for tests that are not about the generator, on machines
	// that may be busy: it need not be more punctual than that.
	latenessFloor time.Duration

	// TraceAddrs are HOST:PORT of brokers' HTTP listeners by broker id, for those
	// that cannot be reached where the broker says.
	TraceAddrs map[int32]string

	// KeepIntervals keeps Report.Intervals: about 10 KB for each second.
	KeepIntervals bool

	// Faults are what happens to the cluster while load is measured, and
	// FaultDriver is who does it.
	//
	// The default is nothing.
	Faults      []FaultStep
	FaultDriver FaultDriver

	// FaultsStay leaves faults that no step undoes to somebody else.
	FaultsStay bool

	// MaxBuffered bounds the records of one producer that wait for the
	// cluster. A record that finds it full is shed, which counts as a failure.
	//
	// The default is five seconds of load, at least 10,000.
	MaxBuffered int
}

func (c Config) withDefaults() Config {
	c.Target = c.Target.withDefaults()
	if len(c.Arms) == 0 {
		c.Arms = []Arm{AcksAll, AcksLeader, AcksNone}
	}
	if c.Rate == 0 {
		c.Rate = 1000
	}
	if c.Arrival == "" {
		c.Arrival = Uniform
	}
	if c.Seed == 0 {
		c.Seed = randomID()
	}
	if c.Concurrency == 0 {
		c.Concurrency = 1
	}
	if c.Duration == 0 {
		c.Duration = 10 * time.Second
	}
	if c.Warmup == 0 {
		c.Warmup = 3 * time.Second
	}
	if c.WarmupMax == 0 {
		c.WarmupMax = time.Minute
	}
	c.WarmupMax = max(c.WarmupMax, c.Warmup)
	if c.Block == 0 {
		c.Block = 5 * time.Second
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = max(10_000, int(min(5*c.Rate/float64(c.Producers), math.MaxInt32)))
	}
	return c
}

func (c Config) validate() error {
	if err := c.Target.validate(); err != nil {
		return err
	}
	switch {
	case c.Rate < 0 || c.Rate > 100e6 || math.IsNaN(c.Rate):
		return fmt.Errorf("%w: rate %v records/s", ErrConfig, c.Rate)
	case c.Duration < 0 || c.Block < 0:
		return fmt.Errorf("%w: duration %s in blocks of %s", ErrConfig, c.Duration, c.Block)
	case c.Concurrency < 0 || c.Concurrency > 100_000:
		return fmt.Errorf("%w: concurrency %d", ErrConfig, c.Concurrency)
	case c.MaxBuffered < 0:
		return fmt.Errorf("%w: %d buffered records", ErrConfig, c.MaxBuffered)
	case !c.ClosedLoop && c.Rate*(c.Duration+max(c.WarmupMax, 0)).Seconds() > maxRecords:
		return fmt.Errorf("%w: %v records/s for %s: more than the %d records that one run keeps track of", ErrConfig, c.Rate, c.Duration, maxRecords)
	}
	for _, arm := range c.Arms {
		if _, err := parseArm(string(arm)); err != nil {
			return err
		}
	}
	return c.validateFaults()
}

// plan is how long each arm runs, and in how many turns.
type plan struct {
	block  time.Duration // of one turn
	blocks int           // turns of each arm
}

// turns shares total among the arms: round-robin in blocks, so that what
// happens to the machine meanwhile happens to every arm.
func (c Config) turns(total time.Duration) plan {
	if total <= 0 {
		return plan{}
	}
	each := total / time.Duration(len(c.Arms))
	if len(c.Arms) == 1 {
		return plan{block: each, blocks: 1} // nobody to take turns with
	}
	blocks := max(int((each+c.Block-1)/c.Block), minBlocks)
	return plan{block: each / time.Duration(blocks), blocks: blocks}
}
