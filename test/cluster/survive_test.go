package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/history"
	"github.com/chronik-project/chronik/test/faults/load"
	"github.com/chronik-project/chronik/test/harness"
)

// progress is how many acknowledgements on every partition show that writing
// goes on: a run that stalls there proves nothing about what follows.
const progress = 50

// stallLimit bounds how long acks=all may stand still after a kill: fencing,
// election and the client's own retries, on a machine that does other things.
const stallLimit = 20 * time.Second

// faults are what happens to the cluster, in this order. Whoever is killed
// comes back; before the next fault everything is in sync again.
var faults = []struct {
	name    string
	victims func(kadm.Metadata, kadm.TopicDetail) []int32
	// atOnce restarts the victims before anyone else has had to take over:
	// either nobody can, or nobody may have noticed.
	atOnce bool
}{
	{name: "the leader of partition 0", victims: leader},
	{name: "a follower of partition 0", victims: follower},
	{name: "the controller", victims: func(md kadm.Metadata, _ kadm.TopicDetail) []int32 { return []int32{md.Controller} }},
	{name: "the leader, which is back at once", victims: leader, atOnce: true},
	{name: "all three brokers", victims: func(_ kadm.Metadata, topic kadm.TopicDetail) []int32 { return topic.Partitions[0].ISR }, atOnce: true},
}

func leader(_ kadm.Metadata, topic kadm.TopicDetail) []int32 {
	return []int32{topic.Partitions[0].Leader}
}

func follower(_ kadm.Metadata, topic kadm.TopicDetail) []int32 {
	p := topic.Partitions[0]
	return slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return id == p.Leader })[:1]
}

// TestNoAckedRecordIsLost kills brokers with SIGKILL under load, reads every
// partition from every replica, and judges all that clients were told and saw.
func TestNoAckedRecordIsLost(t *testing.T) {
	t.Parallel()
	brokers := harness.Start(t, devcluster.Options{})
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers.Bootstrap()...), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	cfg := load.Config{
		Brokers: map[int32]string{}, Topic: "orders", Partitions: 3, History: history.New(),
		Idempotent: 1, Ordered: 1, Direct: 1, Consumers: 1,
	}
	for _, b := range brokers.Brokers() {
		cfg.Brokers[int32(b.ID)] = b.Address
	}
	createTopic(harness.Within(t, 10*time.Second), t, client, cfg.Topic, cfg.Partitions, 3)
	l, err := load.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- l.Run(t.Context()) }()

	for _, fault := range faults {
		detail := awaitInSync(harness.Within(t, 30*time.Second), t, client, cfg.Topic, 3)
		awaitMore(harness.Within(t, stallLimit), t, l, progress)
		_, md, err := describe(harness.Within(t, 5*time.Second), client, cfg.Topic)
		if err != nil {
			t.Fatal(err)
		}
		victims := indexes(t, brokers, fault.victims(md, detail))
		strike(t, cfg.History, "kill "+fault.name, func() error { return killAll(brokers, victims) })
		if fault.atOnce {
			strike(t, cfg.History, "restart", func() error { restart(t, brokers, victims); return nil })
		}
		t.Logf("killed %s: %d more acks on each partition after %v",
			fault.name, progress, awaitMore(harness.Within(t, stallLimit), t, l, progress).Round(time.Millisecond))
		if !fault.atOnce {
			strike(t, cfg.History, "restart", func() error { restart(t, brokers, victims); return nil })
		}
	}

	awaitInSync(harness.Within(t, 30*time.Second), t, client, cfg.Topic, 3)
	awaitMore(harness.Within(t, stallLimit), t, l, progress)
	err = l.Finish(harness.Within(t, 30*time.Second))
	if err := errors.Join(err, <-ran); err != nil {
		t.Error(err)
	}
	judge(t, cfg, l)
}

