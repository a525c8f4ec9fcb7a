//go:build faults && linux

package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/disk"
	"github.com/chronik-project/chronik/test/faults/history"
	"github.com/chronik-project/chronik/test/faults/host"
	"github.com/chronik-project/chronik/test/faults/load"
	"github.com/chronik-project/chronik/test/harness"
)

// topic is the one that loads are on, unless a plan names another.
const topic = "orders"

// plan says what a rig is made of. The zero value of a field means the default.
type plan struct {
	// brokers is how many there are, 3 by default; every partition has three
	// replicas.
	brokers int
	// partitions is 3 by default: each of three brokers leads one.
	partitions int32
	// topic is that of the load; there may be another one for each round.
	topic string
	// minISR is 2 by default.
	minISR int
	// config is more of the topic's configuration.
	config map[string]string
	// disks are what the data is on, one for each broker; plain directories by
	// default.
	disks []disk.Disk
	// binary is the build to test; what Main built by default.
	binary string
	// host has more options of the brokers.
	host host.Options
	// load is what clients do. By default: two producers with idempotence, one
	// with one request in flight and one without retries, 200 records a second
	// each, and two consumers.
	load load.Config
}

// rig is a cluster on hosts of its own, under load, with everything that its
// clients do and see in a history. Brokers are named by their ids, which are the
// numbers of their hosts.
type rig struct {
	testing.TB
	plan    plan
	net     *host.Network
	brokers *host.Cluster
	admin   *kadm.Client
	client  *kgo.Client
	history *history.History
	load    *load.Load
	loading chan error // what Run returned
	started time.Time
	final   []history.Replica
}

