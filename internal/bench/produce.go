package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ProduceConfig is one throughput run: as many records as fast as the cluster
// takes them, by default with the settings that the client library ships with.
type ProduceConfig struct {
	Target

	// Records is how many to produce, over all producers.
	//
	// The default is 1,000,000.
	Records int64

	// WarmupRecords go out first and are not measured. Negative means none.
	//
	// The default is a tenth of Records, at most 10,000.
	WarmupRecords int64

	// Arm says which acks to ask for.
	//
	// The default is AcksAllIdempotent, as the client's.
	Arm Arm

	// Linger is how long the client waits for a batch to fill. Negative means
	// none.
	//
	// The default is 10 ms, as the client's.
	Linger time.Duration

	// Compression is none, gzip, snappy, lz4 or zstd. The records are random
	// and do not shrink: a codec costs its time and gains nothing.
	//
	// The default is snappy, as the client's.
	Compression string
}

func (c ProduceConfig) withDefaults() ProduceConfig {
	c.Target = c.Target.withDefaults()
	if c.Records == 0 {
		c.Records = 1_000_000
	}
	if c.WarmupRecords == 0 {
		c.WarmupRecords = min(c.Records/10, 10_000)
	}
	if c.Arm == "" {
		c.Arm = AcksAllIdempotent
	}
	if c.Linger == 0 {
		c.Linger = 10 * time.Millisecond
	}
	if c.Compression == "" {
		c.Compression = "snappy"
	}
	return c
}

func (c ProduceConfig) validate() error {
	if err := c.Target.validate(); err != nil {
		return err
	}
	if c.Records < 0 || c.Records+max(c.WarmupRecords, 0) > maxRecords {
		return fmt.Errorf("%w: %d records: want at most %d", ErrConfig, c.Records, maxRecords)
	}
	_, err := parseArm(string(c.Arm))
	return err
}

// codec returns what ProduceConfig.Compression names.
func codec(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	default:
		return kgo.CompressionCodec{}, fmt.Errorf("%w: unknown compression %q: want none, gzip, snappy, lz4 or zstd", ErrConfig, name)
	}
}

func (c ProduceConfig) options() ([]kgo.Opt, error) {
	compression, err := codec(c.Compression)
	if err != nil {
		return nil, err
	}
	return append(c.Arm.options(),
		kgo.ProducerLinger(max(c.Linger, 0)),
		kgo.ProducerBatchCompression(compression),
		kgo.RecordDeliveryTimeout(2*c.AckTimeout),
	), nil
}

// ProduceReport is what RunProduce found.
type ProduceReport struct {
	Started     time.Time       `json:"started"`
	Interrupted bool            `json:"interrupted"`
	Settings    ProduceSettings `json:"settings"`
	Sent        int64           `json:"sent"`
	Acked       *int64          `json:"acked"` // nil for acks=0
	Errors      int64           `json:"errors"`
	// ErrorsByCode counts the failures by the name of the error.
	ErrorsByCode map[string]int64 `json:"errors_by_code"`
	// Millis is from the first record to the last answer.
	Millis           float64 `json:"ms"`
	RecordsPerSecond float64 `json:"records_per_second"` // acked; for acks=0, sent
	// MBPerSecond is of record values, in 1,000,000 bytes.
	MBPerSecond float64 `json:"mb_per_second"`
	// Seconds are what was acked in each second since the first record; the last
	// one is no whole one.
	Seconds []Second `json:"seconds"`
	// Ack is from handing a record to the client to its ack. The client's own
	// queue is most of it: this is no measure of the cluster's latency.
	Ack          Quantiles     `json:"ack_us"`
	Verification *Verification `json:"verification"` // nil: not asked for
	Environment  Environment   `json:"environment"`
	Warnings     []string      `json:"warnings"`
}

// ProduceSettings are how the load was made.
type ProduceSettings struct {
	Acks             Arm    `json:"acks"`
	Records          int64  `json:"records"`
	WarmupRecords    int64  `json:"warmup_records"`
	RecordBytes      int    `json:"record_bytes"`
	Producers        int    `json:"producers"`
	LingerMicros     int64  `json:"linger_us"`
	Compression      string `json:"compression"`
	Partitioner      string `json:"partitioner"`
	AckTimeoutMillis int64  `json:"ack_timeout_ms"`
}