// judge reads the replicas and has the history checked. A history that fails
// is kept.
func judge(t *testing.T, cfg load.Config, l *load.Load) {
	t.Helper()
	final, err := load.ReadReplicas(harness.Within(t, 30*time.Second), cfg)
	if err != nil {
		t.Error(err)
	}
	least := int(cfg.Partitions) * progress
	report := check.Check(cfg.History, final, check.Rules{
		CaughtUp: true, MaxRecovery: stallLimit,
		Floor: check.Floor{Before: least, During: len(faults) * least, After: least},
	})
	t.Log(report.String())
	if n := l.Renewed(); n > 0 {
		t.Errorf("%d idempotent producers were refused for good", n)
	}
	for op := range cfg.History.All() {
		if op.Kind == history.Send && op.Guarantee == history.Idempotent && op.Outcome != history.OK {
			t.Errorf("the idempotent producer gave up on partition %d: %s", op.Partition, op.Error)
		}
	}
	if report.OK() {
		return
	}
	t.Error("promises were broken, or the run proves nothing")
	name := filepath.Join(os.TempDir(), fmt.Sprintf("chronik-survive-%d.jsonl", os.Getpid()))
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := history.Write(f, cfg.History, final); err != nil {
		t.Error(err)
	}
	t.Logf("the history is in %s", name)
}

// strike does something to the cluster and notes when.
func strike(t *testing.T, h *history.History, what string, inject func() error) {
	t.Helper()
	if err := h.Fault(history.Unknown, what, inject); err != nil {
		t.Fatal(err)
	}
}

func killAll(brokers *devcluster.Cluster, victims []int) error {
	for _, i := range victims {
		if err := brokers.Kill(i); err != nil {
			return err
		}
	}
	return nil
}

// awaitMore waits until every partition has n more acknowledgements than now,
// and returns how long that took.
func awaitMore(ctx context.Context, t *testing.T, l *load.Load, n int64) time.Duration {
	t.Helper()
	started, before := time.Now(), l.Acked()
	harness.Await(ctx, t, fmt.Sprintf("%d more acknowledgements on each partition", n), func(context.Context) error {
		for p, now := range l.Acked() {
			if now < before[p]+n {
				return fmt.Errorf("partition %d: %d of %d", p, now-before[p], n)
			}
		}
		return nil
	})
	return time.Since(started)
}

// describe returns what the cluster says of one topic.
func describe(ctx context.Context, client *kgo.Client, topic string) (kadm.TopicDetail, kadm.Metadata, error) {
	md, err := kadm.NewClient(client).Metadata(ctx, topic)
	if err != nil {
		return kadm.TopicDetail{}, md, err
	}
	detail, ok := md.Topics[topic]
	if !ok {
		return detail, md, fmt.Errorf("no topic %s in the metadata", topic)
	}
	return detail, md, detail.Err
}

// awaitInSync waits until every partition of a topic has n in-sync replicas
// and a leader among them.
func awaitInSync(ctx context.Context, t *testing.T, client *kgo.Client, topic string, n int) kadm.TopicDetail {
	t.Helper()
	var detail kadm.TopicDetail
	harness.Await(ctx, t, fmt.Sprintf("%d in-sync replicas of %s", n, topic), func(ctx context.Context) error {
		var err error
		detail, _, err = describe(ctx, client, topic)
		if err != nil {
			return err
		}
		for _, p := range detail.Partitions.Sorted() {
			if len(p.ISR) < n || !slices.Contains(p.ISR, p.Leader) {
				return fmt.Errorf("partition %d: leader %d, in sync %v", p.Partition, p.Leader, p.ISR)
			}
		}
		return nil
	})
	return detail
}

// indexes translates broker ids.
func indexes(t *testing.T, brokers *devcluster.Cluster, ids []int32) []int {
	t.Helper()
	var found []int
	for _, id := range ids {
		i, ok := brokers.Index(int(id))
		if !ok {
			t.Fatalf("broker %d is not of this cluster", id)
		}
		found = append(found, i)
	}
	return found
}

// restart starts killed brokers together: none of three is ready alone.
func restart(t *testing.T, brokers *devcluster.Cluster, victims []int) {
	t.Helper()
	ctx := harness.Within(t, 30*time.Second)
	errs := make([]error, len(victims))
	var started sync.WaitGroup
	for n, i := range victims {
		started.Go(func() { errs[n] = brokers.Restart(ctx, i) })
	}
	started.Wait()
	if err := errors.Join(errs...); err != nil {
		harness.Report(t, err)
		t.FailNow()
	}
}
