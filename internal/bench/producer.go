package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// producer offers stamped records through one client, and sees to it that each
// is entered in the ledger when it goes out and resolved when it ends.
type producer struct {
	client     *kgo.Client
	id         uint32
	run        uint64
	topic      string
	partitions int32   // chosen in turn; 0 leaves the choice to the client
	own        []int32 // of these, the ones that are this worker's; nil: all
	size       int     // bytes of a value
	ledger     *ledger
	tap        *tap       // nil where the client's own errors must do
	journal    *journal   // nil unless records are to be explained
	gaps       *gapMeter  // nil without faults
	passage    *passage   // nil unless a consumer awaits the records
	order      sync.Mutex // held from taking a sequence number to handing its record over
	flights    sync.Pool  // of *flight
}

// flight is one record on its way. Flights are used again, so that steady load
// does not allocate.
type flight struct {
	producer *producer
	recorder *recorder
	record   kgo.Record
	value    []byte
	sequence uint64
	due      time.Time
	sent     time.Time
	answered chan<- struct{} // closed loop: told when the record has ended
	promise  func(*kgo.Record, error)
}

// newProducer opens the client of one producer.
func (t *target) newProducer(arm Arm, partitions int32, opts ...kgo.Opt) (*producer, error) {
	var listener *tap
	if arm.Acknowledged() {
		listener = newTap()
		opts = append(opts, listener.dialer(t.client)...)
	}
	client, err := t.connect(opts...)
	if err != nil {
		return nil, err
	}
	p := &producer{
		client: client, tap: listener, run: t.run, topic: t.topic, partitions: partitions,
		size: t.cfg.RecordBytes, ledger: newLedger(arm), id: uint32(len(t.ledgers)),
	}
	p.flights.New = func() any {
		f := &flight{producer: p, value: make([]byte, p.size)}
		f.promise = f.end // once, not for every record
		return f
	}
	t.ledgers = append(t.ledgers, p.ledger)
	return p, nil
}

// loadOptions are what every open- or closed-loop arm has in common.
func (c Config) loadOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.ProducerLinger(0), // the client's default of 10 ms would be most of what is measured
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(c.MaxBuffered),
		kgo.RecordDeliveryTimeout(2 * c.AckTimeout),
	}
}

// keepJournal has the producer note what the explainer joins. Call it before
// any load.
func (p *producer) keepJournal() {
	p.journal = &journal{}
	if p.tap != nil {
		p.tap.journal = p.journal
	}
}

// share leaves a producer the partitions of one of several workers. Where there
// are fewer than workers, some of them share one.
func (p *producer) share(index, workers int) {
	if workers < 2 || p.partitions == 0 {
		return
	}
	p.own = ownPartitions(p.partitions, index, workers)
	p.partitions = int32(len(p.own))
}

func ownPartitions(partitions int32, index, workers int) []int32 {
	own := []int32{}
	for at := int32(index) % partitions; at < partitions; at += int32(workers) {
		own = append(own, at)
	}
	return own
}

// offer hands one record to the client without ever blocking: when the client
// has no room, the record is shed. A client that blocked would slow the
// schedule down and close the loop.
func (p *producer) offer(ctx context.Context, rec *recorder, due time.Time, answered chan<- struct{}) {
	// The callers of a closed loop share the client: it must get the records
	// in the order of their numbers, or the verifier would accuse the broker.
	p.order.Lock()
	defer p.order.Unlock()
	f := p.take(rec, answered)
	f.sent = time.Now()
	f.due = due
	rec.offering(due, f.sent)
	p.passage.departed(f.sequence, due, f.sent)
	f.record.Timestamp = f.sent
	p.client.TryProduce(ctx, &f.record, f.promise)
}

// push hands one record to the client and waits while the client has no room:
// the load of a throughput test, whose latency is mostly that of this queue.
func (p *producer) push(ctx context.Context, rec *recorder) {
	f := p.take(rec, nil)
	f.sent = time.Now()
	f.due = f.sent
	rec.offering(f.due, f.sent)
	f.record.Timestamp = f.sent
	p.client.Produce(ctx, &f.record, f.promise)
}

func (p *producer) take(rec *recorder, answered chan<- struct{}) *flight {
	f, ok := p.flights.Get().(*flight)
	if !ok {
		panic(fmt.Sprintf("bench: the pool of producer %d holds something else than flights", p.id))
	}
	var partition int32
	f.sequence, partition = p.ledger.add(p.partitions)
	if p.own != nil {
		partition = p.own[partition]
	}
	f.record = kgo.Record{Topic: p.topic, Value: f.value, Partition: max(partition, 0)}
	f.recorder, f.answered = rec, answered
	stamp{run: p.run, sequence: f.sequence, producer: p.id}.write(f.value)
	return f
}

// end is called by the client when the record is acked, sent or has failed.
func (f *flight) end(r *kgo.Record, err error) {
	now := time.Now()
	p, rec, answered := f.producer, f.recorder, f.answered
	due, sent, sequence, partition := f.due, f.sent, f.sequence, r.Partition
	switch {
	case err != nil:
		p.ledger.fail(sequence, partition)
	case p.ledger.arm.Acknowledged():
		p.ledger.ack(sequence, partition, r.Offset)
		p.gaps.acked(partition, now)
		p.journal.record(sample{partition: partition, offset: r.Offset, due: due, sent: sent, acked: now})
	default:
		p.ledger.sent(sequence, partition)
	}
	p.flights.Put(f)
	if err != nil {
		name := p.explain(err, partition, sent)
		rec.failedAs(name, due, now)
		p.passage.failed(sequence, name, now)
	} else {
		rec.succeeded(due, sent, now)
		p.passage.acked(sequence, now)
	}
	if answered != nil {
		answered <- struct{}{} // has room: one record at a time
	}
}

// explain names a failure. Where the client says only that it gave up, the
// broker's answer decides.
func (p *producer) explain(err error, partition int32, sent time.Time) string {
	name := failureName(err)
	if name == FailureDisconnected && p.tap != nil {
		if told := p.tap.errorSince(partition, sent); told != nil {
			return failureName(told)
		}
	}
	return name
}
