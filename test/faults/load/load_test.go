package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/history"
	"github.com/chronik-project/chronik/test/harness"
)

// bed is three brokers with a topic, and what a load on it needs.
func bed(t *testing.T, partitions int32) (*devcluster.Cluster, Config) {
	t.Helper()
	brokers := harness.Start(t, devcluster.Options{})
	cfg := Config{Brokers: map[int32]string{}, Topic: "orders", Partitions: partitions, History: history.New()}
	for _, b := range brokers.Brokers() {
		cfg.Brokers[int32(b.ID)] = b.Address
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers.Bootstrap()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopics(harness.Within(t, 10*time.Second), partitions, 3, nil, cfg.Topic)
	if err = errors.Join(err, created.Error()); err != nil {
		t.Fatal(err)
	}
	return brokers, cfg
}

// awaitAcks waits for n more acknowledgements on each partition.
func awaitAcks(t *testing.T, l *Load, n int64) {
	t.Helper()
	before := l.Acked()
	ctx, cancel := context.WithCancel(harness.Within(t, 20*time.Second))
	defer cancel()
	harness.Await(ctx, t, "acknowledgements on every partition", func(context.Context) error {
		select {
		case <-l.Done():
			cancel()
			return errors.New("the load has ended")
		default:
		}
		for p, now := range l.Acked() {
			if now < before[p]+n {
				return fmt.Errorf("partition %d: %d of %d", p, now-before[p], n)
			}
		}
		return nil
	})
}

// TestOneKill is the whole kit in small: every kind of producer, consumers and
// samplers, one SIGKILL, and the verdict on what they saw.
func TestOneKill(t *testing.T) {
	t.Parallel()
	brokers, cfg := bed(t, 3)
	cfg.Idempotent, cfg.Ordered, cfg.Unordered, cfg.Direct = 1, 1, 1, 1
	cfg.Consumers, cfg.ConsumerLife, cfg.SampleEvery = 2, time.Second, 50*time.Millisecond
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- l.Run(t.Context()) }()

	awaitAcks(t, l, 100)
	if err := cfg.History.Fault(int32(brokers.Brokers()[0].ID), "kill", func() error { return brokers.Kill(0) }); err != nil {
		t.Fatal(err)
	}
	awaitAcks(t, l, 100)
	if err := cfg.History.Fault(int32(brokers.Brokers()[0].ID), "restart", func() error {
		return brokers.Restart(harness.Within(t, 20*time.Second), 0)
	}); err != nil {
		t.Fatal(err)
	}
	awaitAcks(t, l, 100)
	caughtUp := l.Finish(harness.Within(t, 20*time.Second))
	if err := errors.Join(caughtUp, <-ran); err != nil {
		t.Fatal(err)
	}

	final, err := ReadReplicas(harness.Within(t, 20*time.Second), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(final) != 9 {
		t.Errorf("%d replicas were read, want 9", len(final))
	}
	rules := check.Rules{CaughtUp: true, Floor: check.Floor{Before: 300, During: 100, After: 300}}
	report := check.Check(cfg.History, final, rules)
	t.Log(report.String())
	if !report.OK() {
		t.Error("the history breaks promises, or proves nothing")
		keep(t, cfg.History, final)
	}
	if report.Sampled < 100 || report.Polled < 2*report.Acked-100 {
		t.Errorf("%d samples and %d records polled of %d acknowledged: too few", report.Sampled, report.Polled, report.Acked)
	}
}

// keep writes the history of a failed run where it outlives the test.
func keep(t *testing.T, h *history.History, final []history.Replica) {
	t.Helper()
	name := filepath.Join(os.TempDir(), fmt.Sprintf("chronik-history-%d.jsonl", os.Getpid()))
	f, err := os.Create(name)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	if err := history.Write(f, h, final); err != nil {
		t.Error(err)
	}
	t.Logf("the history is in %s", name)
}
