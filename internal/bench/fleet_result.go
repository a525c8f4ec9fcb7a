package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// workPlan is a worker's share of a run of acks-all.
type workPlan struct {
	Topic       string        `json:"topic"`
	Index       int           `json:"index"` // of this worker, of Workers
	Workers     int           `json:"workers"`
	Arms        []Arm         `json:"arms"`
	Rate        float64       `json:"rate"` // of this worker
	Arrival     Arrival       `json:"arrival"`
	Seed        uint64        `json:"seed"`
	Duration    time.Duration `json:"duration_ns"`
	Warmup      time.Duration `json:"warmup_ns"`
	WarmupMax   time.Duration `json:"warmup_max_ns"`
	Block       time.Duration `json:"block_ns"`
	RecordBytes int           `json:"record_bytes"`
	AckTimeout  time.Duration `json:"ack_timeout_ns"`
	Producers   int           `json:"producers"`
	MaxBuffered int           `json:"max_buffered"`
	SkipVerify  bool          `json:"skip_verify"`
}

// planFor is the share of one of n workers: an even part of the rate, as a
// schedule that interleaves with the others'.
func (c Config) planFor(topic string, i, n int) *workPlan {
	return &workPlan{
		Topic: topic, Index: i, Workers: n, Arms: c.Arms, Rate: c.Rate / float64(n), Arrival: c.Arrival,
		Seed: c.Seed + uint64(i*maxProducers), Duration: c.Duration, Warmup: c.Warmup, WarmupMax: c.WarmupMax, Block: c.Block,
		RecordBytes: c.RecordBytes, AckTimeout: c.AckTimeout, Producers: c.Producers, MaxBuffered: c.MaxBuffered, SkipVerify: c.SkipVerify,
	}
}

// phase is where between two records of one of its producers a worker has its
// own, so that those of all workers are spaced evenly.
func (c Config) phase() float64 {
	if c.workers < 2 {
		return 0
	}
	return float64(c.index) / float64(c.workers)
}

// config is what a worker runs, on the cluster that it was started with.
func (p workPlan) config(target Target) Config {
	target.Topic, target.RecordBytes, target.AckTimeout = p.Topic, p.RecordBytes, p.AckTimeout
	target.Producers, target.SkipVerify = p.Producers, p.SkipVerify
	return Config{
		Target: target, Arms: p.Arms, Rate: p.Rate, Arrival: p.Arrival, Seed: p.Seed, Duration: p.Duration,
		Warmup: p.Warmup, WarmupMax: p.WarmupMax, Block: p.Block, MaxBuffered: p.MaxBuffered,
		SkipTraces: true, KeepIntervals: true, index: p.Index, workers: p.Workers,
	}
}

// workResult is what a worker found. Histograms are V2, compressed: they are
// merged, which percentiles cannot be.
type workResult struct {
	Report    *Report        `json:"report"`
	Arms      []armResult    `json:"arms"`
	Intervals []intervalWire `json:"intervals"`
}

// armResult is one arm's totals.
type armResult struct {
	Histograms [4]histogramWire `json:"histograms"` // response, service, failure, lateness
	Measured   time.Duration    `json:"measured_ns"`
	Answered   time.Duration    `json:"answered_ns"`
	Pacing     Pacing           `json:"pacing"`
}

type histogramWire struct {
	HDR      []byte `json:"hdr"`
	Overflow int64  `json:"overflow,omitempty"`
}

type intervalWire struct {
	Acks       Arm       `json:"acks"`
	Start, End int64     // of the worker's own clock
	HDR        [3][]byte `json:"hdr"` // by Kinds
}

func encodeHistogram(h *histogram) (histogramWire, error) {
	p, err := h.hdr.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	return histogramWire{HDR: p, Overflow: h.overflow}, err
}

// decodeInto merges what a worker measured. Other bounds than ours would lose
// samples, and are refused.
func (w histogramWire) decodeInto(h *histogram) error {
	from, err := hdrhistogram.Decode(w.HDR)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if dropped := h.hdr.Merge(from); dropped > 0 {
		return fmt.Errorf("%w: %d times are longer than %s", ErrProtocol, dropped, histogramMax)
	}
	h.overflow += w.Overflow
	return nil
}

func (r *recorder) histograms() [4]*histogram {
	return [4]*histogram{r.response, r.service, r.failure, r.lateness}
}