// newRig starts brokers, creates the topic and puts it under load, and returns
// when acknowledgements come on every partition.
func newRig(t testing.TB, p plan) *rig {
	t.Helper()
	r := &rig{TB: t, plan: p.withDefaults(), history: history.New(), loading: make(chan error, 1), started: time.Now()}
	if w, watched := t.(*witness); watched {
		w.rig = r
	}
	r.net = host.NewNetwork(t, r.plan.brokers)
	options := r.plan.host
	options.Brokers, options.Binary = r.plan.brokers, r.plan.binary
	for _, d := range r.plan.disks {
		options.DataDirs = append(options.DataDirs, d.Dir())
	}
	r.brokers = host.Start(t, r.net, options)
	client, err := kgo.NewClient(kgo.SeedBrokers(r.brokers.Bootstrap()...), kgo.MetadataMinAge(50*time.Millisecond), kgo.RequestTimeoutOverhead(3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r.client, r.admin = client, kadm.NewClient(client)
	// Before the brokers are killed and their directories removed.
	t.Cleanup(func() {
		if _, watched := t.(*witness); t.Failed() && !watched {
			r.timeline()
			t.Logf("history and logs are in %s", r.preserve())
		}
	})
	r.createTopic()
	r.startLoad()
	r.awaitAcks(50)
	return r
}

func (p plan) withDefaults() plan {
	if p.brokers == 0 {
		p.brokers = 3
	}
	if p.partitions == 0 {
		p.partitions = 3
	}
	if p.minISR == 0 {
		p.minISR = 2
	}
	if p.topic == "" {
		p.topic = topic
	}
	if p.load.Idempotent+p.load.Ordered+p.load.Unordered+p.load.Direct == 0 {
		p.load.Idempotent, p.load.Ordered, p.load.Direct = 2, 1, 1
	}
	if p.load.Consumers == 0 {
		p.load.Consumers = 2
	}
	return p
}

func (r *rig) createTopic() {
	r.Helper()
	minISR := strconv.Itoa(r.plan.minISR)
	config := map[string]*string{"min.insync.replicas": &minISR}
	for key, value := range r.plan.config {
		config[key] = &value
	}
	// One leader on each broker, in turn, whatever the controller would choose.
	ctx := r.within(30 * time.Second)
	created, err := r.admin.CreateTopics(ctx, r.plan.partitions, 3, config, r.plan.topic)
	if err = errors.Join(err, created.Error()); err != nil {
		r.Fatal(err)
	}
	r.awaitISR(30*time.Second, func(isr []int32) bool { return len(isr) == 3 })
}

func (r *rig) startLoad() {
	r.Helper()
	cfg := r.config()
	var err error
	if r.load, err = load.New(cfg); err != nil {
		r.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(r.Context()))
	go func() { r.loading <- r.load.Run(ctx) }()
	r.Cleanup(func() {
		stop()
		<-r.load.Done()
	})
}

// config is the load's, with what the rig adds to it.
func (r *rig) config() load.Config {
	cfg := r.plan.load
	cfg.Topic, cfg.Partitions, cfg.History = r.plan.topic, r.plan.partitions, r.history
	cfg.Brokers = map[int32]string{}
	for _, b := range r.brokers.Brokers() {
		cfg.Brokers[int32(b.ID)] = b.Address
	}
	return cfg
}

// within bounds one step.
func (r *rig) within(d time.Duration) context.Context {
	if _, watched := r.TB.(*witness); watched {
		d = min(d, impatience)
	}
	return harness.Within(r, d)
}

// await waits until ready returns nil.
func (r *rig) await(d time.Duration, what string, ready func(context.Context) error) {
	r.Helper()
	looked := time.Now()
	harness.Await(r.within(d), r, what, func(ctx context.Context) error {
		if time.Since(looked) > time.Second {
			r.exposed()
			looked = time.Now()
		}
		return ready(ctx)
	})
}

// pause lets the load run for a while.
func (r *rig) pause(d time.Duration) { harness.Pause(r, d) }

// awaitAcks waits until every partition has n more acknowledgements, and returns
// how long that took.
func (r *rig) awaitAcks(n int64) time.Duration {
	r.Helper()
	return r.awaitAcksOn(n, slices.Collect(maps.Keys(r.detail()))...)
}

// awaitAcksOn does so for some of the partitions.
func (r *rig) awaitAcksOn(n int64, partitions ...int32) time.Duration {
	r.Helper()
	began, before := time.Now(), r.load.Acked()
	r.await(40*time.Second, fmt.Sprintf("%d acknowledgements on partitions %v", n, partitions), func(context.Context) error {
		select {
		case err := <-r.loading:
			r.loading <- err
			r.Fatalf("the load ended: %v", err)
		default:
		}
		for _, p := range partitions {
			if now := r.load.Acked()[p]; now < before[p]+n {
				return fmt.Errorf("partition %d: %d", p, now-before[p])
			}
		}
		return nil
	})
	return time.Since(began)
}

// describe is what the cluster says of the partitions.
func (r *rig) describe(ctx context.Context) (map[int32]kadm.PartitionDetail, error) {
	md, err := r.admin.Metadata(ctx, r.plan.topic)
	if err != nil {
		return nil, err
	}
	all := md.Topics[r.plan.topic].Partitions
	if len(all) != int(r.plan.partitions) {
		return nil, fmt.Errorf("%d partitions of %s: %w", len(all), r.plan.topic, md.Topics[r.plan.topic].Err)
	}
	return all, nil
}

// detail is the same, once the cluster says it.
func (r *rig) detail() map[int32]kadm.PartitionDetail {
	r.Helper()
	var all map[int32]kadm.PartitionDetail
	r.await(20*time.Second, "metadata", func(ctx context.Context) (err error) {
		all, err = r.describe(ctx)
		return err
	})
	return all
}

// leader is the broker that leads a partition, once one does.
func (r *rig) leader(partition int32) int {
	r.Helper()
	var leader int
	r.await(20*time.Second, fmt.Sprintf("a leader of partition %d", partition), func(ctx context.Context) error {
		all, err := r.describe(ctx)
		if err != nil {
			return err
		}
		p := all[partition]
		if leader = int(p.Leader); leader < 1 {
			return fmt.Errorf("leader %d, in sync %v: %w", leader, p.ISR, p.Err)
		}
		return nil
	})
	return leader
}

// followers are the other replicas of a partition, in the order of assignment.
func (r *rig) followers(partition int32) []int {
	r.Helper()
	leader := r.leader(partition)
	var all []int
	for _, id := range r.detail()[partition].Replicas {
		if int(id) != leader {
			all = append(all, int(id))
		}
	}
	return all
}

// ledBy are the partitions that a broker leads.
func (r *rig) ledBy(broker int) []int32 {
	var all []int32
	for _, p := range r.detail() {
		if int(p.Leader) == broker {
			all = append(all, p.Partition)
		}
	}
	return all
}

// partitionThat is a partition of that description: its leader, and its followers
// in the order of assignment.
func (r *rig) partitionThat(what string, is func(leader int, followers []int) bool) (partition int32, leader int, followers []int) {
	r.Helper()
	for partition, p := range r.detail() {
		followers = nil
		for _, id := range p.Replicas {
			if id != p.Leader {
				followers = append(followers, int(id))
			}
		}
		if leader = int(p.Leader); leader >= 1 && is(leader, followers) {
			return partition, leader, followers
		}
	}
	r.Fatalf("no partition %s: %v", what, r.detail())
	return 0, 0, nil
}

// controller is the broker that leads the metadata log.
func (r *rig) controller() int {
	r.Helper()
	var id int
	r.await(20*time.Second, "a controller", func(ctx context.Context) error {
		md, err := r.admin.BrokerMetadata(ctx)
		if err != nil {
			return err
		}
		if id = int(md.Controller); id < 1 {
			return errors.New("nobody is it")
		}
		return nil
	})
	return id
}

// awaitISR waits until the in-sync set of every partition is right.
func (r *rig) awaitISR(d time.Duration, is func(isr []int32) bool) {
	r.Helper()
	r.await(d, "the in-sync sets", func(ctx context.Context) error {
		all, err := r.describe(ctx)
		if err != nil {
			return err
		}
		for _, p := range all {
			if p.Leader < 1 || !is(p.ISR) {
				return fmt.Errorf("partition %d: leader %d, in sync %v", p.Partition, p.Leader, p.ISR)
			}
		}
		return nil
	})
}

// fault does something to a broker, or to several if it is 0, and takes it down.
func (r *rig) fault(broker int, what string, inject func() error) {
	r.Helper()
	node := int32(broker)
	if broker == 0 {
		node = history.Unknown
	}
	if err := r.history.Fault(node, what, inject); err != nil {
		r.Fatalf("%s, broker %d: %v", what, broker, err)
	}
}

// cut is a fault of the network, until its end is called.
func (r *rig) cut(what string, begin func() (end func())) (end func()) {
	r.Helper()
	var heal func()
	r.fault(0, what, func() error { heal = begin(); return nil })
	return func() { r.fault(0, "end of: "+what, func() error { heal(); return nil }) }
}

func (r *rig) kill(broker int) {
	r.Helper()
	r.fault(broker, "kill", func() error { return r.brokers.Kill(broker - 1) })
}

func (r *rig) freeze(broker int) {
	r.Helper()
	r.fault(broker, "freeze", func() error { return r.brokers.Pause(broker - 1) })
}

func (r *rig) thaw(broker int) {
	r.Helper()
	r.fault(broker, "thaw", func() error { return r.brokers.Resume(broker - 1) })
}

// stop asks a broker to stop and waits until it has.
func (r *rig) stop(broker int) {
	r.Helper()
	r.fault(broker, "stop", func() error { return r.brokers.Stop(r.within(30*time.Second), broker-1) })
}

// start starts a broker and waits until it serves.
func (r *rig) start(broker int) {
	r.Helper()
	r.fault(broker, "start", func() error { return r.brokers.Restart(r.within(40*time.Second), broker-1) })
}

// all are the ids of all brokers.
func (r *rig) all() []int {
	ids := make([]int, r.plan.brokers)
	for i := range ids {
		ids[i] = i + 1
	}
	return ids
}

// patience is how much a test waits for in the end, and for how long.
type patience struct {
	acks                      int64 // on each partition
	fullISR, finish, recovery time.Duration
}

// testPatience is for clusters to which one thing has happened.
var testPatience = patience{acks: 100, fullISR: 30 * time.Second, finish: time.Minute, recovery: 5 * time.Second}

// finish ends all faults, starts who does not run, lets the cluster recover and
// the load end, reads every replica, and returns the verdict. It does not fail the
// test for what the verdict says.
func (r *rig) finish(rules check.Rules, p patience) check.Report {
	r.Helper()
	r.net.Heal()
	for i, b := range r.brokers.Brokers() {
		if b.PID == 0 {
			r.start(b.ID)
		} else {
			_ = r.brokers.Resume(i) // one that is not frozen does not mind
		}
	}
	r.fault(0, "all faults are over", func() error { return nil })
	r.awaitAcks(p.acks)
	r.awaitISR(p.fullISR, func(isr []int32) bool { return len(isr) == 3 })
	r.pause(500*time.Millisecond + 2*max(0, r.plan.load.SampleEvery)) // samples that see it
	r.exposed()
	err := r.load.Finish(r.within(p.finish))
	rules.CaughtUp = err == nil
	if err := errors.Join(err, <-r.loading); err != nil {
		r.Errorf("the load: %v", err)
	}
	if r.final, err = load.ReadReplicas(r.within(p.finish), r.config()); err != nil {
		r.Errorf("read the replicas: %v", err)
	}
	rules.MinISR = r.plan.minISR
	rules.MaxRecovery = cmp.Or(rules.MaxRecovery, p.recovery)
	rules.MaxFullISR = cmp.Or(rules.MaxFullISR, p.fullISR)
	return check.Check(r.history, r.final, rules)
}

// verdict finishes and fails the test unless the run proves something and every
// promise was kept.
func (r *rig) verdict(rules check.Rules) check.Report {
	r.Helper()
	report := r.finish(rules, testPatience)
	r.Logf("%s", report.String())
	if !report.OK() {
		r.Errorf("the history breaks promises or proves nothing: %s %v", report.Void, report.Counts)
	}
	return report
}

// stallOf is the longest time without an acknowledgement on some partitions.
func stallOf(report *check.Report, partitions ...int32) time.Duration {
	var longest time.Duration
	for _, s := range report.Stalls {
		if slices.Contains(partitions, s.Partition) {
			longest = max(longest, s.Longest)
		}
	}
	return longest
}

// atMost fails the test if what took longer.
func (r *rig) atMost(what string, got, limit time.Duration) {
	r.Helper()
	r.Logf("%s: %s, limit %s", what, got.Round(time.Millisecond), limit)
	if got > limit {
		r.Errorf("%s: %s, want at most %s", what, got.Round(time.Millisecond), limit)
	}
}