// RunProduce produces as fast as the cluster takes it. Cancelling ctx and the
// error beside a report mean the same as with Run.
func RunProduce(ctx context.Context, c ProduceConfig) (*ProduceReport, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	return onTarget(ctx, c.Target, func(t *target, m *monitor) (*ProduceReport, error) {
		return t.saturate(ctx, c, opts, m)
	})
}

func (t *target) saturate(ctx context.Context, c ProduceConfig, opts []kgo.Opt, m *monitor) (*ProduceReport, error) {
	l := &lane{arm: c.Arm, total: newRecorder()}
	for range c.Producers {
		p, err := t.newProducer(c.Arm, 0, opts...)
		if err != nil {
			l.close()
			return nil, err
		}
		l.producers = append(l.producers, p)
	}
	report := &ProduceReport{Environment: t.describe(ctx), Settings: c.settings(), Seconds: []Second{}, Warnings: []string{}}
	m.enter(PhaseWarmup, 0)
	l.flood(ctx, max(c.WarmupRecords, 0), m)

	m.enter(PhaseMeasure, 0)
	report.Started = time.Now().UTC()
	beside := t.observe(ctx)
	began := time.Now()
	seconds := meter{began: began}
	for _, rec := range l.flood(ctx, c.Records, m) {
		l.total.merge(rec)
		seconds.merge(rec.meter)
	}
	report.measured(l, c, time.Since(began))
	report.Seconds = append(report.Seconds, seconds.seconds...)
	beside.end()
	l.close()

	report.Verification, report.Interrupted = t.conclude(ctx, m, &report.Environment, beside)
	report.Warnings = append(report.Warnings, t.warnings...)
	return report, nil
}

// flood produces n records over all producers and waits for their answers.
func (l *lane) flood(ctx context.Context, n int64, m *monitor) []*recorder {
	recorders := make([]*recorder, len(l.producers))
	for i := range recorders {
		recorders[i] = newRecorder()
	}
	m.block(l.arm, recorders)
	for i, began := 0, time.Now(); i < len(recorders); i++ {
		recorders[i].meter, recorders[i].size = &meter{began: began}, int64(l.producers[i].size)
	}
	var senders sync.WaitGroup
	for i, p := range l.producers {
		share := n / int64(len(l.producers))
		if int64(i) < n%int64(len(l.producers)) {
			share++
		}
		senders.Go(func() {
			for range share {
				if ctx.Err() != nil {
					return
				}
				p.push(ctx, recorders[i])
			}
		})
	}
	senders.Wait()
	rest, cancel := grace(ctx, drainLimit, drainGrace)
	defer cancel()
	for i, p := range l.producers {
		_ = p.client.Flush(rest) // only to end the linger; drain finds what failed
		recorders[i].drain(rest, FailureAbandoned)
	}
	return recorders
}

func (r *ProduceReport) measured(l *lane, c ProduceConfig, took time.Duration) {
	l.total.mu.Lock()
	defer l.total.mu.Unlock()
	total := l.total
	r.Sent, r.Errors, r.ErrorsByCode = total.offered, total.failed, total.errors
	if l.arm.Acknowledged() {
		r.Acked = &total.acked
	}
	r.Millis = round(took.Seconds() * 1000)
	r.RecordsPerSecond = round(float64(total.acked) / took.Seconds())
	r.MBPerSecond = round(float64(total.acked) * float64(c.RecordBytes) / took.Seconds() / 1e6)
	r.Ack = total.service.quantiles()
	if total.failed > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d of %d records failed", total.failed, total.offered))
	}
}

func (c ProduceConfig) settings() ProduceSettings {
	return ProduceSettings{
		Acks: c.Arm, Records: c.Records, WarmupRecords: max(c.WarmupRecords, 0), RecordBytes: c.RecordBytes,
		Producers: c.Producers, LingerMicros: max(c.Linger, 0).Microseconds(), Compression: c.Compression,
		Partitioner: "client default (sticky)", AckTimeoutMillis: c.AckTimeout.Milliseconds(),
	}
}
