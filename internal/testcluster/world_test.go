package testcluster

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/cluster"
)

var (
	seedFlag = flag.Uint64("seed", 0, "take this seed; 0 picks one")
	logFlag  = flag.Bool("brokerlog", false, "write the brokers' logs to the test's output")
)

const (
	topic      = "orders"
	partitions = 3
	// ackTimeout is what producers ask for; a broker answers a little later at
	// the latest.
	ackTimeout = 4 * time.Second
	ackSlack   = 500 * time.Millisecond
	// healLimit bounds what is left to do when all faults are over.
	healLimit = 30 * time.Second
	// rejoinLimit is healLimit for a broker that left the in-sync sets so often
	// that it has to be caught up for a minute before it is taken back.
	rejoinLimit = healLimit + time.Minute
	// pollEvery is how often a condition is looked at.
	pollEvery = 20 * time.Millisecond
)

// world is a cluster under load, watched. It lives in a bubble of its own.
type world struct {
	t     *testing.T
	c     *Cluster
	h     *History
	r     *rand.Rand
	load  *load
	watch *watch
	admin *kadm.Client

	mu   sync.Mutex
	runs map[cluster.BrokerID]int32 // guarded by mu; how often each broker was started
}

// pickSeed is the seed of a test, printed so that it can be taken again.
func pickSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	return seed
}

// inWorld runs a scenario on a cluster under load, and then expects that all is
// well again: every broker in sync, every record where it should be.
func inWorld(t *testing.T, seed uint64, brokers int, scenario func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir, seed, brokers)
		virtual := time.Now()
		scenario(w)
		w.finish()
		acked, consumed := w.h.Counts()
		t.Logf("%d acked, %d consumed, slowest ack %s, in %s", acked, consumed, w.load.slowest(), time.Since(virtual).Round(time.Millisecond))
	})
	t.Logf("took %s", time.Since(began).Round(time.Millisecond))
}

func newWorld(t *testing.T, dir string, seed uint64, brokers int) *world {
	t.Helper()
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), h: NewHistory(ackTimeout + ackSlack),
		runs: map[cluster.BrokerID]int32{},
	}
	logger := slog.New(slog.DiscardHandler)
	if *logFlag {
		logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	w.c = New(Options{Brokers: brokers, Dir: dir, Rand: w.r, Logger: logger})
	t.Cleanup(w.close)
	w.start()
	w.ready()
	client := w.client(kgo.RequestRetries(0))
	w.admin = kadm.NewClient(client)
	w.createTopic()
	w.load = newLoad(w)
	w.watch = newWatch(w)
	return w
}

// client connects to the cluster from the clients' machine.
func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.c.Seeds()...),
		kgo.Dialer(w.c.DialContext),
		kgo.AlwaysRetryEOF(), // a broker that crashes right after it was dialled wants no SASL
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
	}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

func (w *world) createTopic() {
	w.t.Helper()
	minISR, segmentBytes := "2", "1048576"
	w.await(10*time.Second, "the topic", func(ctx context.Context) error {
		_, err := w.admin.CreateTopic(ctx, partitions, 3, map[string]*string{
			cluster.ConfigMinInsyncReplicas: &minISR, cluster.ConfigSegmentBytes: &segmentBytes,
		}, topic)
		return err
	})
}

// start starts brokers that are down.
func (w *world) start(ids ...cluster.BrokerID) {
	w.mu.Lock()
	for _, id := range w.c.all(ids) {
		if !slices.Contains(w.c.Up(), id) {
			w.runs[id]++
		}
	}
	w.mu.Unlock()
	w.c.Start(ids...)
}

// stop stops a broker gracefully, or kills it if that takes too long.
func (w *world) stop(id cluster.BrokerID) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), healLimit)
	defer cancel()
	return w.c.Stop(ctx, id)
}

// ready waits until brokers serve.
func (w *world) ready(ids ...cluster.BrokerID) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), healLimit)
	defer cancel()
	if err := w.c.AwaitReady(ctx, ids...); err != nil {
		w.t.Fatal(err)
	}
}

// await looks until something is so, and fails the test with the last reason why
// it is not.
func (w *world) await(limit time.Duration, what string, ready func(context.Context) error) {
	w.t.Helper()
	if err := w.eventually(limit, what, ready); err != nil {
		w.t.Fatal(err)
	}
}

// eventually looks until something is so. Its error is the last reason why it is
// not.
func (w *world) eventually(limit time.Duration, what string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // more to the point than that time is up
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting %s for %s: %w", limit, what, last)
		case <-tick.C:
		}
	}
}

