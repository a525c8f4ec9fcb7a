package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/history"
)

const (
	// paceEvery is how often a producer looks what is due.
	paceEvery = 2 * time.Millisecond
	// retryEvery is how long clients wait before they try again: the stalls that
	// are measured should be those of the cluster.
	retryEvery = 100 * time.Millisecond
	// dialTimeout bounds a connection to a broker that does not answer.
	dialTimeout = 2 * time.Second
	// answerOverhead is how much longer than a broker may wait the client does.
	answerOverhead = 2 * time.Second
)

// producer offers records on a schedule through a client library, and makes
// itself anew when its client can do no more.
type producer struct {
	load      *Load
	guarantee history.Guarantee
	session   *session
	sequence  uint64 // of the session
	offered   int64  // of all sessions
}

// session is one client; nothing is promised across sessions.
type session struct {
	id          int32
	kafka       *kgo.Client
	outstanding sync.WaitGroup
	broken      atomic.Bool // it can do no more
}

// producers are the tasks of all producers.
func (l *Load) producers() []func(context.Context) error {
	var tasks []func(context.Context) error
	add := func(n int, guarantee history.Guarantee) {
		for range n {
			p := &producer{load: l, guarantee: guarantee}
			tasks = append(tasks, p.run)
		}
	}
	add(l.cfg.Idempotent, history.Idempotent)
	add(l.cfg.Ordered, history.Ordered)
	add(l.cfg.Unordered, history.Unordered)
	for range l.cfg.Direct {
		for partition := range l.cfg.Partitions {
			d := &direct{load: l, client: l.client(), partition: partition, leader: history.Unknown}
			tasks = append(tasks, d.run)
		}
	}
	return tasks
}

// connection are the options of every client.
func (l *Load) connection() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(l.cfg.addresses()...),
		kgo.DialTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(answerOverhead),
		kgo.RetryBackoffFn(func(int) time.Duration { return retryEvery }),
		kgo.MetadataMinAge(retryEvery),
		kgo.MetadataMaxAge(10 * time.Second),
	}
}

func (p *producer) open() error {
	cfg := &p.load.cfg
	options := append(
		p.load.connection(),
		kgo.DefaultProduceTopic(cfg.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(cfg.MaxBuffered),
		kgo.ProduceRequestTimeout(cfg.AckTimeout),
		kgo.RecordDeliveryTimeout(cfg.DeliveryTimeout),
		kgo.UnknownTopicRetries(-1), // a broker that lags behind in metadata is no reason to give up
		// The library would go on under another sequence, and write twice.
		kgo.StopProducerOnDataLossDetected(),
	)
	switch p.guarantee {
	case history.Ordered:
		options = append(options, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	case history.Unordered:
		options = append(options, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5))
	case history.Idempotent: // the library's own five
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return fmt.Errorf("open a producer: %w", err)
	}
	p.session, p.sequence = &session{id: p.load.client(), kafka: client}, 0
	return nil
}

// close ends the session; what is not answered is answered with an error.
func (s *session) close() {
	s.kafka.Close()
	s.outstanding.Wait()
}

func (p *producer) run(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	defer func() { p.session.close() }()
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-p.load.stop:
			_ = p.session.kafka.Flush(ctx) // ends early only with ctx; then close answers the rest
			return nil
		case <-tick.C:
		}
		if p.session.broken.Load() {
			p.session.close()
			p.load.renewed.Add(1)
			if err := p.open(); err != nil {
				return err
			}
		}
		for due := int64(time.Since(began).Seconds() * p.load.cfg.Rate); p.offered < due && !p.session.broken.Load(); {
			p.offer(ctx)
		}
	}
}

// offer hands one record to the client, and never waits.
func (p *producer) offer(ctx context.Context) {
	s, l := p.session, p.load
	partition := int32(p.offered % int64(l.cfg.Partitions))
	value := history.ValueOf(s.id, p.sequence)
	p.sequence++
	p.offered++
	key, body := encode(value, l.cfg.ValueBytes)
	op := history.Op{
		Client: s.id, Kind: history.Send, Topic: l.cfg.Topic, Partition: partition,
		Value: value, Guarantee: p.guarantee, Start: l.history.Now(),
		Offset: history.Unknown, LeaderEpoch: history.Unknown, Node: history.Unknown,
	}
	s.outstanding.Add(1)
	// Not ctx: the end of the load must not take back what was sent.
	s.kafka.TryProduce(context.WithoutCancel(ctx), &kgo.Record{Partition: partition, Key: key, Value: body}, func(r *kgo.Record, err error) {
		defer s.outstanding.Done()
		op.End = l.history.Now()
		op.Outcome = classify(err, false)
		switch {
		case err == nil:
			op.Offset = r.Offset
		case isFatal(err):
			s.broken.Store(true)
			op.Error = err.Error()
		default:
			op.Error = err.Error()
		}
		l.answered(op)
	})
}
