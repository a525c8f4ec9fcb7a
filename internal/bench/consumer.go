package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// stretch is what there is to read of each partition.
type stretch struct {
	starts, ends map[int32]int64
}

func (s stretch) length() int64 {
	n := int64(0)
	for partition, end := range s.ends {
		n += end - s.starts[partition]
	}
	return n
}

// stretch asks where the topic begins and ends.
func (t *target) stretch(ctx context.Context) (stretch, error) {
	ends, err := t.ends(context.WithoutCancel(ctx))
	if err != nil {
		return stretch{}, wrapSetup("find the end of topic "+t.topic, err)
	}
	listed, err := t.admin.ListStartOffsets(context.WithoutCancel(ctx), t.topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return stretch{}, wrapSetup("find the start of topic "+t.topic, err)
	}
	starts := make(map[int32]int64, len(ends))
	for partition, offset := range listed[t.topic] {
		starts[partition] = offset.Offset
	}
	return stretch{starts: starts, ends: ends}, nil
}

// reading is what the consumers of one run read.
type reading struct {
	took    time.Duration // until the last record
	first   time.Duration // until the first; 0 without one
	records int64
	bytes   int64
	seconds []Second
	sights  []*sights // by consumer
	fault   error     // why not everything was read
}

// readAll shares the partitions among the consumers and reads each to its end.
func (t *target) readAll(ctx context.Context, c ConsumeConfig, s stretch) (*reading, error) {
	began := time.Now()
	consumers := make([]*consumer, 0, c.Consumers)
	defer func() {
		for _, one := range consumers {
			one.reader.client.Close()
		}
	}()
	for i := range min(c.Consumers, len(s.ends)) {
		share := map[int32]int64{}
		for partition, start := range s.starts {
			if int(partition)%c.Consumers == i {
				share[partition] = start
			}
		}
		r, err := t.newReader(share, c.Fetch.options()...)
		if err != nil {
			return nil, err
		}
		one := &consumer{reader: r, meter: meter{began: began}, ends: s.ends, sights: sights{skip: c.SkipVerify}}
		r.take = one.take
		consumers = append(consumers, one)
	}
	var running sync.WaitGroup
	for _, one := range consumers {
		running.Go(func() { one.run(ctx) })
	}
	running.Wait()
	total := meter{began: began}
	result := &reading{}
	for _, one := range consumers {
		total.merge(&one.meter)
		result.sights = append(result.sights, &one.sights)
		if one.fault != nil {
			result.fault = one.fault
		}
	}
	result.records, result.bytes, result.seconds = total.records, total.bytes, total.seconds
	if total.records > 0 {
		result.first, result.took = total.first.Sub(began), total.last.Sub(began)
	}
	return result, nil
}

// consumer is one client that reads.
type consumer struct {
	reader *reader
	meter  meter
	ends   map[int32]int64
	sights sights
	fault  error
}

// take counts one record, and notes what has to be verified. Checksums are part
// of what is measured, unless nothing is to be verified.
func (c *consumer) take(rec *kgo.Record) {
	c.meter.add(c.reader.came, int64(len(rec.Key)+len(rec.Value)))
	if !c.sights.skip {
		st, err := parseStamp(rec.Value)
		c.sights.keep(rec, st, err)
	}
}

// run reads until every partition was read to its end, or nothing more comes.
func (c *consumer) run(ctx context.Context) {
	last := time.Now()
	for !c.reader.reached(c.ends) {
		switch {
		case ctx.Err() != nil:
			c.fault = fmt.Errorf("reading was cut short: %w", context.Cause(ctx))
			return
		case c.reader.poll(ctx) > 0:
			last = c.reader.came
		case time.Since(last) > readIdle:
			c.fault = c.reader.stuck(c.ends, nil)
			return
		}
	}
}

// meter counts what is read, by second.
type meter struct {
	began       time.Time
	first, last time.Time // zero while there is nothing
	records     int64
	bytes       int64
	seconds     []Second
}

func (m *meter) add(now time.Time, size int64) {
	if m.records == 0 {
		m.first = now
	}
	m.last = now
	m.records++
	m.bytes += size
	second := m.second(int(now.Sub(m.began) / time.Second))
	second.Records++
	second.Bytes += size
}

// second returns the counts of the i-th second.
func (m *meter) second(i int) *Second {
	for i >= len(m.seconds) {
		m.seconds = append(m.seconds, Second{Millis: int64(len(m.seconds)) * time.Second.Milliseconds()})
	}
	return &m.seconds[i]
}

func (m *meter) merge(from *meter) {
	if from.records == 0 {
		return
	}
	if m.records == 0 || from.first.Before(m.first) {
		m.first = from.first
	}
	if from.last.After(m.last) {
		m.last = from.last
	}
	m.records += from.records
	m.bytes += from.bytes
	for i, s := range from.seconds {
		into := m.second(i)
		into.Records += s.Records
		into.Bytes += s.Bytes
	}
}
