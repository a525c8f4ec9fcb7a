package dev

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// readTimeout bounds the time without any record while reading back.
const readTimeout = 20 * time.Second

// reading compares what is read with what was written.
type reading struct {
	text     text
	seen     []int    // how often each line was read
	values   [][]byte // what was read of it last
	previous [demoPartitions]int
	read     int
	changed  int
	disorder int
	foreign  int
}

func newReading(t text) *reading {
	r := &reading{text: t, seen: make([]int, len(t.lines)), values: make([][]byte, len(t.lines))}
	for p := range r.previous {
		r.previous[p] = -1
	}
	return r
}

// add takes the next record of a partition.
func (r *reading) add(rec *kgo.Record) {
	r.read++
	if len(rec.Key) != 4 {
		r.foreign++
		return
	}
	number := int(binary.BigEndian.Uint32(rec.Key))
	if number >= len(r.seen) || number%demoPartitions != int(rec.Partition) {
		r.foreign++
		return
	}
	r.seen[number]++
	r.values[number] = rec.Value
	if !bytes.Equal(rec.Value, r.text.lines[number]) {
		r.changed++
	}
	if number < r.previous[rec.Partition] {
		r.disorder++
	}
	r.previous[rec.Partition] = number
}

// conclude fills the report: acked lines must be there once, others may be.
func (r *reading) conclude(acked []bool, report *demoReport) {
	report.ReadBack, report.Reordered, report.Changed = r.read, r.disorder, r.changed+r.foreign
	wrote, got := sha256.New(), sha256.New()
	for i, line := range r.text.lines {
		if acked[i] {
			wrote.Write(line)
			wrote.Write([]byte{'\n'})
		}
		switch {
		case r.seen[i] == 0 && acked[i]:
			report.Lost++
		case r.seen[i] > 1:
			report.Duplicated += r.seen[i] - 1
		}
		if r.seen[i] > 0 && acked[i] {
			got.Write(r.values[i])
			got.Write([]byte{'\n'})
		}
	}
	report.SHA256Acked = hex.EncodeToString(wrote.Sum(nil))
	report.SHA256Read = hex.EncodeToString(got.Sum(nil))
}

// readBack reads every partition up to its high watermark.
func (d *demonstration) readBack(ctx context.Context, text text, acked []bool) error {
	d.next("read everything back and compare")
	began := time.Now()
	ends, err := d.ends(ctx)
	if err != nil {
		return err
	}
	offsets := make(map[int32]kgo.Offset)
	for p, end := range ends {
		if end > 0 {
			offsets[p] = kgo.NewOffset().AtStart()
		}
	}
	consumer, err := d.kafka(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{demoTopic: offsets}))
	if err != nil {
		return err
	}
	defer consumer.Close()
	r := newReading(text)
	if err := r.drain(ctx, consumer, ends); err != nil {
		return err
	}
	r.conclude(acked, &d.report)
	d.say("%s lines read from the surviving brokers in %s", count(r.read), out.FormatDuration(time.Since(began)))
	d.say("acked  sha256 %s", d.report.SHA256Acked)
	d.say("read   sha256 %s", d.report.SHA256Read)
	d.say("lost %d, doubled %d, reordered %d, changed %d", d.report.Lost, d.report.Duplicated, d.report.Reordered, d.report.Changed)
	return nil
}

// drain polls until every partition is at its end.
func (r *reading) drain(ctx context.Context, consumer *kgo.Client, ends map[int32]int64) error {
	at := make(map[int32]int64)
	left := func() bool {
		for p, end := range ends {
			if at[p] < end {
				return true
			}
		}
		return false
	}
	for left() {
		fetches, err := poll(ctx, consumer)
		if err != nil {
			return err
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			r.add(rec)
			at[rec.Partition] = rec.Offset + 1
		})
	}
	return nil
}

func poll(ctx context.Context, consumer *kgo.Client) (kgo.Fetches, error) {
	waiting, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	fetches := consumer.PollFetches(waiting)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if waiting.Err() != nil {
		return nil, fmt.Errorf("read back: no record within %s", readTimeout)
	}
	for _, e := range fetches.Errors() {
		return nil, fmt.Errorf("read back: partition %d: %w", e.Partition, e.Err)
	}
	return fetches, nil
}

// ends returns the high watermark of every partition.
func (d *demonstration) ends(ctx context.Context) (map[int32]int64, error) {
	ctx, cancel := d.g.WithTimeout(ctx)
	defer cancel()
	report, err := d.client.ISR(ctx, admin.ISRQuery{Selectors: []admin.Selector{{Topic: demoTopic, Partition: admin.AllPartitions}}})
	if err != nil {
		return nil, err
	}
	ends := make(map[int32]int64)
	for _, p := range report.Partitions {
		if p.HighWatermark == nil {
			return nil, fmt.Errorf("partition %d: its leader does not report a high watermark", p.Partition)
		}
		ends[p.Partition] = *p.HighWatermark
	}
	return ends, nil
}
