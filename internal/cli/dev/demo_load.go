package dev

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// lineTimeout bounds how long a line may wait for its ack: a cluster that does
// not elect a leader in this time is the finding.
const lineTimeout = 20 * time.Second

// maxUnderWay is how many lines may wait for their acks at once.
const maxUnderWay = 20_000

// acks collects what the brokers acknowledged, from the client's callbacks.
type acks struct {
	mu      sync.Mutex
	acked   []bool        // guarded by mu; by line
	count   int           // guarded by mu
	last    time.Time     // guarded by mu; of the last ack
	stall   time.Duration // guarded by mu; longest time between two acks since the kill
	killed  time.Time     // guarded by mu; zero before
	failure error         // guarded by mu; of the first line that failed

	enough  int           // this many acks make a load that is under way
	flowing chan struct{} // closed once there are enough, or one has failed
}

func newAcks(lines int) *acks {
	// Half of the lines are sent when somebody waits for these.
	a := &acks{acked: make([]bool, lines), enough: min(max(lines/4, 1), lines/2), flowing: make(chan struct{})}
	if a.enough == 0 {
		close(a.flowing)
	}
	return a
}

func (a *acks) done(line int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if a.failure == nil {
			a.failure = fmt.Errorf("line %d: %w", line+1, err)
			a.flow()
		}
		return
	}
	now := time.Now()
	if !a.killed.IsZero() {
		a.stall = max(a.stall, now.Sub(a.last))
	}
	a.acked[line], a.last = true, now
	if a.count++; a.count == a.enough && a.failure == nil {
		a.flow()
	}
}

// flow says that the load is under way. The caller holds mu.
func (a *acks) flow() {
	select {
	case <-a.flowing:
	default:
		close(a.flowing)
	}
}

func (a *acks) kill() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.killed = time.Now()
	a.last = a.killed
}

// state returns what is needed while the load runs.
func (a *acks) state() (count int, failure error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count, a.failure
}

// load sends every line with acks=all, and kills the leader of partition 0
// half-way. It returns which lines were acked.
func (d *demonstration) load(ctx context.Context, text text) ([]bool, error) {
	d.next("load %s lines with acks=all, from %s", count(len(text.lines)), text.source)
	producer, err := d.kafka(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(lineTimeout),
		kgo.MaxBufferedRecords(maxUnderWay),
	)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	first, err := d.partition0(ctx)
	if err != nil {
		return nil, err
	}
	d.before = first
	a := newAcks(len(text.lines))
	began := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for i, line := range text.lines {
		if i == len(text.lines)/2 {
			// A kill before the first ack would not be in the middle.
			select {
			case <-a.flowing:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			if err := d.kill(int(first.Leader), i, a); err != nil {
				return nil, err
			}
		}
		// Produce waits while too many lines are under way.
		producer.Produce(ctx, record(i, line), func(_ *kgo.Record, err error) { a.done(i, err) })
		select {
		case <-ticker.C:
			acked, _ := a.state()
			d.say("%s of %s lines acked", count(acked), count(len(text.lines)))
		default:
		}
	}
	if err := producer.Flush(ctx); err != nil {
		return nil, fmt.Errorf("wait for acks: %w", err)
	}
	acked, failure := a.state()
	took := time.Since(began)
	d.report.Acked, d.report.StallMillis = acked, a.stall.Milliseconds()
	d.report.LoadSeconds, d.report.LinesPerSec = took.Seconds(), float64(acked)/took.Seconds()
	d.say("%s of %s lines acked in %s, %s lines/s, the kill included", count(acked), count(len(text.lines)),
		out.FormatDuration(took), count(int(d.report.LinesPerSec)))
	d.say("longest time without an ack after the kill: %s", out.FormatDuration(a.stall))
	if failure != nil {
		return nil, exit.Failedf("", "%d lines were not acked, the first: %w", len(text.lines)-acked, failure)
	}
	return a.acked, nil
}

// kill ends the victim as a crash would.
func (d *demonstration) kill(victim, line int, a *acks) error {
	index, ok := d.cluster.Index(victim)
	if !ok {
		return fmt.Errorf("partition 0 is led by broker %d, which is not ours", victim)
	}
	if err := d.cluster.Kill(index); err != nil {
		return err
	}
	a.kill()
	acked, _ := a.state()
	d.report.KilledBroker, d.report.KilledAtLine = victim, line
	d.say("SIGKILL to broker %d, the leader of partition 0, with %s lines acked and %s under way", victim, count(acked), count(line-acked))
	return nil
}

// partition0 returns the partition whose leader is the victim.
func (d *demonstration) partition0(ctx context.Context) (admin.ISRPartition, error) {
	ctx, cancel := d.g.WithTimeout(ctx)
	defer cancel()
	report, err := d.client.ISR(ctx, admin.ISRQuery{Selectors: []admin.Selector{{Topic: demoTopic, Partition: 0}}})
	if err != nil {
		return admin.ISRPartition{}, err
	}
	if len(report.Partitions) != 1 || report.Partitions[0].Leader < 0 {
		return admin.ISRPartition{}, fmt.Errorf("partition 0 of topic %q has no leader", demoTopic)
	}
	return report.Partitions[0], nil
}

// kafka returns a client for the demo's cluster.
func (d *demonstration) kafka(opts ...kgo.Opt) (*kgo.Client, error) {
	base, err := admin.Options{Seeds: d.cluster.Bootstrap(), ClientID: "chronik-demo"}.ClientOpts()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return client, nil
}

// record is a line under its number: partitions take turns.
func record(number int, line []byte) *kgo.Record {
	return &kgo.Record{
		Topic:     demoTopic,
		Partition: int32(number % demoPartitions),
		Key:       binary.BigEndian.AppendUint32(nil, uint32(number)),
		Value:     line,
	}
}

// count returns a number in groups of three digits.
func count(n int) string { return out.Count(int64(n)).Text }
