package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ConsumeConfig is one run of reading a topic from its start, as fast as it
// goes. Of Target, Producers is how many clients fill a temporary topic.
type ConsumeConfig struct {
	Target

	// Records is how many a temporary topic is filled with. An existing topic is
	// read up to where it ended when the run began.
	//
	// The default is 1,000,000.
	Records int64

	// Consumers is how many clients share the partitions, in no group.
	//
	// The default is 1.
	Consumers int

	// Compression is what a temporary topic is filled with: none, gzip, snappy,
	// lz4 or zstd.
	//
	// The default is snappy, as the client's.
	Compression string

	Fetch Fetching
}

func (c ConsumeConfig) withDefaults() ConsumeConfig {
	fill := c.filling().withDefaults()
	c.Target, c.Records, c.Compression = fill.Target, fill.Records, fill.Compression
	if c.Consumers == 0 {
		c.Consumers = 1
	}
	c.Fetch = c.Fetch.withDefaults()
	return c
}

// filling is how a temporary topic comes by its records.
func (c ConsumeConfig) filling() ProduceConfig {
	return ProduceConfig{Target: c.Target, Arm: AcksAllIdempotent, Records: c.Records, WarmupRecords: -1, Compression: c.Compression}
}

func (c ConsumeConfig) validate() error {
	if c.Consumers < 0 || c.Consumers > maxProducers {
		return fmt.Errorf("%w: %d consumers: want 1 to %d", ErrConfig, c.Consumers, maxProducers)
	}
	if err := c.filling().validate(); err != nil {
		return err
	}
	return c.Fetch.validate()
}

// ConsumeReport is what RunConsume found.
type ConsumeReport struct {
	Started     time.Time       `json:"started"`
	Interrupted bool            `json:"interrupted"`
	Settings    ConsumeSettings `json:"settings"`
	// Expected is how many offsets lay between start and end. Not each has a
	// record in a topic that is compacted or has transactions.
	Expected int64 `json:"expected"`
	Records  int64 `json:"records"`
	// Bytes are of keys and values, as the consumers saw them: decompressed.
	Bytes int64 `json:"bytes"`
	// Millis is from opening the consumers to the last record.
	Millis float64 `json:"ms"`
	// FirstMillis is from opening them to the first record; nil without one.
	FirstMillis      *float64 `json:"first_record_ms"`
	RecordsPerSecond float64  `json:"records_per_second"`
	// MBPerSecond is Bytes in 1,000,000.
	MBPerSecond float64 `json:"mb_per_second"`
	// Seconds are counts of each second since the consumers were opened; the last
	// one is no whole one.
	Seconds []Second `json:"seconds"`
	// Missing counts sequence numbers that earlier runs of this tool left out on
	// an existing topic: failed, deleted since, or lost. Nil where ledgers say
	// which, or nothing was verified.
	Missing      *int64        `json:"missing"`
	Verification *Verification `json:"verification"` // nil: not asked for
	Environment  Environment   `json:"environment"`
	Warnings     []string      `json:"warnings"`
}

// ConsumeSettings are how the topic was read, and filled before.
type ConsumeSettings struct {
	Consumers     int      `json:"consumers"`
	Fetch         Fetching `json:"fetch"`
	Filled        bool     `json:"filled"` // by this run, with the following
	FilledRecords int64    `json:"filled_records"`
	RecordBytes   int      `json:"record_bytes"`
	Producers     int      `json:"producers"`
	Compression   string   `json:"compression"`
}

// Second is what was acked or read in one second.
type Second struct {
	Millis  int64 `json:"ms"` // its start, since the load or the reading began
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
}

// RunConsume fills a topic, unless there is one to use, and reads it. Cancelling
// ctx and the error beside a report mean the same as with Run.
func RunConsume(ctx context.Context, c ConsumeConfig) (*ConsumeReport, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	opts, err := c.filling().withDefaults().options()
	if err != nil {
		return nil, err
	}
	return onTarget(ctx, c.Target, func(t *target, m *monitor) (*ConsumeReport, error) {
		return t.consume(ctx, c, opts, m)
	})
}