// pass lets virtual time pass: the faults of a scenario last for a while.
func (w *world) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// metadata asks any broker.
func (w *world) metadata(ctx context.Context) (kadm.Metadata, kadm.TopicDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	md, err := w.admin.Metadata(ctx, topic)
	if err != nil {
		return md, kadm.TopicDetail{}, err
	}
	detail := md.Topics[topic]
	return md, detail, detail.Err
}

// awaitISR waits until every partition has n replicas in sync.
func (w *world) awaitISR(limit time.Duration, n int) kadm.TopicDetail {
	w.t.Helper()
	detail, err := w.eventuallyISR(limit, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return detail
}

// eventuallyISR is awaitISR with an error, and then the last that was heard of
// the topic.
func (w *world) eventuallyISR(limit time.Duration, n int) (detail kadm.TopicDetail, err error) {
	err = w.eventually(limit, fmt.Sprintf("%d in-sync replicas", n), func(ctx context.Context) error {
		_, heard, err := w.metadata(ctx)
		if err != nil {
			return err
		}
		detail = heard
		for _, p := range detail.Partitions.Sorted() {
			if len(p.ISR) != n || !slices.Contains(p.ISR, p.Leader) {
				return fmt.Errorf("partition %d: leader %d, in sync %v", p.Partition, p.Leader, p.ISR)
			}
		}
		return nil
	})
	return detail, err
}

// leader is the broker that leads partition 0.
func (w *world) leader() cluster.BrokerID {
	w.t.Helper()
	return cluster.BrokerID(w.awaitISR(healLimit, 3).Partitions[0].Leader)
}

// follower is an in-sync broker that follows in partition 0 and is not the
// controller, if there is one.
func (w *world) follower() cluster.BrokerID {
	w.t.Helper()
	p, controller := w.awaitISR(healLimit, 3).Partitions[0], int32(w.controller())
	last := int32(0)
	for _, id := range p.ISR {
		if id != p.Leader {
			last = id
			if id != controller {
				break
			}
		}
	}
	return cluster.BrokerID(last)
}

// controller is the broker that leads the metadata log.
func (w *world) controller() cluster.BrokerID {
	w.t.Helper()
	var id int32
	w.await(healLimit, "a controller", func(ctx context.Context) error {
		md, _, err := w.metadata(ctx)
		if err == nil && md.Controller < 0 {
			err = fmt.Errorf("broker %d is the controller", md.Controller)
		}
		id = md.Controller
		return err
	})
	return cluster.BrokerID(id)
}

// progress waits until every partition has n more acknowledgements.
func (w *world) progress(limit time.Duration, n int) {
	w.t.Helper()
	w.await(limit, fmt.Sprintf("%d more acknowledgements", n), w.goOn(n))
}

// goOn is nil once every partition has n more acknowledgements than now.
func (w *world) goOn(n int) func(context.Context) error {
	var goal [partitions]int
	for p := range goal {
		goal[p] = w.h.AckedCount(int32(p)) + n
	}
	return func(context.Context) error {
		for p := range goal {
			if got := w.h.AckedCount(int32(p)); got < goal[p] {
				return fmt.Errorf("partition %d: %d short", p, goal[p]-got)
			}
		}
		return nil
	}
}

// finish ends the faults and the load, and checks everything. What is not well
// again by then does not keep it from looking for what was lost.
func (w *world) finish() {
	w.t.Helper()
	w.check(w.c.Failed())
	w.start()
	w.c.Repair()
	w.ready()
	detail, err := w.eventuallyISR(rejoinLimit, 3)
	w.check(err)
	w.check(w.eventually(5*time.Second, "more acknowledgements", w.goOn(5)))
	w.check(w.load.stop())
	w.watch.stop()
	for _, p := range detail.Partitions.Sorted() {
		replicas, err := w.readReplicas(detail, p)
		w.check(err)
		w.h.Check(p.Partition, replicas)
	}
	for _, v := range w.h.Violations() {
		w.t.Error(v)
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}

// close ends everything, so that the bubble can.
func (w *world) close() {
	if w.load != nil {
		w.load.close()
	}
	if w.watch != nil {
		w.watch.close()
	}
	if w.admin != nil {
		w.admin.Close()
	}
	w.c.Close()
}

// run is which of its processes a broker runs.
func (w *world) run(broker int32) int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runs[cluster.BrokerID(broker)]
}