func (t *target) consume(ctx context.Context, c ConsumeConfig, filling []kgo.Opt, m *monitor) (*ConsumeReport, error) {
	report := &ConsumeReport{Settings: c.settings(t.temporary), Warnings: []string{}}
	if t.temporary {
		if err := t.fill(ctx, c, filling, m); err != nil {
			return nil, err
		}
	}
	stretch, err := t.stretch(ctx)
	if err != nil {
		return nil, err
	}
	report.Environment = t.describe(ctx)
	report.Expected = stretch.length()
	m.enter(PhaseMeasure, 0)
	report.Started = time.Now().UTC()
	beside := t.observe(ctx)
	reading, err := t.readAll(ctx, c, stretch)
	beside.end()
	if err != nil {
		return nil, err
	}
	report.measured(reading)
	t.describeEnd(ctx, &report.Environment, beside)
	report.Interrupted = ctx.Err() != nil
	if !c.SkipVerify {
		m.enter(PhaseVerify, 0)
		report.verify(t, reading)
	}
	report.Warnings = append(report.Warnings, t.warnings...)
	return report, nil
}

// fill produces what is to be read.
func (t *target) fill(ctx context.Context, c ConsumeConfig, opts []kgo.Opt, m *monitor) error {
	m.enter(PhaseFill, 0)
	l := &lane{arm: AcksAllIdempotent}
	defer l.close()
	for range c.Producers {
		p, err := t.newProducer(l.arm, 0, opts...)
		if err != nil {
			return err
		}
		l.producers = append(l.producers, p)
	}
	failed := int64(0)
	for _, rec := range l.flood(ctx, c.Records, m) {
		failed += rec.tally().Failed
	}
	if failed > 0 {
		t.warn("%d of %d records failed when the topic was filled", failed, c.Records)
	}
	return nil
}

func (c ConsumeConfig) settings(filled bool) ConsumeSettings {
	s := ConsumeSettings{Consumers: c.Consumers, Fetch: c.Fetch, Filled: filled}
	if filled {
		s.FilledRecords, s.RecordBytes, s.Producers, s.Compression = c.Records, c.RecordBytes, c.Producers, c.Compression
	}
	return s
}

func (r *ConsumeReport) measured(read *reading) {
	r.Records, r.Bytes, r.Seconds = read.records, read.bytes, read.seconds
	if r.Seconds == nil {
		r.Seconds = []Second{}
	}
	r.Millis = round(read.took.Seconds() * 1000)
	if read.records == 0 {
		return
	}
	first := round(read.first.Seconds() * 1000)
	r.FirstMillis = &first
	r.RecordsPerSecond = round(float64(read.records) / read.took.Seconds())
	r.MBPerSecond = round(float64(read.bytes) / read.took.Seconds() / 1e6)
}

// verify holds what was read against the ledgers of the run that filled the
// topic, or against itself where others did.
func (r *ConsumeReport) verify(t *target, read *reading) {
	if t.temporary {
		r.Verification = t.hold(func(v *verifier) error {
			for _, one := range read.sights {
				one.show(v)
			}
			return read.fault
		})
		return
	}
	s := newSurvey()
	for _, one := range read.sights {
		one.each(s.look)
	}
	v := s.result(read.sights)
	v.Complete = read.fault == nil
	if read.fault != nil {
		v.Reason = read.fault.Error()
	}
	v.OK = v.Complete && !v.broken()
	missing := s.missing()
	r.Missing, r.Verification = &missing, v
	if missing > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d records of earlier runs are not there: failed when they were produced, deleted since, or lost", missing))
	}
	if v.Foreign > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d records were not written by this tool: nothing is known of them", v.Foreign))
	}
}
